//! Which messages of a broker an actor has handled, so that one that is delivered again is not handled again.
//!
//! The marks lie with the actor's state, under a key that no guest can name, and each is written in the commit of the turn that
//! handled the message. So they outlive the activation: a message whose acknowledgement was lost with its host comes to the
//! actor's next host. Nobody reads or writes them for calls that are no messages.
//!
//! A mark names one message and nothing else. Offsets below a handled one say nothing: a message that was set aside may be
//! delivered once more because somebody wants it so.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use super::ActorAddress;
use crate::backend::{self, Backend, StateWrite, TurnCommit};

/// The key of the marks. Keys that begin with `daca:` are the host's own ([`crate::imports`] refuses them to guests).
const KEY: &str = "daca:consumed";
/// Marks that are kept, at most: what a broker delivers again is what it was not told of in the last second or so.
const MOST: usize = 256;
/// Marks that are kept whatever their age: after an outage of hours the last messages come again.
const LEAST: usize = 16;
/// Seconds after which further ones are forgotten.
const KEPT_FOR: u32 = 600;
/// Bytes of a mark: those of a hash, and the second in which the message was handled.
const BYTES: usize = 8 + 4;

/// The marks of an actor, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Consumed(VecDeque<Mark>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The beginning of the SHA-256 of the message's name.
    hash: [u8; 8],
    /// Seconds since 1970.
    handled: u32,
}

impl Consumed {
    /// Reads the marks of an actor.
    pub(super) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
    ) -> Result<Consumed, backend::Error> {
        let read = backend.read_state(actor, &[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(Consumed::default()) };
        Consumed::parse(&value.value).ok_or_else(|| {
            backend::Error::Other(format!("the state's {KEY:?} is not what a host has written"))
        })
    }

    /// A JSON string, because that is what all state stores keep as it is.
    fn parse(value: &[u8]) -> Option<Consumed> {
        let bytes = BASE64.decode(serde_json::from_slice::<String>(value).ok()?).ok()?;
        let marks = bytes.chunks(BYTES).map(|mark| {
            let (hash, handled) = mark.split_first_chunk::<8>()?;
            Some(Mark { hash: *hash, handled: u32::from_be_bytes(*handled.first_chunk::<4>()?) })
        });
        marks.collect::<Option<_>>().map(Consumed)
    }

    fn text(&self) -> Vec<u8> {
        let bytes = self.0.iter().flat_map(|mark| mark.hash.into_iter().chain(mark.handled.to_be_bytes()));
        serde_json::to_vec(&BASE64.encode(bytes.collect::<Vec<_>>())).unwrap_or_default()
    }

    /// Was this message handled?
    pub(super) fn has(&self, message_id: &str) -> bool {
        let hash = hash(message_id);
        self.0.iter().any(|mark| mark.hash == hash)
    }

    /// Adds the mark of a message to the commit of the turn that handles it, and answers what is known once that is done.
    pub(super) fn after(&self, message_id: &str, commit: &mut TurnCommit) -> Consumed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let after = self.with(message_id, u32::try_from(now).unwrap_or(u32::MAX));
        commit.writes.insert(KEY.to_owned(), StateWrite::Set { value: after.text().into(), ttl: None });
        after
    }

    fn with(&self, message_id: &str, now: u32) -> Consumed {
        let mut marks = self.0.clone();
        marks.push_back(Mark { hash: hash(message_id), handled: now });
        let is_old = |mark: &Mark| now.saturating_sub(mark.handled) > KEPT_FOR;
        while marks.len() > MOST || (marks.len() > LEAST && marks.front().is_some_and(is_old)) {
            marks.pop_front();
        }
        Consumed(marks)
    }
}

fn hash(message_id: &str) -> [u8; 8] {
    Sha256::digest(message_id).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_was_handled_is_known_and_no_other() {
        let mut consumed = Consumed::default();
        for id in ["b/t/0/5/1000", "b/t/1/9/900"] {
            assert!(!consumed.has(id), "{id}");
            let mut commit = TurnCommit::default();
            consumed = consumed.after(id, &mut commit);
            assert_eq!(commit.writes.len(), 1);
        }
        let read = Consumed::parse(&consumed.text());
        assert_eq!(read.as_ref(), Some(&consumed));
        for (id, is_handled) in [
            ("b/t/0/5/1000", true),
            ("b/t/1/9/900", true),
            ("b/t/0/4/1000", false),
            ("b/t/0/5/999", false),
            ("b/t/2/5/1000", false),
            ("other/t/0/5/1000", false),
        ] {
            assert_eq!(consumed.has(id), is_handled, "{id}");
        }
        for damaged in ["", "7", "\"!\"", "\"AAAA\""] {
            assert_eq!(Consumed::parse(damaged.as_bytes()), None, "{damaged}");
        }
    }

    #[test]
    fn old_marks_go_and_the_last_ones_stay() {
        let at = |count: usize, second: u32, before: &Consumed| {
            (0..count).fold(before.clone(), |marks, number| marks.with(&format!("{second}-{number}"), second))
        };
        let many = at(MOST + 1, 1_000, &Consumed::default());
        assert_eq!((many.0.len(), many.has("1000-0"), many.has("1000-1")), (MOST, false, true));
        let later = at(1, 1_000 + KEPT_FOR + 1, &many);
        assert_eq!((later.0.len(), later.has(&format!("1000-{MOST}"))), (LEAST, true));
    }
}
