//! The dead letters of an actor: effects that were given up, with the reason, until somebody retries or discards them.
//!
//! They lie in the actor's state beside the effect log, under a key of their own, which is read and written only when
//! they change.

use std::collections::VecDeque;

use bytes::Bytes;
use daca_base::json::{self, Document};
use daca_model::backend::{self, Effect};
use serde::Deserialize;
use serde_json::json;

use super::stored::StoredEffect;
use crate::actor::marks::unreadable;

/// The key of the dead letters.
pub(in crate::actor) const DEAD_LETTERS: &str = "daca:effects:dead";
/// The form that this host writes, and the latest that it reads.
const FORMAT: u32 = 1;
/// The dead letters of one actor; older ones are dropped.
const MAX_LETTERS: usize = 100;
/// The bytes of their effects; older ones are dropped, but never the latest.
const MAX_BYTES: usize = 1024 * 1024;

/// Why and when an effect was given up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::actor) struct GivenUp {
    /// Why its last attempt failed.
    pub(in crate::actor) reason: String,
    /// The attempts to deliver it.
    pub(in crate::actor) attempts: u32,
    /// Milliseconds since 1970.
    pub(in crate::actor) at_unix_ms: u64,
}

/// An effect that was given up.
#[derive(Debug, Clone)]
pub(in crate::actor) struct DeadLetter {
    stored: StoredEffect,
    pub(in crate::actor) given_up: GivenUp,
}

impl DeadLetter {
    pub(super) fn new(stored: StoredEffect, given_up: GivenUp) -> DeadLetter {
        DeadLetter { stored, given_up }
    }

    pub(in crate::actor) fn effect(&self) -> &Effect {
        &self.stored.effect
    }

    fn bytes(&self) -> usize {
        self.stored.text.bytes().len()
    }

    fn read(letter: &Document) -> Option<DeadLetter> {
        let given_up = json::read_object(letter.bytes()).ok()?;
        Some(DeadLetter { stored: StoredEffect::read(letter.field("effect")?)?, given_up })
    }

    fn text(&self) -> Bytes {
        let GivenUp { reason, attempts, at_unix_ms } = &self.given_up;
        let head = json!({ "reason": reason, "attempts": attempts, "at_unix_ms": at_unix_ms }).to_string();
        json::with_field(&head, "effect", &self.stored.text)
    }
}

/// The dead letters of an actor, from old to new.
#[derive(Debug, Default)]
pub(in crate::actor) struct DeadLetters(VecDeque<DeadLetter>);

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
            return Err(backend::Error::Other(format!(
                "the state's {DEAD_LETTERS:?} was written by a newer host, in format {format}; this host reads {FORMAT}"
            )));
        }
        let letters = document.field("letters").ok_or_else(unreadable)?;
        let letters = letters.items().map(|letter| DeadLetter::read(&letter)).collect::<Option<_>>();
        letters.map(DeadLetters).ok_or_else(unreadable)
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
        Some(text.into())
    }

    /// Adds one; an effect that is among them already is replaced. Returns those that were dropped for it.
    pub(in crate::actor) fn add(&mut self, letter: DeadLetter) -> Vec<DeadLetter> {
        self.0.retain(|present| present.effect().id != letter.effect().id);
        self.0.push_back(letter);
        let mut dropped = Vec::new();
        while self.0.len() > MAX_LETTERS || (self.0.len() > 1 && self.bytes() > MAX_BYTES) {
            dropped.extend(self.0.pop_front());
        }
        dropped
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
    use super::*;
    use crate::fake::event;

    fn letter(name: &str) -> DeadLetter {
        let given_up = GivenUp { reason: format!("{name} \"failed\""), attempts: 5, at_unix_ms: 7 };
        DeadLetter::new(StoredEffect::new(event(name)).expect("it can be stored"), given_up)
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
    fn the_last_letters_are_kept_within_bounds() {
        let mut letters = DeadLetters::default();
        let dropped = (0..=MAX_LETTERS).flat_map(|number| letters.add(letter(&number.to_string())));
        let dropped = dropped.map(|letter| letter.effect().id.to_string()).collect::<Vec<_>>();
        assert_eq!((dropped, letters.0.len()), (vec!["0-0".to_owned()], MAX_LETTERS));
        letters.add(letter(&"x".repeat(MAX_BYTES)));
        assert_eq!(letters.0.len(), 1, "the latest is kept, whatever its size");
    }
}
