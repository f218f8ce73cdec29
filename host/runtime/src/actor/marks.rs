//! Marks of the calls that an actor has handled and that may be repeated.
//!
//! A mark identifies one call and nothing else. Lower offsets than a handled one prove nothing: a dead-lettered message
//! may be delivered again on purpose. The mark of an event also shows whether its content is the same, because its
//! producer chooses the id.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::request_hash::{EventContent, RequestHash};
use super::stored_format::unreadable_value;
use daca_model::backend;

/// The maximum number of marks: repeated calls are most often from the last seconds.
const MAX_MARKS: usize = 256;
/// The number of marks that are kept whatever their age: after an outage of hours the last messages are redelivered.
const MIN_MARKS: usize = 16;
/// The age in seconds after which further marks, and replies, are forgotten. The clocks are those of all hosts that
/// have had the actor, and one of them may jump. A jump alone forgets next to nothing, see [`MAX_EXPIRED_AT_ONCE`].
pub(super) const MARK_TTL: u32 = 600;
/// The maximum number of old marks, or replies, that are forgotten with each new call.
pub(super) const MAX_EXPIRED_AT_ONCE: usize = 2;
/// The size of a mark in bytes: the hash, and the second in which the message was handled.
const BYTES: usize = 8 + 4;
/// The part of an event's hash that is of its identity. The rest is of its content ([`RequestHash::short`]): if it is
/// the same by chance, an event with a reused id counts as a repetition.
const EVENT_ID: usize = 6;

/// The marks of an actor, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks(VecDeque<Mark>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The beginning of the SHA-256 of the call's id. Of an event, the last bytes are those of its content's hash.
    hash: [u8; 8],
    /// Seconds since 1970.
    handled: u32,
}

impl Marks {
    /// Parses the stored value of a key, if there is one.
    pub(super) fn read(key: &str, value: Option<Bytes>) -> Result<Marks, backend::Error> {
        let Some(value) = value else { return Ok(Marks::default()) };
        Marks::parse(&value).ok_or_else(|| unreadable_value(key, &value))
    }

    /// A JSON string, because every state store preserves it.
    fn parse(value: &[u8]) -> Option<Marks> {
        let bytes = BASE64.decode(daca_base::json::read::<String>(value).ok()?).ok()?;
        let marks = bytes.chunks(BYTES).map(|mark| {
            let (hash, handled) = mark.split_first_chunk::<8>()?;
            Some(Mark { hash: *hash, handled: u32::from_be_bytes(*handled.first_chunk::<4>()?) })
        });
        marks.collect::<Option<_>>().map(Marks)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let bytes = self.0.iter().flat_map(|mark| mark.hash.into_iter().chain(mark.handled.to_be_bytes()));
        Value::from(BASE64.encode(bytes.collect::<Vec<_>>())).to_string().into()
    }

    /// Returns `true` if the call with this id was handled.
    pub(super) fn has(&self, id: &str) -> bool {
        let hash = hash(id);
        self.0.iter().any(|mark| mark.hash == hash)
    }

    /// Looks up an event. `None` if it was not handled, or else whether its content was the same.
    pub(super) fn event(&self, id: &str, content: EventContent) -> Option<bool> {
        // Hosts before the comparison wrote the hash of the id alone, and later ones compared bytes.
        let old = hash(id);
        let same = [event_hash(id, content.meaning), event_hash(id, content.bytes), old];
        let is_of_event = |mark: &&Mark| mark.hash.get(..EVENT_ID) == old.get(..EVENT_ID);
        // The last one: an event that was handled twice is that of its later content.
        let mark = self.0.iter().rev().find(is_of_event)?;
        Some(same.contains(&mark.hash))
    }

    /// Returns the marks with that of a call that is handled now.
    pub(super) fn with(&self, id: &str, now: u32) -> Marks {
        self.with_hash(hash(id), now)
    }

    /// The same for an event.
    pub(super) fn with_event(&self, id: &str, content: EventContent, now: u32) -> Marks {
        self.with_hash(event_hash(id, content.meaning), now)
    }

    fn with_hash(&self, hash: [u8; 8], now: u32) -> Marks {
        let mut marks = self.0.clone();
        marks.push_back(Mark { hash, handled: now });
        let is_old = |mark: &Mark| now.saturating_sub(mark.handled) > MARK_TTL;
        for _ in 0..MAX_EXPIRED_AT_ONCE {
            if marks.len() > MAX_MARKS || (marks.len() > MIN_MARKS && marks.front().is_some_and(is_old)) {
                marks.pop_front();
            }
        }
        Marks(marks)
    }
}

fn hash(id: &str) -> [u8; 8] {
    Sha256::digest(id).first_chunk().copied().unwrap_or_default()
}

fn event_hash(id: &str, content: RequestHash) -> [u8; 8] {
    let mut hash = hash(id);
    if let Some(end) = hash.last_chunk_mut::<2>() {
        *end = content.short();
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_handled_is_known_and_no_other() {
        let mut marks = Marks::default();
        for id in ["b/t/0/5/1000", "b/t/1/9/900"] {
            assert!(!marks.has(id), "{id}");
            marks = marks.with(id, 1_000);
        }
        let read = Marks::parse(&marks.text());
        assert_eq!(read.as_ref(), Some(&marks));
        for (id, is_handled) in [
            ("b/t/0/5/1000", true),
            ("b/t/1/9/900", true),
            ("b/t/0/4/1000", false),
            ("b/t/0/5/999", false),
            ("b/t/2/5/1000", false),
            ("other/t/0/5/1000", false),
        ] {
            assert_eq!(marks.has(id), is_handled, "{id}");
        }
        for damaged in ["", "7", "\"!\"", "\"AAAA\""] {
            assert_eq!(Marks::parse(damaged.as_bytes()), None, "{damaged}");
        }
    }

    #[test]
    fn the_mark_of_an_event_shows_whether_its_content_is_the_same() {
        let content = |payload: &'static str| EventContent::new("Add", &payload.into());
        let (one, two) = (content(r#"{"a":1,"b":2}"#), content(r#"{"a":1,"b":3}"#));
        let marks = Marks::default().with("event:old", 1_000).with_event("event:a", one, 1_000);
        let marks = marks.with_hash(event_hash("event:bytes", one.bytes), 1_000);
        let marks = Marks::parse(&marks.text()).expect("it was written");
        for (id, content, known) in [
            ("event:a", one, Some(true)),
            ("event:a", content("{ \"b\": 2, \"a\": 1 }"), Some(true)),
            ("event:a", two, Some(false)),
            ("event:a", content("no JSON"), Some(false)),
            ("event:b", one, None),
            // Written before contents were compared, and while their bytes were.
            ("event:old", one, Some(true)),
            ("event:bytes", one, Some(true)),
            ("event:bytes", two, Some(false)),
        ] {
            assert_eq!(marks.event(id, content), known, "{id}");
        }
    }

    #[test]
    fn old_marks_go_and_the_last_ones_stay() {
        let at = |count: usize, second: u32, before: &Marks| {
            (0..count).fold(before.clone(), |marks, number| marks.with(&format!("{second}-{number}"), second))
        };
        let many = at(MAX_MARKS + 1, 1_000, &Marks::default());
        assert_eq!((many.0.len(), many.has("1000-0"), many.has("1000-1")), (MAX_MARKS, false, true));
        let later = at(1, 1_000 + MARK_TTL + 1, &many);
        assert_eq!(later.0.len(), MAX_MARKS - 1, "a clock that jumps forgets next to nothing");
        let later = at(MIN_MARKS, 1_000 + MARK_TTL + 1, &many);
        assert_eq!((later.0.len(), later.has("1000-1")), (MAX_MARKS - MIN_MARKS, false));
        let later = at(MAX_MARKS, 1_000 + MARK_TTL + 1, &many);
        let earlier = at(1, 1_000, &later);
        assert_eq!(
            (later.0.len(), earlier.0.len()),
            (MAX_MARKS, MAX_MARKS),
            "and one that is set back nothing"
        );
    }
}
