//! A name for several parts that may be long.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of the parts in hexadecimal digits. Each goes in behind its length, so that none can run over into the next.
pub(crate) fn of_parts<const COUNT: usize>(parts: [&[u8]; COUNT]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}
