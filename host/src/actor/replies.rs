//! The last replies of an actor to calls that carry a key: whoever repeats such a call gets what the first one was answered.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::marks::KEPT_FOR;
use crate::backend::{self, StateWrite, TurnCommit};

/// Where they lie. Keys that begin with `daca:` are the host's own ([`crate::imports`] refuses them to guests).
pub(super) const KEY: &str = "daca:replies";
/// Replies that are kept, at most.
const MOST: usize = 64;
/// Bytes of replies that are kept, at most, so that they hardly weigh on a commit. A longer one is not kept at all.
const MOST_BYTES: usize = 16 << 10;
/// Bytes of a hash.
const HASH: usize = 16;

/// What was called, shortened to a hash: the method and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request([u8; HASH]);

impl Request {
    pub(super) fn new(method: &str, payload: &[u8]) -> Request {
        let digest = Sha256::new_with_prefix(method).chain_update([0]).chain_update(payload).finalize();
        Request(digest.first_chunk().copied().unwrap_or_default())
    }
}

/// The replies, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Replies(VecDeque<Kept>);

/// A reply, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// Hash of the call's id.
    id: [u8; HASH],
    pub(super) request: Request,
    /// Seconds since 1970.
    handled: u32,
    pub(super) reply: Bytes,
}

impl Replies {
    /// Reads what is kept of an actor, if anything is.
    pub(super) fn read(value: Option<Bytes>) -> Result<Replies, backend::Error> {
        let Some(value) = value else { return Ok(Replies::default()) };
        Replies::parse(&value).ok_or_else(|| {
            backend::Error::Other(format!("the state's {KEY:?} is not what a host has written"))
        })
    }

    /// JSON, because that is what all state stores keep as it is: of each reply two hashes, the second, and the bytes.
    fn parse(value: &[u8]) -> Option<Replies> {
        let kept = serde_json::from_slice::<Vec<(String, String, u32, String)>>(value).ok()?.into_iter();
        let kept = kept.map(|(id, request, handled, reply)| {
            let hash = |text: &str| <[u8; HASH]>::try_from(hex::decode(text).ok()?).ok();
            let reply = BASE64.decode(reply).ok()?.into();
            Some(Kept { id: hash(&id)?, request: Request(hash(&request)?), handled, reply })
        });
        kept.collect::<Option<_>>().map(Replies)
    }

    fn text(&self) -> Vec<u8> {
        let kept = self.0.iter().map(|kept| {
            let Kept { id, request, handled, reply } = kept;
            (hex::encode(id), hex::encode(request.0), handled, BASE64.encode(reply))
        });
        serde_json::to_vec(&kept.collect::<Vec<_>>()).unwrap_or_default()
    }

    /// What the call with this id was answered, if that is still known.
    pub(super) fn of(&self, id: &str) -> Option<&Kept> {
        let id = hash(id);
        self.0.iter().find(|kept| kept.id == id)
    }

    /// Adds a reply to the commit of the turn that gives it, and answers what is known once that is done.
    pub(super) fn after(
        &self,
        id: &str,
        request: Request,
        reply: &Bytes,
        now: u32,
        commit: &mut TurnCommit,
    ) -> Replies {
        let after = self.with(Kept { id: hash(id), request, handled: now, reply: reply.clone() });
        commit.writes.insert(KEY.to_owned(), StateWrite::Set { value: after.text().into(), ttl: None });
        after
    }

    fn with(&self, last: Kept) -> Replies {
        if last.reply.len() > MOST_BYTES {
            return self.clone();
        }
        let now = last.handled;
        let mut bytes = last.reply.len();
        let is_kept = |kept: &&Kept| {
            bytes += kept.reply.len();
            bytes <= MOST_BYTES && now.saturating_sub(kept.handled) <= KEPT_FOR
        };
        let mut kept =
            self.0.iter().rev().take(MOST - 1).take_while(is_kept).cloned().collect::<VecDeque<_>>();
        kept.make_contiguous().reverse();
        kept.push_back(last);
        Replies(kept)
    }
}

fn hash(id: &str) -> [u8; HASH] {
    Sha256::digest(id).first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(replies: &Replies, id: &str) -> Option<usize> {
        replies.of(id).map(|kept| kept.reply.len())
    }

    #[test]
    fn what_is_written_is_read_again_and_anything_else_is_refused() {
        let mut commit = TurnCommit::default();
        let request = Request::new("Say", b"{}");
        let replies = Replies::default().after("key:a", request, &"reply".into(), 7, &mut commit);
        assert_eq!(commit.writes.len(), 1);
        let read = Replies::parse(&replies.text());
        assert_eq!(read.as_ref(), Some(&replies));
        let kept = replies.of("key:a").expect("it is kept");
        assert_eq!((&kept.reply[..], kept.request == request), (&b"reply"[..], true));
        assert!(replies.of("key:b").is_none());
        for other in [Request::new("Say", b"[]"), Request::new("Sa", b"y{}"), Request::new("", b"Say{}")] {
            assert_ne!(kept.request, other);
        }
        for damaged in ["", "7", "[[\"00\",\"00\",1,\"\"]]", "[[\"\",\"\",1]]"] {
            assert_eq!(Replies::parse(damaged.as_bytes()), None, "{damaged}");
        }
    }

    /// However many keys there are and however long the replies, what is kept stays small.
    #[test]
    fn the_last_replies_are_kept_within_bounds() {
        let reply = |id: usize, length: usize, handled: u32| Kept {
            id: hash(&id.to_string()),
            request: Request::new("", b""),
            handled,
            reply: vec![0; length].into(),
        };
        let small = (0..=MOST).fold(Replies::default(), |replies, id| replies.with(reply(id, 10, 1)));
        assert_eq!((small.0.len(), kept(&small, "0"), kept(&small, "1")), (MOST, None, Some(10)));
        let large = small.with(reply(1_000, MOST_BYTES - 25, 1));
        assert_eq!((large.0.len(), kept(&large, "1000")), (3, Some(MOST_BYTES - 25)));
        let largest = large.with(reply(1_001, MOST_BYTES, 1));
        assert_eq!((largest.0.len(), kept(&largest, "1001")), (1, Some(MOST_BYTES)));
        assert_eq!(small.with(reply(1_001, MOST_BYTES + 1, 1)), small);
        let later = small.with(reply(1_002, 10, 2 + KEPT_FOR));
        assert_eq!(later.0.len(), 1);
    }
}
