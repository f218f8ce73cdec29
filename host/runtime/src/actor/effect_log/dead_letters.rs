//! The dead letters of an actor: effects that were given up, with the reason, until somebody retries or discards them.
//!
//! They lie in the actor's state beside the effect log, under a key of their own, which is read and written only when
//! they change.

use std::collections::VecDeque;

use bytes::Bytes;
use daca_base::json::{self, Document, UnknownFields};
use daca_model::backend::{self, Effect, FailedEffect};
use serde::Deserialize;
use serde_json::{Value, json};

use super::stored::StoredEffect;
use crate::actor::stored_format::{too_new, unreadable};

/// The key of the dead letters.
pub(in crate::actor) const DEAD_LETTERS: &str = "daca:effects:dead";
/// The form that this host writes, and the latest that it reads.
const FORMAT: u32 = 1;
/// The dead letters of one actor; beyond it, some are dropped ([`DeadLetters::drop_one`]).
const MAX_LETTERS: usize = 100;
/// The bytes of their effects; beyond it, some are dropped, but never the latest.
const MAX_BYTES: usize = 1024 * 1024;
/// The turns of `on-effect-failed` that may fail for one dead letter. Then the agent is no longer told.
pub(in crate::actor) const MAX_TELLINGS: u32 = 5;

/// The fields of a letter.
const FIELDS: &[&str] = &["reason", "code", "attempts", "at_unix_ms", "told", "told_failures", "effect"];

/// Why and when an effect was given up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::actor) struct GivenUp {
    /// Why its last attempt failed.
    pub(in crate::actor) reason: String,
    /// The case of that error ([`backend::Error::case`]). Empty in a dead letter of a host that did not keep it.
    #[serde(default)]
    pub(in crate::actor) code: String,
    /// The attempts to deliver it.
    pub(in crate::actor) attempts: u32,
    /// Milliseconds since 1970.
    pub(in crate::actor) at_unix_ms: u64,
}

/// Whether the agent is told of a dead letter (`on-effect-failed`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
struct Telling {
    /// The agent was told, or is to be told. `None` if it is not: it has no such export, or its own handler requested the
    /// effect.
    told: Option<bool>,
    /// The turns of the handler that failed.
    #[serde(default)]
    told_failures: u32,
}

impl Telling {
    fn is_due(self) -> bool {
        self.told == Some(false) && self.told_failures < MAX_TELLINGS
    }
}

/// An effect that was given up.
#[derive(Debug, Clone)]
pub(in crate::actor) struct DeadLetter {
    stored: StoredEffect,
    pub(in crate::actor) given_up: GivenUp,
    telling: Telling,
    /// What a newer host has added.
    unknown: UnknownFields,
}

impl DeadLetter {
    pub(super) fn new(stored: StoredEffect, given_up: GivenUp) -> DeadLetter {
        DeadLetter { stored, given_up, telling: Telling::default(), unknown: UnknownFields::default() }
    }

    /// The same, of which the agent is to be told, unless its handler requested the effect: one failure would lead to the
    /// next for ever.
    pub(in crate::actor) fn untold(self) -> DeadLetter {
        let told = (!self.effect().after_failure).then_some(false);
        DeadLetter { telling: Telling { told, told_failures: 0 }, ..self }
    }

    /// What the agent is told.
    pub(in crate::actor) fn failed(&self) -> FailedEffect {
        let GivenUp { reason, code, attempts, .. } = &self.given_up;
        FailedEffect {
            effect: self.effect().clone(),
            attempts: *attempts,
            reason: backend::Error::of_case(code, reason.clone()),
            is_told: self.telling.told == Some(true),
        }
    }

    /// The agent is to be told of it.
    pub(in crate::actor) fn is_untold(&self) -> bool {
        self.telling.is_due()
    }

    pub(in crate::actor) fn effect(&self) -> &Effect {
        &self.stored.effect
    }

    fn bytes(&self) -> usize {
        self.stored.text.bytes().len()
    }

    fn read(letter: &Document) -> Option<DeadLetter> {
        let given_up = json::read_object(letter.bytes()).ok()?;
        let telling = json::read_object(letter.bytes()).ok()?;
        let unknown = UnknownFields::of(letter, FIELDS).ok()?;
        Some(DeadLetter { stored: StoredEffect::read(letter.field("effect")?)?, given_up, telling, unknown })
    }

    fn text(&self) -> Bytes {
        let GivenUp { reason, code, attempts, at_unix_ms } = &self.given_up;
        let Telling { told, told_failures } = self.telling;
        let mut head = json!({ "reason": reason, "attempts": attempts, "at_unix_ms": at_unix_ms });
        // A letter without them is written as it was read.
        let others = [
            ("code", (!code.is_empty()).then(|| code.as_str().into())),
            ("told", told.map(Value::from)),
            ("told_failures", (told_failures > 0).then(|| told_failures.into())),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                head[name] = value;
            }
        }
        let mut text = json::with_field(&head.to_string(), "effect", &self.stored.text).to_vec();
        self.unknown.add_to(&mut text);
        text.into()
    }
}

/// The dead letters of an actor, from old to new, and what a newer host has added to them.
#[derive(Debug, Default)]
pub(in crate::actor) struct DeadLetters(VecDeque<DeadLetter>, UnknownFields);

impl DeadLetters {
    /// Parses the stored value, if there is one.
    pub(in crate::actor) fn read(value: Option<&Bytes>) -> Result<DeadLetters, backend::Error> {
        #[derive(Deserialize)]
        struct Fields {
            format: u32,
        }
        let Some(value) = value else { return Ok(DeadLetters::default()) };
        let unreadable = || unreadable(DEAD_LETTERS);
        let document = Document::parse(value).map_err(|_| unreadable())?;
        let Fields { format } = json::read_object(document.bytes()).map_err(|_| unreadable())?;
        if format > FORMAT {
            return Err(too_new(DEAD_LETTERS, format, FORMAT));
        }
        let letters = document.field("letters").ok_or_else(unreadable)?;
        let letters = letters.items().map(|letter| DeadLetter::read(&letter)).collect::<Option<_>>();
        let unknown = UnknownFields::of(&document, &["format", "letters"]).map_err(|_| unreadable())?;
        letters.map(|letters| DeadLetters(letters, unknown)).ok_or_else(unreadable)
    }

    /// The stored value; `None` if there are none.
    pub(in crate::actor) fn text(&self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        let mut text = format!("{{\"format\":{FORMAT},\"letters\":[").into_bytes();
        for (number, letter) in self.0.iter().enumerate() {
            if number > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&letter.text());
        }
        text.extend_from_slice(b"]}");
        self.1.add_to(&mut text);
        Some(text.into())
    }

    /// Adds one; an effect that is among them already is replaced. Returns those that were dropped for it.
    pub(in crate::actor) fn add(&mut self, letter: DeadLetter) -> Vec<DeadLetter> {
        self.0.retain(|present| present.effect().id != letter.effect().id);
        self.0.push_back(letter);
        let mut dropped = Vec::new();
        while self.0.len() > MAX_LETTERS {
            dropped.extend(self.drop_one());
        }
        dropped.extend(self.trim(MAX_BYTES));
        dropped
    }

    /// Drops some until their effects have at most so many bytes, but never the latest. Returns them.
    pub(in crate::actor) fn trim(&mut self, most: usize) -> Vec<DeadLetter> {
        let mut dropped = Vec::new();
        while self.0.len() > 1 && self.bytes() > most {
            dropped.extend(self.drop_one());
        }
        dropped
    }

    /// Drops the oldest one of which the agent need not be told any more; if it is still to be told of all, the oldest one.
    /// Never the latest: the agent has not been told of that one.
    fn drop_one(&mut self) -> Option<DeadLetter> {
        let older = self.0.len().saturating_sub(1);
        let known = self.0.iter().take(older).position(|letter| !letter.telling.is_due());
        self.0.remove(known.unwrap_or_default())
    }

    /// The next one of which the agent is to be told: the oldest of those for which its handler has failed least often.
    pub(in crate::actor) fn untold(&self) -> Option<&DeadLetter> {
        let due = self.0.iter().filter(|letter| letter.telling.is_due());
        due.min_by_key(|letter| letter.telling.told_failures)
    }

    /// Returns `true` if there is one of which the agent is to be told, and its handler has not failed yet.
    pub(in crate::actor) fn has_news(&self) -> bool {
        self.untold().is_some_and(|letter| letter.telling.told_failures == 0)
    }

    /// The agent was told.
    pub(in crate::actor) fn told(&mut self, id: &str) {
        if let Some(letter) = self.find(id) {
            letter.telling.told = Some(true);
        }
    }

    /// The agent's handler has failed. Returns `true` if the agent is not told any more.
    pub(in crate::actor) fn telling_failed(&mut self, id: &str) -> bool {
        let Some(DeadLetter { telling, .. }) = self.find(id) else { return false };
        *telling = Telling { told: Some(false), told_failures: telling.told_failures.saturating_add(1) };
        !telling.is_due()
    }

    /// All of them, from old to new.
    pub(in crate::actor) fn failed(&self) -> Vec<FailedEffect> {
        self.0.iter().map(DeadLetter::failed).collect()
    }

    fn find(&mut self, id: &str) -> Option<&mut DeadLetter> {
        self.0.iter_mut().find(|letter| *letter.effect().id == *id)
    }

    pub(in crate::actor) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::actor) fn len(&self) -> usize {
        self.0.len()
    }

    /// From old to new.
    pub(in crate::actor) fn iter(&self) -> impl Iterator<Item = &DeadLetter> {
        self.0.iter()
    }

    /// Removes the one with this identity, or all of them.
    pub(in crate::actor) fn take(&mut self, id: Option<&str>) -> Vec<DeadLetter> {
        let is_meant = |letter: &DeadLetter| id.is_none_or(|id| *letter.effect().id == *id);
        let (taken, rest) = std::mem::take(&mut self.0).into_iter().partition::<Vec<_>, _>(is_meant);
        self.0 = rest.into();
        taken
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(DeadLetter::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fake::event;

    fn letter(name: &str) -> DeadLetter {
        let reason = format!("{name} \"failed\"");
        let given_up = GivenUp { reason, code: "invalid".to_owned(), attempts: 5, at_unix_ms: 7 };
        DeadLetter::new(StoredEffect::new(event(name), 5).expect("it can be stored"), given_up)
    }

    fn ids(letters: &DeadLetters) -> Vec<String> {
        letters.0.iter().map(|letter| letter.effect().id.to_string()).collect()
    }

    #[test]
    fn letters_are_read_as_they_were_written_and_anything_else_is_refused() {
        let mut letters = DeadLetters::default();
        assert_eq!(letters.text(), None);
        letters.add(letter("1"));
        letters.add(letter("2"));
        letters.add(letter("1"));
        let read = DeadLetters::read(letters.text().as_ref()).expect("it is read");
        assert_eq!(ids(&read), ["2-0", "1-0"]);
        assert_eq!(read.0[1].given_up, letter("1").given_up);
        for damaged in ["", "7", "{}", r#"{"format":1}"#, r#"{"format":1,"letters":[7]}"#] {
            DeadLetters::read(Some(&damaged.into())).expect_err(damaged);
        }
    }

    #[test]
    fn an_agent_is_told_once_and_after_some_failures_no_more() {
        let mut letters = DeadLetters::default();
        letters.add(letter("nobody asks"));
        let own = StoredEffect::new(Effect { after_failure: true, ..event("own") }, 5);
        letters.add(DeadLetter::new(own.expect("it can be stored"), letter("own").given_up).untold());
        assert!(letters.untold().is_none());
        for name in ["1", "2", "3"] {
            letters.add(letter(name).untold());
        }
        let next = |letters: &DeadLetters| letters.untold().map(|letter| letter.effect().id.to_string());
        assert!(!letters.telling_failed("1-0"));
        assert_eq!((next(&letters).as_deref(), letters.has_news()), (Some("2-0"), true));
        letters.told("2-0");
        letters.told("3-0");
        assert_eq!((next(&letters).as_deref(), letters.has_news()), (Some("1-0"), false));
        for failures in 2..=MAX_TELLINGS {
            letters = DeadLetters::read(letters.text().as_ref()).expect("it is read");
            assert_eq!(next(&letters).as_deref(), Some("1-0"));
            assert_eq!(letters.telling_failed("1-0"), failures == MAX_TELLINGS);
        }
        assert_eq!(next(&letters), None);
        let told = letters.failed().iter().map(|failed| failed.is_told).collect::<Vec<_>>();
        assert_eq!(told, [false, false, false, true, true]);
    }

    /// A host that did not tell has not said whether somebody asks.
    #[test]
    fn letters_of_an_earlier_host_are_read() {
        let mut letters = DeadLetters::default();
        letters.add(letter("1").untold());
        let text = letters.text().map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
        let earlier = text.replace("\"told\":false,", "").replace("\"code\":\"invalid\",", "");
        let earlier = DeadLetters::read(Some(&earlier.into())).expect("it is read");
        assert!(earlier.untold().is_none());
        assert!(matches!(earlier.failed()[0].reason, backend::Error::Other(_)));
    }

    #[test]
    fn letters_of_another_release_are_written_again_with_all_they_have_and_a_newer_format_is_refused() {
        let text = include_str!("../../../tests/stored/56fc7f2/effects-dead.json").trim_end();
        let newer = text.replace(r#""attempts":5"#, r#""by":{"operator":"ann"},"attempts":5"#);
        let newer = newer.replace("{\"format\":1", "{\"seen\":[1],\"format\":1");
        for text in [text, newer.as_str()] {
            let letters = DeadLetters::read(Some(&text.to_owned().into())).expect("it is read");
            assert_eq!(ids(&letters), ["3f2a91bc0d1e4f50-7-0"]);
            let again = letters.text().expect("there is a letter");
            let fields = |text: Bytes| {
                let document = Document::parse(&text).expect("it is JSON");
                let letter = document.field("letters").and_then(|letters| letters.items().next());
                let letter = letter.expect("there is one").fields().collect::<BTreeMap<_, _>>();
                (document.field("format"), document.field("seen"), letter)
            };
            assert_eq!(fields(again), fields(text.to_owned().into()));
        }
        let newer = DeadLetters::read(Some(&r#"{"format":2,"letters":{}}"#.into()));
        assert!(matches!(newer, Err(backend::Error::TooNew(_))));
    }

    #[test]
    fn the_last_letters_are_kept_within_bounds() {
        let mut letters = DeadLetters::default();
        let dropped = (0..=MAX_LETTERS).flat_map(|number| letters.add(letter(&number.to_string())));
        let dropped = dropped.map(|letter| letter.effect().id.to_string()).collect::<Vec<_>>();
        assert_eq!((dropped, letters.0.len()), (vec!["0-0".to_owned()], MAX_LETTERS));
        letters.add(letter(&"x".repeat(MAX_BYTES)));
        assert_eq!(letters.0.len(), 1, "the latest is kept, whatever its size");
        letters = DeadLetters::default();
        letters.add(letter("1"));
        letters.add(letter("2"));
        assert_eq!((letters.trim(MAX_BYTES).len(), letters.trim(1).len()), (0, 1));
        assert_eq!(ids(&letters), ["2-0"]);
    }

    #[test]
    fn those_of_which_the_agent_is_to_be_told_are_dropped_last() {
        let mut letters = DeadLetters::default();
        for number in 0..MAX_LETTERS {
            letters.add(letter(&number.to_string()).untold());
        }
        letters.told("7-0");
        let mut add = |name: &str| {
            let dropped = letters.add(letter(name).untold()).into_iter();
            dropped.map(|letter| (letter.effect().id.to_string(), letter.is_untold())).collect::<Vec<_>>()
        };
        assert_eq!(add("next"), [("7-0".to_owned(), false)]);
        assert_eq!(add("last"), [("0-0".to_owned(), true)], "it is to be told of all");
    }
}
