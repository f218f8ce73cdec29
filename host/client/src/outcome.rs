//! The answers to the commands that change the serving version, as one line for people.

use super::Form;
use super::admin::{self, Error};
use daca_base::digest::short;
use daca_base::telemetry::printable;
use daca_model::admin::{ChangeAnswer, Refusal, Word};
use daca_model::deployment::EventKind;

/// The line. `id` is that of the pinned or unpinned actor.
pub(super) fn render(answer: String, id: Option<&str>, form: Form) -> Result<String, Error> {
    if form == Form::Json {
        return Ok(answer);
    }
    let answer = admin::read::<ChangeAnswer>(&answer)?;
    let mut lines = vec![printable(&line(&answer, id)).into_owned()];
    for Refusal { detail, code, help } in &answer.warnings {
        lines.push(
            printable(&format!("warning[{}]: {detail}", code.as_deref().unwrap_or("unknown"))).into_owned(),
        );
        lines.extend(help.as_deref().map(|help| format!("  help: {}", printable(help))));
    }
    Ok(lines.join("\n"))
}

fn line(answer: &ChangeAnswer, id: Option<&str>) -> String {
    let version = short(&answer.version);
    let label = Some(&*answer.label).filter(|label| !label.is_empty() && *label != version);
    let version = label.map_or_else(|| version.to_owned(), |label| format!("{version} ({label})"));
    let before = answer.before.as_deref().map(short);
    let before_it = before.map(|before| format!(" (before: {before})")).unwrap_or_default();
    let text = match &answer.outcome {
        Word::Known(EventKind::Deployed) => format!("{version} serves{before_it}"),
        Word::Known(EventKind::Canary) => {
            let rest = before.map(|before| format!(", {before} the others")).unwrap_or_default();
            format!("{version} serves {} % of the actors{rest}", answer.share)
        }
        Word::Known(EventKind::Promoted) => format!("{version} serves all actors now{before_it}"),
        Word::Known(EventKind::Unchanged) if answer.stored_again => {
            format!("{version} serves already; its file was missing or damaged, and was stored again")
        }
        Word::Known(EventKind::Unchanged) => format!("{version} serves already; nothing was changed"),
        Word::Known(EventKind::RolledBack) => format!("{version} serves again{before_it}"),
        Word::Known(EventKind::Pinned) => format!("is pinned to {version}"),
        Word::Known(EventKind::Unpinned) => format!("is no longer pinned to {version}"),
        // A refusal is an error, and has no such answer.
        Word::Known(EventKind::Refused) | Word::Other(_) => format!("{}: {version}", answer.outcome),
    };
    let who = id.map_or_else(|| answer.agent_type.clone(), |id| format!("{}/{id}", answer.agent_type));
    let check = match answer.milliseconds.check {
        0 => String::new(),
        check => format!(", checked in {check} ms"),
    };
    format!("{who}: {text}{check}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(outcome: &str, id: Option<&str>) -> Result<String, Error> {
        let answer = format!(
            r#"{{"agent_type": "ChatAgent", "outcome": "{outcome}", "version": "3f2a91bc0d1e4455", "label": "1.2", "share": 10,
                "before": "91bc3f2a0d1e4455", "revision": 7, "milliseconds": {{"check": 140, "total": 200}}}}"#
        );
        render(answer, id, Form::Text)
    }

    #[test]
    fn each_outcome_has_a_line_that_says_what_serves() -> Result<(), Error> {
        for (outcome, expected) in [
            ("deployed", "3f2a91bc0d1e (1.2) serves (before: 91bc3f2a0d1e)"),
            ("canary", "3f2a91bc0d1e (1.2) serves 10 % of the actors, 91bc3f2a0d1e the others"),
            ("promoted", "3f2a91bc0d1e (1.2) serves all actors now (before: 91bc3f2a0d1e)"),
            ("unchanged", "3f2a91bc0d1e (1.2) serves already; nothing was changed"),
            ("rolled-back", "3f2a91bc0d1e (1.2) serves again (before: 91bc3f2a0d1e)"),
            ("something-new", "something-new: 3f2a91bc0d1e (1.2)"),
        ] {
            assert_eq!(told_of(outcome, None)?, format!("ChatAgent: {expected}, checked in 140 ms"));
        }
        assert!(
            told_of("pinned", Some("user1"))?.starts_with("ChatAgent/user1: is pinned to 3f2a91bc0d1e (1.2)")
        );
        assert!(
            told_of("unpinned", Some("user1"))?.starts_with("ChatAgent/user1: is no longer pinned to 3f2a")
        );
        let again = r#"{"agent_type": "A", "outcome": "unchanged", "version": "3f2a91bc0d1e", "label": "", "share": 100,
            "before": null, "revision": 1, "stored_again": true, "milliseconds": {"check": 0, "total": 2}}"#;
        let line = "A: 3f2a91bc0d1e serves already; its file was missing or damaged, and was stored again";
        assert_eq!(render(again.into(), None, Form::Text)?, line);
        // The first deployment has none before it, and a pin checks nothing.
        let least = r#"{"agent_type": "A", "outcome": "deployed", "version": "3f2a91bc0d1e", "label": "", "share": 100,
            "before": null, "revision": 1, "milliseconds": {"check": 0, "total": 2}}"#;
        assert_eq!(render(least.into(), None, Form::Text)?, "A: 3f2a91bc0d1e serves");
        let warning = r#""warnings": [{"detail": "in vain", "code": "component-import-absent", "help": "leave it"}], "milliseconds""#;
        let warned = render(least.replace("\"milliseconds\"", warning), None, Form::Text)?;
        let expected = "A: 3f2a91bc0d1e serves\nwarning[component-import-absent]: in vain\n  help: leave it";
        assert_eq!(warned, expected);
        Ok(())
    }
}
