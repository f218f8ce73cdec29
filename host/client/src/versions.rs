//! `daca versions`: the versions of an agent type, their history, and the versions that each host serves.

use super::Form;
use super::admin::{self, Admin, Error};
use super::table::{Column, TextTable};
use daca_base::digest::short;
use daca_base::telemetry::printable;
use daca_model::admin::{
    HostVersions, TypeVersions, VersionEvent, VersionInfo, VersionState, Versions, Word,
};

/// The number of events of each type's history that are shown.
const EVENTS: usize = 10;

/// The versions of all agent types, or of one.
pub async fn versions(admin: &Admin, agent_type: Option<&str>, form: Form) -> Result<String, Error> {
    let text = admin.get(&admin::path(&["versions"], &[("type", agent_type)])).await?;
    if form == Form::Json { Ok(text) } else { Ok(told(&admin::read(&text)?)) }
}

fn told(answer: &Versions) -> String {
    let mut parts = answer.agents.iter().map(agent).collect::<Vec<_>>();
    if answer.hosts.len() > 1 {
        parts.push(format!("{}\n(TURNS and FAILURES are those of this host.)", hosts(&answer.hosts)));
    }
    parts.join("\n\n")
}

fn agent(agent: &TypeVersions) -> String {
    let mut parts = vec![printable(&agent.agent_type).into_owned(), version_table(agent)];
    let pins = agent.pins.iter().map(|(id, version)| format!("pinned: {id} to {}", short(version)));
    parts.extend(pins.map(|line| printable(&line).into_owned()));
    if !agent.history.is_empty() {
        parts.push(String::new());
        parts.push(history_table(&agent.history));
    }
    parts.join("\n")
}

fn version_table(agent: &TypeVersions) -> String {
    let mut table = TextTable::new([
        Column::Text("VERSION"),
        Column::Text("LABEL"),
        Column::Text("STATE"),
        Column::Number("TURNS"),
        Column::Number("FAILURES"),
        Column::Number("BYTES"),
        Column::Text("SINCE"),
        Column::Text("SOURCE"),
        Column::Text("BY"),
    ]);
    for version in &agent.versions {
        table.row([
            short(&version.version).to_owned(),
            version.label.clone(),
            version.state.iter().map(|state| state_of(agent, version, state)).collect::<Vec<_>>().join(", "),
            version.turns.to_string(),
            version.failed_turns.to_string(),
            version.bytes.to_string(),
            version.since.clone(),
            version.source.clone(),
            version.by.clone(),
        ]);
    }
    table.to_string()
}

/// The state of a canary includes its share.
fn state_of(agent: &TypeVersions, version: &VersionInfo, state: &Word<VersionState>) -> String {
    match &agent.canary {
        Some(canary) if *state == Word::Known(VersionState::Canary) && canary.version == version.version => {
            format!("canary {} %", canary.share)
        }
        _ => state.to_string(),
    }
}

/// The last events, newest last.
fn history_table(history: &[VersionEvent]) -> String {
    let mut table = TextTable::new([
        Column::Text("TIME"),
        Column::Text("WHAT"),
        Column::Text("VERSION"),
        Column::Text("BY"),
        Column::Text("TEXT"),
    ]);
    for event in &history[history.len().saturating_sub(EVENTS)..] {
        let code = event.code.as_deref().map(|code| format!("[{code}] ")).unwrap_or_default();
        table.row([
            event.at.clone(),
            event.what.to_string(),
            short(&event.version).to_owned(),
            event.by.clone(),
            format!("{code}{}", event.text),
        ]);
    }
    let left_out = history.len().saturating_sub(EVENTS);
    match left_out {
        0 => table.to_string(),
        _ => format!("{table}\n({left_out} earlier ones: --json)"),
    }
}

fn hosts(hosts: &[HostVersions]) -> String {
    let mut table = TextTable::new([Column::Text("HOST"), Column::Text("SEEN"), Column::Text("SERVES")]);
    for host in hosts {
        let seen =
            if host.this { "this one".to_owned() } else { format!("{} s ago", host.seen_ms_ago / 1000) };
        let serving = host.serving.iter().map(|(name, version)| format!("{name} {}", short(version)));
        table.row([host.host.clone(), seen, serving.collect::<Vec<_>>().join(", ")]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"agents": [{"agent_type": "ChatAgent", "revision": 7, "serving": "3f2a91bc0d1e4455",
        "canary": {"version": "91bc3f2a0d1e4455", "share": 10}, "pins": {"user1": "3f2a91bc0d1e4455"},
        "versions": [
            {"version": "91bc3f2a0d1e4455", "label": "1.3", "bytes": 120000, "since": "2026-03-01T10:00:00Z", "source": "api",
             "by": "ann@desk", "state": ["canary"], "turns": 9, "failed_turns": 0, "faults": 0},
            {"version": "3f2a91bc0d1e4455", "label": "1.2", "bytes": 99, "since": "2026-02-01T10:00:00Z", "source": "manifest",
             "by": "", "state": ["serving", "pinned"], "turns": 1000, "failed_turns": 12, "faults": 0}],
        "history": [
            {"at": "2026-03-01T10:00:00Z", "what": "refused", "version": "000000000000aa", "source": "api", "by": "ann@desk",
             "code": "component-invalid", "text": "cut\nshort"},
            {"at": "2026-03-01T10:01:00Z", "what": "deployed", "version": "91bc3f2a0d1e4455", "source": "api", "by": "ann@desk",
             "text": "10 %"}]}],
        "hosts": [
            {"host": "a", "this": true, "serving": {"ChatAgent": "3f2a91bc0d1e4455"}, "seen_ms_ago": 0},
            {"host": "b", "this": false, "serving": {"ChatAgent": "3f2a91bc0d1e4455"}, "seen_ms_ago": 2400}]}"#;

    #[test]
    fn versions_history_and_hosts_are_tables() -> Result<(), Error> {
        let expected = "\
ChatAgent
VERSION       LABEL  STATE            TURNS  FAILURES   BYTES  SINCE                 SOURCE    BY
91bc3f2a0d1e  1.3    canary 10 %          9         0  120000  2026-03-01T10:00:00Z  api       ann@desk
3f2a91bc0d1e  1.2    serving, pinned   1000        12      99  2026-02-01T10:00:00Z  manifest
pinned: user1 to 3f2a91bc0d1e

TIME                  WHAT      VERSION       BY        TEXT
2026-03-01T10:00:00Z  refused   000000000000  ann@desk  [component-invalid] cut\\nshort
2026-03-01T10:01:00Z  deployed  91bc3f2a0d1e  ann@desk  10 %

HOST  SEEN      SERVES
a     this one  ChatAgent 3f2a91bc0d1e
b     2 s ago   ChatAgent 3f2a91bc0d1e
(TURNS and FAILURES are those of this host.)";
        assert_eq!(told(&admin::read(ANSWER)?), expected);
        Ok(())
    }

    /// A long history must not push the versions off the screen; one host needs no table of hosts.
    #[test]
    fn only_the_last_events_are_shown_and_one_host_is_none() -> Result<(), Error> {
        let mut answer = admin::read::<serde_json::Value>(ANSWER)?;
        let event = answer["agents"][0]["history"][1].clone();
        answer["agents"][0]["history"] = vec![event; 30].into();
        answer["hosts"].as_array_mut().into_iter().for_each(|hosts| hosts.truncate(1));
        let text = told(&admin::read(&answer.to_string())?);
        assert_eq!(text.matches("deployed").count(), EVENTS, "{text}");
        assert!(text.contains("(20 earlier ones: --json)"), "{text}");
        assert!(!text.contains("HOST"), "{text}");
        Ok(())
    }
}
