//! A reply that counts against the host's budget of memory, until the last slice of it is dropped.

use bytes::Bytes;
use daca_base::memory::Reservation;

/// Replies up to this are not counted.
const SMALL: usize = 16 * 1024;

struct KeptReply {
    reply: Bytes,
    _reserved: Reservation,
}

impl AsRef<[u8]> for KeptReply {
    fn as_ref(&self) -> &[u8] {
        &self.reply
    }
}

/// Counts a reply. It is there already, and bounded by its type's limit, so it is not refused.
pub(super) fn kept(reply: Bytes, reservation: impl FnOnce() -> Reservation) -> Bytes {
    if reply.len() <= SMALL {
        return reply;
    }
    let mut reserved = reservation();
    reserved.grow(reply.len() as u64);
    Bytes::from_owner(KeptReply { reply, _reserved: reserved })
}
