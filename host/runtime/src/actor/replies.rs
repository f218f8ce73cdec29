//! The last replies of an actor to calls with a key. A repeated call gets the reply to the first one.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::marks::{MARK_TTL, MAX_EXPIRED_AT_ONCE};
use super::request_hash::{HASH, RequestHash};
use super::stored_format::unreadable_value;
use daca_model::backend;

/// The maximum number of replies that are kept.
const MAX_REPLIES: usize = 64;
/// The maximum size of the kept replies in bytes, so that they hardly weigh on a commit. A longer reply is not kept.
const MAX_BYTES: usize = 16 << 10;

/// The replies, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Replies(VecDeque<StoredReply>);

/// A reply, and the call that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredReply {
    /// Hash of the call's id.
    id: [u8; HASH],
    pub(super) request: RequestHash,
    /// Seconds since 1970.
    handled: u32,
    pub(super) reply: Bytes,
}

impl Replies {
    /// Parses the stored value of a key, if there is one.
    pub(super) fn read(key: &str, value: Option<Bytes>) -> Result<Replies, backend::Error> {
        let Some(value) = value else { return Ok(Replies::default()) };
        Replies::parse(&value).ok_or_else(|| unreadable_value(key, &value))
    }

    /// JSON, because every state store preserves it: for each reply two hashes, the second, and the bytes.
    fn parse(value: &[u8]) -> Option<Replies> {
        let kept = daca_base::json::read::<Vec<(String, String, u32, String)>>(value).ok()?.into_iter();
        let kept = kept.map(|(id, request, handled, reply)| {
            let hash = |text: &str| <[u8; HASH]>::try_from(hex::decode(text).ok()?).ok();
            let reply = BASE64.decode(reply).ok()?.into();
            Some(StoredReply { id: hash(&id)?, request: RequestHash(hash(&request)?), handled, reply })
        });
        kept.collect::<Option<_>>().map(Replies)
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let kept = self.0.iter().map(|kept| {
            let StoredReply { id, request, handled, reply } = kept;
            json!([hex::encode(id), hex::encode(request.0), handled, BASE64.encode(reply)])
        });
        Value::from_iter(kept).to_string().into()
    }

    /// The reply to the call with this id, if it is still known.
    pub(super) fn of(&self, id: &str) -> Option<&StoredReply> {
        let id = hash(id);
        self.0.iter().find(|kept| kept.id == id)
    }

    /// The bytes of the replies.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|kept| kept.reply.len() as u64).sum()
    }

    /// Returns the replies with that to a call that is handled now.
    pub(super) fn with(&self, id: &str, request: RequestHash, reply: &Bytes, now: u32) -> Replies {
        if reply.len() > MAX_BYTES {
            return self.clone();
        }
        let mut bytes = reply.len();
        let is_kept = |kept: &&StoredReply| {
            bytes += kept.reply.len();
            bytes <= MAX_BYTES
        };
        let mut kept =
            self.0.iter().rev().take(MAX_REPLIES - 1).take_while(is_kept).cloned().collect::<VecDeque<_>>();
        kept.make_contiguous().reverse();
        let is_old = |kept: &StoredReply| now.saturating_sub(kept.handled) > MARK_TTL;
        for _ in 0..MAX_EXPIRED_AT_ONCE {
            if kept.front().is_some_and(is_old) {
                kept.pop_front();
            }
        }
        kept.push_back(StoredReply { id: hash(id), request, handled: now, reply: reply.clone() });
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
        let request = RequestHash::new("Say", b"{}");
        let replies = Replies::default().with("a", request, &"reply".into(), 7);
        let read = Replies::parse(&replies.text());
        assert_eq!(read.as_ref(), Some(&replies));
        let kept = replies.of("a").expect("it is kept");
        assert_eq!((&kept.reply[..], kept.request == request), (&b"reply"[..], true));
        assert!(replies.of("b").is_none());
        for other in
            [RequestHash::new("Say", b"[]"), RequestHash::new("Sa", b"y{}"), RequestHash::new("", b"Say{}")]
        {
            assert_ne!(kept.request, other);
        }
        for damaged in ["", "7", "[[\"00\",\"00\",1,\"\"]]", "[[\"\",\"\",1]]"] {
            assert_eq!(Replies::parse(damaged.as_bytes()), None, "{damaged}");
        }
    }

    /// However many keys there are and however long the replies, what is kept stays small.
    #[test]
    fn the_last_replies_are_kept_within_bounds() {
        let request = RequestHash::new("", b"");
        let add = |replies: &Replies, id: usize, length: usize, handled: u32| {
            replies.with(&id.to_string(), request, &vec![0; length].into(), handled)
        };
        let small = (0..=MAX_REPLIES).fold(Replies::default(), |replies, id| add(&replies, id, 10, 1));
        assert_eq!((small.0.len(), kept(&small, "0"), kept(&small, "1")), (MAX_REPLIES, None, Some(10)));
        let large = add(&small, 1_000, MAX_BYTES - 25, 1);
        assert_eq!((large.0.len(), kept(&large, "1000")), (3, Some(MAX_BYTES - 25)));
        let largest = add(&large, 1_001, MAX_BYTES, 1);
        assert_eq!((largest.0.len(), kept(&largest, "1001")), (1, Some(MAX_BYTES)));
        assert_eq!(add(&small, 1_001, MAX_BYTES + 1, 1), small);
        let later = add(&small, 1_002, 10, 2 + MARK_TTL);
        assert_eq!(
            later.0.len(),
            MAX_REPLIES - MAX_EXPIRED_AT_ONCE,
            "a clock that jumps forgets next to nothing"
        );
        let later = (0..MAX_REPLIES).fold(small, |replies, id| add(&replies, 2_000 + id, 10, 2 + MARK_TTL));
        assert_eq!((later.0.len(), kept(&later, &MAX_REPLIES.to_string())), (MAX_REPLIES, None));
    }
}
