//! How `#[agent]` dispatches calls, as far as it needs no host.

#![forbid(unsafe_code)]

use daca_sdk::rt::{Agent, Lifecycle, Migrate, OnEffectFailed, OnReminder};
use daca_sdk::{EffectRequest, Error, FailedEffect, Failure, Migration, agent};

#[derive(Default)]
struct Notes {
    notes: Vec<String>,
    active: bool,
}

#[agent]
impl Notes {
    #[activate]
    fn start(&mut self) -> Result<(), Failure> {
        self.active = true;
        Ok(())
    }

    #[reminder]
    pub fn ring(&mut self, name: &str, times: Option<u8>) -> Result<(), Failure> {
        self.notes.push(format!("{name} {times:?}"));
        Ok(())
    }

    #[effect_failed]
    fn regret(&mut self, effect: FailedEffect, reason: Error) -> Result<(), Failure> {
        let note: String = effect.json()?;
        self.notes.push(format!("{} {note} {reason}", effect.identity));
        Ok(())
    }

    #[migrate(to = "2", keys = [format!("no{}", "tes"), "none".to_owned()])]
    fn move_notes(&mut self, from: &str, state: &mut Migration) -> Result<(), Failure> {
        if state.get_bytes("raw") != Some(b"\xff") {
            return Err(Failure::not_found("the key `raw`"));
        }
        let notes: Vec<String> = state.get("notes")?.unwrap_or_default();
        state.remove("notes");
        state.set("notes-of-2", &(from, notes))?;
        state.set_bytes("raw", [0xfe]);
        Ok(())
    }

    pub fn add_note(&mut self, note: String) -> Result<(), Failure> {
        if note.is_empty() {
            return Err(Failure::invalid("an empty note"));
        }
        self.notes.push(note);
        Ok(())
    }

    #[method(name = "list")]
    pub fn all(&self) -> Result<&[String], Failure> {
        Ok(&self.notes)
    }

    pub fn maybe(&self, number: Option<u8>) -> Result<bool, Error> {
        number.map(|n| n > 1).ok_or(Error::Denied("no number".to_owned()))
    }

    /// Neither this nor a hook can be called from outside. Its name is that of a trait's method, on purpose.
    #[expect(dead_code, reason = "it is here for its name")]
    fn call(&self) {}
}

fn call(agent: &mut Notes, method: &str, payload: &str) -> Result<String, Failure> {
    let reply = Agent::call(agent, method, payload.as_bytes())?;
    Ok(String::from_utf8(reply).expect("JSON is text"))
}

#[test]
fn payloads_and_replies_are_json() {
    let mut agent = Notes::default();
    assert_eq!(call(&mut agent, "AddNote", "\"a\""), Ok("null".to_owned()));
    assert_eq!(call(&mut agent, "list", "ignored"), Ok("[\"a\"]".to_owned()));
    assert_eq!(call(&mut agent, "Maybe", "2"), Ok("true".to_owned()));
    assert_eq!(call(&mut agent, "AddNote", "\"\""), Err(Failure::invalid("an empty note")));
}

#[test]
fn an_empty_payload_is_null() {
    let refused = Err(Failure::failed("denied: no number"));
    assert_eq!(call(&mut Notes::default(), "Maybe", ""), refused);
    assert_eq!(call(&mut Notes::default(), "Maybe", "null"), refused);
}

#[test]
fn a_payload_that_does_not_fit_is_the_callers_fault() {
    let Err(Failure::Invalid(message)) = call(&mut Notes::default(), "AddNote", "3") else {
        panic!("a number is no note");
    };
    assert!(message.contains("AddNote") && message.contains("expected a string"), "{message}");
}

#[test]
fn an_unknown_method_is_told_which_there_are() {
    for method in ["Nope", "Ring", "Start", "Call", "all", "All"] {
        let expected = format!("there is no method `{method}`; the methods are AddNote, list, Maybe");
        assert_eq!(call(&mut Notes::default(), method, ""), Err(Failure::not_found(expected)));
    }
}

#[test]
fn hooks_run_on_the_instance() {
    Notes::with(Lifecycle::activate).expect("it starts");
    Notes::with(|agent| OnReminder::on_reminder(agent, "tea", b"2")).expect("it rings");
    Notes::with(|agent| OnReminder::on_reminder(agent, "tea", b"")).expect("it rings without data");
    let wrong = Notes::with(|agent| OnReminder::on_reminder(agent, "tea", b"[]"));
    assert!(matches!(wrong, Err(Failure::Invalid(message)) if message.contains("`tea`")));
    Notes::with(|agent| {
        assert!(agent.active);
        assert_eq!(agent.notes, ["tea Some(2)", "tea None"]);
    });
}

#[test]
fn a_failed_effect_is_given_with_its_reason() {
    let effect = |event: &[u8]| FailedEffect {
        identity: "turn-0".to_owned(),
        request: EffectRequest::Publish {
            pubsub: "p".to_owned(),
            topic: "t".to_owned(),
            event: event.to_vec(),
        },
        attempts: 1,
    };
    let told = |event: &[u8]| {
        let reason = Error::Invalid("no such topic".to_owned());
        Notes::with(|agent| OnEffectFailed::on_effect_failed(agent, effect(event), reason))
    };
    told(b"\"a\"").expect("it is told");
    Notes::with(|agent| assert_eq!(agent.notes, ["turn-0 a invalid: no such topic"]));
    assert!(
        matches!(told(b"7"), Err(Failure::Failed(message)) if message.contains("the payload of the effect"))
    );
}

#[test]
fn a_migration_changes_what_it_is_given() {
    assert_eq!(Notes::LABEL, "2");
    assert_eq!(Notes::keys(), ["notes", "none"]);
    let entries = |entries: &[(&str, &[u8])]| -> Migration {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.to_vec())).collect()
    };
    let mut state = entries(&[("notes", b"[\"a\"]"), ("raw", b"\xff"), ("kept", b"1")]);
    Notes::with(|agent| agent.migrate("1", &mut state)).expect("it migrates");
    assert_eq!(state, entries(&[("notes-of-2", b"[\"1\",[\"a\"]]"), ("raw", b"\xfe"), ("kept", b"1")]));

    let mut wrong = entries(&[("notes", b"1"), ("raw", b"\xff")]);
    let refused = Notes::with(|agent| agent.migrate("1", &mut wrong));
    assert!(matches!(refused, Err(Failure::Failed(message)) if message.contains("`notes`")));
    let missing = Notes::with(|agent| agent.migrate("1", &mut Migration::default()));
    assert_eq!(missing, Err(Failure::not_found("the key `raw`")));
}
