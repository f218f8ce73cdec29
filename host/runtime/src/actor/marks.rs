//! Marks of the calls that an actor has handled and that may be repeated.
//!
//! A mark identifies one call and nothing else. Lower offsets than a handled one prove nothing: a dead-lettered message
//! may be delivered again on purpose. The mark of an event also shows whether its content is the same, because its
//! producer chooses the id.
//!
//! Here they are as one value of the state has them. The [`mark_log`](super::mark_log) of an actor is several of them.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::request_hash::{EventContent, RequestHash};
use super::stored_format::unreadable_value;
use daca_model::backend;

/// The number of marks that are kept whatever their age: after an outage of hours the last messages are redelivered.
const MIN_MARKS: usize = 16;
/// The age in seconds after which further marks, and replies, are forgotten. The clocks are those of all hosts that
/// have had the actor, and one of them may jump. A jump alone forgets next to nothing, see [`MAX_EXPIRED_AT_ONCE`].
pub(super) const MARK_TTL: u32 = 600;
/// The maximum number of old marks, or replies, that are forgotten with each new call.
pub(super) const MAX_EXPIRED_AT_ONCE: usize = 2;
/// The size of a mark in bytes: the hash, and the second in which the message was handled.
const BYTES: usize = 8 + 4;
/// What a reference to a segment begins with, where a mark has its hash. Hosts of the release before take a reference for a
/// mark, of no call, and forget it first: it is older than the marks behind it.
const REFERENCE: [u8; 6] = *b"\0daca:";
/// The part of an event's hash that is of its identity. The rest is of its content ([`RequestHash::short`]): if it is
/// the same by chance, an event with a reused id counts as a repetition.
const EVENT_ID: usize = 6;

/// The marks of a value, oldest first, and the segments that have earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) segments: VecDeque<SegmentReference>,
    marks: VecDeque<Mark>,
}

/// A segment of earlier marks, from old to new. Two with the same reference have the same marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentReference {
    pub(super) number: u16,
    /// When the last of its marks was made, in seconds since 1970.
    pub(super) last: u32,
}

/// The mark of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
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
        let mut read = Marks::default();
        for mark in bytes.chunks(BYTES) {
            let (hash, handled) = mark.split_first_chunk::<8>()?;
            let mark = Mark { hash: *hash, handled: u32::from_be_bytes(*handled.first_chunk::<4>()?) };
            match SegmentReference::of_mark(mark) {
                Some(reference) => read.segments.push_back(reference),
                None => read.marks.push_back(mark),
            }
        }
        Some(read)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let all = self.segments.iter().map(|reference| reference.mark()).chain(self.marks.iter().copied());
        let bytes = all.flat_map(|mark| mark.hash.into_iter().chain(mark.handled.to_be_bytes()));
        Value::from(BASE64.encode(bytes.collect::<Vec<_>>())).to_string().into()
    }

    /// The marks, the last one first.
    pub(super) fn last_first(&self) -> impl Iterator<Item = &Mark> {
        self.marks.iter().rev()
    }

    /// Adds the mark of a call that is handled now, and forgets old ones.
    pub(super) fn add(&mut self, mark: Mark) {
        let is_old = |old: &Mark| mark.is_long_after(old.handled);
        self.marks.push_back(mark);
        for _ in 0..MAX_EXPIRED_AT_ONCE {
            if self.marks.len() > MIN_MARKS && self.marks.front().is_some_and(is_old) {
                self.marks.pop_front();
            }
        }
    }

    /// Takes the oldest marks out, for a segment.
    pub(super) fn take_oldest(&mut self, count: usize) -> Marks {
        let marks = self.marks.drain(..count.min(self.marks.len())).collect();
        Marks { marks, ..Marks::default() }
    }

    /// The number of marks.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// When the last of its marks was made, in seconds since 1970.
    pub(super) fn last(&self) -> u32 {
        self.marks.back().map_or(0, |mark| mark.handled)
    }
}

/// Returns `true` if one of these marks is of the call with this id.
pub(super) fn has_call<'m>(mut marks: impl Iterator<Item = &'m Mark>, id: &str) -> bool {
    let hash = hash(id);
    marks.any(|mark| mark.hash == hash)
}

/// Looks up an event among marks, the last one first: an event that was handled twice is that of its later content. `None`
/// if it was not handled, or else whether its content was the same.
pub(super) fn find_event<'m>(
    mut marks: impl Iterator<Item = &'m Mark>,
    id: &str,
    content: EventContent,
) -> Option<bool> {
    // Hosts before the comparison wrote the hash of the id alone, and later ones compared bytes.
    let old = hash(id);
    let same = [event_hash(id, content.meaning), event_hash(id, content.bytes), old];
    let mark = marks.find(|mark| mark.hash.get(..EVENT_ID) == old.get(..EVENT_ID))?;
    Some(same.contains(&mark.hash))
}

impl Mark {
    /// The mark of a call that is handled now, in seconds since 1970.
    pub(super) fn of_call(id: &str, now: u32) -> Mark {
        Mark { hash: hash(id), handled: now }
    }

    /// The same for an event.
    pub(super) fn of_event(id: &str, content: EventContent, now: u32) -> Mark {
        Mark { hash: event_hash(id, content.meaning), handled: now }
    }

    /// Returns `true` if what was handled at this time may be forgotten when this call is handled.
    pub(super) fn is_long_after(self, handled: u32) -> bool {
        self.handled.saturating_sub(handled) > MARK_TTL
    }
}

impl SegmentReference {
    fn of_mark(mark: Mark) -> Option<SegmentReference> {
        let number = mark.hash.strip_prefix(&REFERENCE)?.first_chunk::<2>()?;
        Some(SegmentReference { number: u16::from_be_bytes(*number), last: mark.handled })
    }

    /// In the form of a mark.
    fn mark(self) -> Mark {
        let ([a, b, c, d, e, f], [g, h]) = (REFERENCE, self.number.to_be_bytes());
        Mark { hash: [a, b, c, d, e, f, g, h], handled: self.last }
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
impl Marks {
    pub(super) fn has(&self, id: &str) -> bool {
        has_call(self.last_first(), id)
    }

    fn event(&self, id: &str, content: EventContent) -> Option<bool> {
        find_event(self.last_first(), id, content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_handled_is_known_and_no_other() {
        let mut marks = Marks::default();
        for id in ["b/t/0/5/1000", "b/t/1/9/900"] {
            assert!(!marks.has(id), "{id}");
            marks.add(Mark::of_call(id, 1_000));
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
        let mut marks = Marks::default();
        marks.add(Mark::of_call("event:old", 1_000));
        marks.add(Mark::of_event("event:a", one, 1_000));
        marks.add(Mark { hash: event_hash("event:bytes", one.bytes), handled: 1_000 });
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
        let mut marks = Marks::default();
        let add = |marks: &mut Marks, count: usize, second: u32| {
            (0..count).for_each(|number| marks.add(Mark::of_call(&format!("{second}-{number}"), second)));
        };
        add(&mut marks, 200, 1_000);
        assert_eq!((marks.len(), marks.has("1000-0")), (200, true));
        add(&mut marks, 1, 1_000 + MARK_TTL + 1);
        assert_eq!(marks.len(), 199, "a clock that jumps forgets next to nothing");
        add(&mut marks, MIN_MARKS - 1, 1_000 + MARK_TTL + 1);
        assert_eq!((marks.len(), marks.has("1000-31"), marks.has("1000-32")), (200 - MIN_MARKS, false, true));
        let before = marks.len();
        add(&mut marks, 1, 1_000);
        assert_eq!(marks.len(), before + 1, "and one that is set back nothing");
        let mut few = Marks::default();
        add(&mut few, MIN_MARKS, 1_000);
        add(&mut few, 1, 1_000 + 10 * MARK_TTL);
        assert_eq!(few.len(), MIN_MARKS);
    }

    /// A host of the release before reads a reference as a mark, and writes it again.
    #[test]
    fn a_reference_has_the_size_and_place_of_an_old_mark() {
        let reference = SegmentReference { number: 0x1234, last: 999 };
        let mut marks = Marks { segments: [reference].into(), ..Marks::default() };
        marks.add(Mark::of_call("a", 1_000));
        assert_eq!(Marks::parse(&marks.text()).as_ref(), Some(&marks));
        let text = daca_base::json::read::<String>(&marks.text()).expect("it is a string");
        let bytes = BASE64.decode(text).expect("it is base64");
        assert_eq!((bytes.len(), &bytes[..BYTES]), (2 * BYTES, &b"\0daca:\x12\x34\0\0\x03\xe7"[..]));
        assert!(!marks.has("\0daca:") && marks.has("a"));
    }
}
