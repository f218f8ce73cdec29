//! What a call asks for, shortened to a hash: two calls with one identity are the same call only if it is the same.

use bytes::Bytes;
use daca_base::json::{Document, meaning_of};
use sha2::{Digest as _, Sha256};

/// The size of a hash in bytes.
pub(super) const HASH: usize = 16;

/// The content of a call, shortened to a hash: the method and its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestHash(pub(super) [u8; HASH]);

impl RequestHash {
    pub(super) fn new(method: &str, payload: &[u8]) -> RequestHash {
        let digest = Sha256::new_with_prefix(method).chain_update([0]).chain_update(payload).finalize();
        RequestHash(digest.first_chunk().copied().unwrap_or_default())
    }

    /// The beginning, where there is space for no more.
    pub(super) fn short(self) -> [u8; 2] {
        let [first, second, ..] = self.0;
        [first, second]
    }
}

/// The content of an event. Its producer may write the same thing in another way when it sends it again.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventContent {
    /// By what the payload means: this one is noted.
    pub(super) meaning: RequestHash,
    /// By the payload's bytes: earlier hosts noted that.
    pub(super) bytes: RequestHash,
}

impl EventContent {
    pub(super) fn new(method: &str, payload: &Bytes) -> EventContent {
        let bytes = RequestHash::new(method, payload);
        let meaning =
            Document::parse(payload).map(|document| RequestHash::new(method, &meaning_of(&document)));
        EventContent { meaning: meaning.unwrap_or(bytes), bytes }
    }
}
