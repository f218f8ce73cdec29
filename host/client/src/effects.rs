//! `daca effects`: pending effects and dead letters of all hosts, and what to do with dead letters.

use std::time::{Duration, SystemTime};

use daca_base::clock::unix_ms;
use reqwest::Method;

use super::Form;
use super::admin::{self, Admin, Error};
use super::table::{Column, TextTable};
use daca_base::telemetry::printable;
use daca_model::admin::{
    ActorEffects, EffectActors, EffectInfo, EffectsAction, EffectsChangeRequest, EffectsChanged, NotDead,
    Word,
};

/// The effects of one page.
const PAGE: &str = "100";
/// The actors of one page. The host gives each of them five seconds, eight at a time: a page of actors that do not tell
/// fits into the timeout of a question.
const ACTORS_PAGE: &str = "32";
/// The pages that are read for one list.
const MAX_PAGES: usize = 320;
/// The timeout of a change: it waits for the turns of its actor.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(300);

/// What is shown of effects.
#[derive(Debug, Clone, Copy)]
pub struct EffectsView<'a> {
    /// An agent type or an actor, as TYPE or TYPE/ID; all actors by default.
    pub of: Option<&'a str>,
    /// With payloads and metadata; of one actor alone.
    pub payload: bool,
    /// The `next` of a list that was too long.
    pub from: Option<&'a str>,
}

/// The actors with pending effects or dead letters, or the effects of one actor.
pub async fn effects(admin: &Admin, view: EffectsView<'_>, form: Form) -> Result<String, Error> {
    match view.of {
        // A type has no payloads: it is refused as a name of an actor.
        Some(of) if of.contains('/') || view.payload => of_actor(admin, of, view, form).await,
        agent_type => of_actors(admin, agent_type, view, form).await,
    }
}

async fn of_actors(
    admin: &Admin,
    agent_type: Option<&str>,
    view: EffectsView<'_>,
    form: Form,
) -> Result<String, Error> {
    let agent_type = agent_type.map(admin::agent_type).transpose()?;
    let parts = [Some("effects"), agent_type].into_iter().flatten().collect::<Vec<_>>();
    let mut list = EffectActors { actors: Vec::new(), next: view.from.map(str::to_owned), left_out: 0 };
    for _ in 0..MAX_PAGES {
        let query = [("after", list.next.as_deref()), ("limit", Some(ACTORS_PAGE))];
        let text = admin.get(&admin::path(&parts, &query)).await?;
        add_page(&mut list, admin::read(&text)?);
        if list.next.is_none() {
            break;
        }
    }
    match form {
        Form::Json => serde_json::to_string(&list).map_err(|error| Error::Answer(error.to_string())),
        Form::Text => Ok(actors_told(&list)),
    }
}

/// A page may be empty, and still not the last one: its actors' effects have left meanwhile.
fn add_page(list: &mut EffectActors, page: EffectActors) {
    list.actors.extend(page.actors);
    (list.next, list.left_out) = (page.next, page.left_out);
}

async fn of_actor(admin: &Admin, of: &str, view: EffectsView<'_>, form: Form) -> Result<String, Error> {
    let actor = admin::actor(of)?;
    let payload = view.payload.then_some("true");
    let query = [("from", view.from), ("limit", Some(PAGE)), ("payload", payload)];
    let text = admin.get(&admin::path(&["effects", &actor.agent_type, &actor.id], &query)).await?;
    if form == Form::Json { Ok(text) } else { Ok(actor_told(&admin::read(&text)?, view.from, now())) }
}

/// Retries or discards dead letters of an actor (`TYPE/ID`): the one with this identity, or all of them.
pub async fn change_effects(
    admin: &Admin,
    action: EffectsAction,
    actor: &str,
    id: Option<&str>,
    form: Form,
) -> Result<String, Error> {
    let actor = admin::actor(actor)?;
    let verb = match action {
        EffectsAction::Retry => "retry",
        EffectsAction::Discard => "discard",
    };
    let request = EffectsChangeRequest { id: id.map(str::to_owned), all: id.is_none() };
    let path = admin::path(&["effects", &actor.agent_type, &actor.id, verb], &[]);
    let change = admin.send(admin.request(Method::POST, &path).json(&request));
    let answer = admin.within(CHANGE_TIMEOUT, change).await?;
    if form == Form::Json { Ok(answer) } else { Ok(change_told(&admin::read(&answer)?)) }
}

fn actors_told(list: &EffectActors) -> String {
    let EffectActors { actors, next, left_out } = list;
    let mut parts = Vec::new();
    if actors.is_empty() {
        parts.push("no actor has pending effects or dead letters".to_owned());
    } else {
        let mut table = TextTable::new([
            Column::Text("ACTOR"),
            Column::Number("PENDING"),
            Column::Number("DEAD"),
            Column::Text("OLDEST DEAD"),
            Column::Text("ERROR"),
        ]);
        for actor in actors {
            let number =
                |number: usize| if actor.error.is_some() { "?".to_owned() } else { number.to_string() };
            table.row([
                format!("{}/{}", actor.agent_type, actor.actor_id),
                number(actor.pending),
                number(actor.dead),
                actor.dead_since_unix_ms.map(|since| age(since, now())).unwrap_or_default(),
                actor.error.clone().unwrap_or_default(),
            ]);
        }
        parts.push(table.to_string());
    }
    if let Some(next) = next {
        parts.push(format!("(there may be more: --from {})", printable(next)));
    }
    if *left_out > 0 {
        parts.push(format!(
            "(the list is full, and {left_out} more actors have dead letters: name an actor to see them)"
        ));
    }
    parts.join("\n")
}

fn actor_told(answer: &ActorEffects, from: Option<&str>, now: u64) -> String {
    let ActorEffects { agent_type, actor_id, pending, dead, effects, next, .. } = answer;
    let head = format!("{agent_type}/{actor_id}: {pending} pending, {dead} dead");
    let mut parts = vec![printable(&head).into_owned()];
    if !effects.is_empty() {
        let mut table = TextTable::new([
            Column::Text("ID"),
            Column::Text("STATE"),
            Column::Text("KIND"),
            Column::Text("TARGET"),
            Column::Text("SINCE"),
            Column::Number("TRIES"),
            Column::Number("BYTES"),
            Column::Text("REASON"),
        ]);
        for effect in effects {
            table.row([
                effect.id.clone(),
                effect.state.to_string(),
                effect.kind.to_string(),
                effect.target.clone(),
                effect.since_unix_ms.map(|since| age(since, now)).unwrap_or_default(),
                effect.attempts.to_string(),
                effect.bytes.to_string(),
                effect.reason.clone().unwrap_or_default(),
            ]);
        }
        parts.push(table.to_string());
    }
    parts.extend(effects.iter().filter_map(payload_told));
    let all = pending.saturating_add(*dead);
    if let Some(from) = from.filter(|_| effects.is_empty() && all > 0) {
        parts.push(format!("(none of the {all} comes after the first {})", printable(from)));
    }
    if let Some(next) = next {
        parts.push(format!("(there are more: --from {next})"));
    }
    parts.join("\n")
}

/// The payload of an effect, and its metadata, each in a line.
fn payload_told(effect: &EffectInfo) -> Option<String> {
    let data = effect.data.as_ref()?;
    let mut lines = vec![format!("{}: {data}", effect.id)];
    lines.extend(effect.metadata.iter().map(|(name, value)| format!("  {name}: {value}")));
    let lines = lines.iter().map(|line| printable(line)).collect::<Vec<_>>();
    Some(lines.join("\n"))
}

fn change_told(answer: &EffectsChanged) -> String {
    let EffectsChanged { agent_type, actor_id, action, effects, not_dead } = answer;
    let count = match effects.len() {
        0 => "no dead letter".to_owned(),
        1 => "1 dead letter".to_owned(),
        count => format!("{count} dead letters"),
    };
    let what = match (action, effects.len()) {
        (_, 0) => nothing_changed(not_dead.as_ref()),
        (Word::Known(EffectsAction::Retry), 1) => "it is pending again".to_owned(),
        (Word::Known(EffectsAction::Retry), _) => "they are pending again".to_owned(),
        (Word::Known(EffectsAction::Discard), 1) => "it is discarded".to_owned(),
        (Word::Known(EffectsAction::Discard), _) => "they are discarded".to_owned(),
        (Word::Other(word), _) => word.clone(),
    };
    printable(&format!("{agent_type}/{actor_id}: {count}; {what}")).into_owned()
}

fn nothing_changed(not_dead: Option<&Word<NotDead>>) -> String {
    let why = match not_dead {
        None => return "nothing was changed".to_owned(),
        Some(Word::Known(NotDead::Pending)) => "the effect is pending",
        Some(Word::Known(NotDead::Gone)) => {
            "the effect is gone: it has left, was discarded or dropped, or there was none"
        }
        Some(Word::Other(word)) => word.as_str(),
    };
    format!("nothing was changed; {why}")
}

/// How long ago it was, by the clocks of the host and of this machine.
fn age(since_unix_ms: u64, now: u64) -> String {
    let seconds = now.saturating_sub(since_unix_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

fn now() -> u64 {
    unix_ms(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_and_pending_effects_are_a_table_and_payloads_follow_it() -> Result<(), Error> {
        let answer = r#"{"agent_type": "ChatAgent", "actor_id": "user1", "pending": 1, "dead": 1, "dead_since_unix_ms": 1000,
            "effects": [
                {"id": "ab-1-0", "state": "dead", "kind": "send", "target": "sms/create", "since_unix_ms": 1000, "attempts": 5,
                 "reason": "no\nsuch number", "bytes": 2, "data": "{}\u001b", "metadata": {"to": "+1"}},
                {"id": "ab-2-0", "state": "later", "kind": "publish", "target": "p/t", "attempts": 0, "bytes": 12}],
            "next": 2, "new": 7}"#;
        let expected = "\
ChatAgent/user1: 1 pending, 1 dead
ID      STATE  KIND     TARGET      SINCE      TRIES  BYTES  REASON
ab-1-0  dead   send     sms/create  2 min ago      5      2  no\\nsuch number
ab-2-0  later  publish  p/t                        0     12
ab-1-0: {}\\u{1b}
  to: +1
(there are more: --from 2)";
        assert_eq!(actor_told(&admin::read(answer)?, None, 121_000), expected);
        Ok(())
    }

    #[test]
    fn a_page_behind_the_last_effect_says_so() -> Result<(), Error> {
        let answer = |dead: usize| {
            let answer = format!(
                r#"{{"agent_type": "A", "actor_id": "a", "pending": 0, "dead": {dead}, "effects": []}}"#
            );
            admin::read::<ActorEffects>(&answer)
        };
        let told = actor_told(&answer(2)?, Some("99999"), 0);
        assert_eq!(told, "A/a: 0 pending, 2 dead\n(none of the 2 comes after the first 99999)");
        assert_eq!(actor_told(&answer(0)?, Some("99999"), 0), "A/a: 0 pending, 0 dead");
        Ok(())
    }

    #[test]
    fn an_actor_whose_host_does_not_tell_is_shown_without_numbers() -> Result<(), Error> {
        let answer = r#"{"actors": [
            {"agent_type": "A", "actor_id": "a", "pending": 3, "dead": 0},
            {"agent_type": "A", "actor_id": "b", "pending": 0, "dead": 0, "error": "host-busy: no"}],
            "next": "A/b", "left_out": 2}"#;
        let page = admin::read::<EffectActors>(answer)?;
        let expected = "\
ACTOR  PENDING  DEAD  OLDEST DEAD  ERROR
A/a          3     0
A/b          ?     ?               host-busy: no
(there may be more: --from A/b)
(the list is full, and 2 more actors have dead letters: name an actor to see them)";
        assert_eq!(actors_told(&page), expected);
        let none = EffectActors { actors: Vec::new(), next: None, left_out: 0 };
        assert_eq!(actors_told(&none), "no actor has pending effects or dead letters");
        Ok(())
    }

    #[test]
    fn a_list_has_the_actors_of_all_pages_and_goes_on_after_an_empty_one() -> Result<(), Error> {
        let mut list = admin::read::<EffectActors>(r#"{"actors": [], "left_out": 0}"#)?;
        for (page, next) in [
            (r#"{"actors": [], "next": "A/a", "left_out": 0}"#, Some("A/a")),
            (
                r#"{"actors": [{"agent_type": "A", "actor_id": "b", "pending": 0, "dead": 1}], "left_out": 2}"#,
                None,
            ),
        ] {
            add_page(&mut list, admin::read(page)?);
            assert_eq!(list.next.as_deref(), next);
        }
        assert_eq!((list.actors.len(), list.left_out), (1, 2));
        Ok(())
    }

    #[test]
    fn a_change_says_what_became_of_how_many() -> Result<(), Error> {
        for (action, effects, expected) in [
            ("retry", r#"["a-1"]"#, "A/a: 1 dead letter; it is pending again"),
            ("discard", r#"["a-1", "a-2"]"#, "A/a: 2 dead letters; they are discarded"),
            ("retry", "[]", "A/a: no dead letter; nothing was changed"),
            (
                "retry",
                r#"[], "not_dead": "pending""#,
                "A/a: no dead letter; nothing was changed; the effect is pending",
            ),
            ("forget", r#"["a-1"]"#, "A/a: 1 dead letter; forget"),
        ] {
            let answer = format!(
                r#"{{"agent_type": "A", "actor_id": "a", "action": "{action}", "effects": {effects}}}"#
            );
            assert_eq!(change_told(&admin::read(&answer)?), expected);
        }
        Ok(())
    }
}
