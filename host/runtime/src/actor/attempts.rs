//! The last calls that an actor has committed, for its next host.
//!
//! The backend may deliver a call again after the actor has moved ([`super::recent_calls`]). The new host finds the
//! call's mark and reply in the actor's state, and does not run it twice. Only calls that were under way during the
//! move can be repeated, so the last few are enough, and for some seconds.

use super::marks::MAX_EXPIRED_AT_ONCE;
use super::stored_format::check_format;
use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use daca_model::backend;
use sha2::{Digest as _, Sha256};

/// The maximum number of calls that are kept.
const MAX_CALLS: usize = 8;
/// The maximum size of their replies in bytes, so that they hardly weigh on a commit. For a longer reply only the call
/// is kept.
const MAX_BYTES: usize = 8 << 10;
/// The time in seconds after which a call is forgotten. A backend retries for about six seconds, a host for ten.
const CALL_TTL: u32 = 30;
/// The beginning of the SHA-256 of a call's mark.
pub(super) type Hash = [u8; 16];

/// The calls, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attempts(VecDeque<Attempt>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attempt {
    hash: Hash,
    /// Seconds since 1970.
    handled: u32,
    /// `None` if it was too long.
    reply: Option<Bytes>,
}

impl Attempts {
    /// Parses the stored value of a key. An invalid one counts as empty: the log only helps for some seconds after a move.
    /// One of a newer host is refused: it must not be lost with the next commit.
    pub(super) fn read(key: &str, value: Option<&Bytes>) -> Result<Attempts, backend::Error> {
        let Some(value) = value else { return Ok(Attempts::default()) };
        match Attempts::parse(value) {
            Some(attempts) => Ok(attempts),
            None => check_format(key, value, 1).map(|()| Attempts::default()),
        }
    }

    /// JSON, because every state store preserves it: for each call the hash, the second, and the reply.
    fn parse(value: &[u8]) -> Option<Attempts> {
        let calls = daca_base::json::read::<Vec<(String, u32, Option<String>)>>(value).ok()?;
        let calls = calls.into_iter().map(|(hash, handled, reply)| {
            let hash = Hash::try_from(hex::decode(hash).ok()?).ok()?;
            let reply = reply.map(|reply| BASE64.decode(reply)).transpose().ok()?.map(Bytes::from);
            Some(Attempt { hash, handled, reply })
        });
        let mut calls = calls.collect::<Option<VecDeque<_>>>()?;
        while calls.len() > MAX_CALLS {
            calls.pop_front();
        }
        Some(Attempts(calls))
    }

    pub(super) fn text(&self) -> String {
        let calls = self.0.iter().map(|call| {
            let reply = call.reply.as_ref().map(|reply| BASE64.encode(reply));
            serde_json::json!([hex::encode(call.hash), call.handled, reply])
        });
        serde_json::Value::Array(calls.collect()).to_string()
    }

    /// Looks up a call. Returns its reply, or `Some(None)` for a call whose reply was too long.
    pub(super) fn of(&self, mark: &str) -> Option<Option<&Bytes>> {
        let hash = hash(mark);
        self.0.iter().find(|call| call.hash == hash).map(|call| call.reply.as_ref())
    }

    /// All calls, with their replies unless those were too long.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Hash, Option<&Bytes>)> {
        self.0.iter().map(|call| (&call.hash, call.reply.as_ref()))
    }

    /// Returns the log with a call that is handled now, `now` in seconds since 1970.
    pub(super) fn with(&self, mark: &str, reply: &Bytes, now: u32) -> Attempts {
        let mut calls = self.0.clone();
        let reply = (reply.len() <= MAX_BYTES).then(|| reply.clone());
        calls.push_back(Attempt { hash: hash(mark), handled: now, reply });
        let is_old = |call: &Attempt| now.abs_diff(call.handled) > CALL_TTL;
        // The clocks are those of all hosts that have had the actor: a wrong one must not make everything be forgotten
        // at once.
        for _ in 0..MAX_EXPIRED_AT_ONCE {
            if calls.len() > MAX_CALLS || calls.front().is_some_and(is_old) {
                calls.pop_front();
            }
        }
        let mut bytes = 0;
        for call in calls.iter_mut().rev() {
            bytes += call.reply.as_ref().map_or(0, Bytes::len);
            if bytes > MAX_BYTES {
                call.reply = None;
            }
        }
        Attempts(calls)
    }
}

pub(super) fn hash(mark: &str) -> Hash {
    Sha256::digest(mark).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(attempts: &Attempts, mark: &str, bytes: usize, now: u32) -> Attempts {
        attempts.with(mark, &vec![b'x'; bytes].into(), now)
    }

    #[test]
    fn the_next_host_reads_what_was_written_and_takes_anything_else_for_nothing() {
        let attempts = with(&with(&Attempts::default(), "a", 5, 7), "b", MAX_BYTES + 1, 7);
        let read = Attempts::read("k", Some(&attempts.text().into())).expect("it is read");
        assert_eq!(read, attempts);
        assert_eq!(read.of("a"), Some(Some(&"xxxxx".into())));
        assert_eq!(read.of("b"), Some(None));
        assert_eq!(read.of("c"), None);
        for other in ["", "7", "{}", "[[\"\",1,null]]", "[[1]]", "[[\"00\",1,\"!\"]]", "\"x\""] {
            let read = Attempts::read("k", Some(&other.into())).expect("it is of no newer host");
            assert_eq!(read, Attempts::default(), "{other}");
        }
    }

    #[test]
    fn calls_are_forgotten_by_number_age_and_size() {
        let many = (0..=MAX_CALLS).fold(Attempts::default(), |calls, n| with(&calls, &n.to_string(), 1, 1));
        assert_eq!((many.0.len(), many.of("0"), many.of("1").is_some()), (MAX_CALLS, None, true));
        assert_eq!(
            with(&many, "later", 1, 2 + CALL_TTL).0.len(),
            MAX_CALLS + 1 - MAX_EXPIRED_AT_ONCE,
            "a clock that jumps forgets next to nothing"
        );
        // A clock that was set back keeps nothing for ever.
        assert_eq!(with(&with(&Attempts::default(), "a", 1, 1_000), "b", 1, 1).0.len(), 1);
        let large = with(&with(&Attempts::default(), "a", MAX_BYTES, 1), "b", 1, 1);
        assert_eq!((large.of("a"), large.of("b")), (Some(None), Some(Some(&"x".into()))));
    }
}
