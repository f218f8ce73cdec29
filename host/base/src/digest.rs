//! Names for bytes: their SHA-256.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of the parts in hexadecimal. Each is preceded by its length, so that none can run over into the next.
pub fn of_parts<const COUNT: usize>(parts: [&[u8]; COUNT]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

/// The SHA-256 of some bytes, in hexadecimal: the name of a component version.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The first twelve digits of a digest: the name of a version for people.
pub fn short(digest: &str) -> &str {
    &digest[..digest.floor_char_boundary(12)]
}
