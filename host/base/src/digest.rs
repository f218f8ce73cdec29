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

/// Returns `true` if a digest begins with these digits, which people may write in capitals.
pub fn begins_with(digest: &str, digits: &str) -> bool {
    digest.get(..digits.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(digits))
}

/// The first twelve digits of a digest: the name of a version for people.
pub fn short(digest: &str) -> &str {
    &digest[..digest.floor_char_boundary(12)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_the_same_in_capitals() {
        for digits in ["", "3f", "3F2a", "3f2a91bc"] {
            assert!(begins_with("3f2a91bc", digits), "{digits}");
        }
        for digits in ["f", "3f2a91bc0", "3f2b", "\u{e9}", "3f2a91b\u{e9}"] {
            assert!(!begins_with("3f2a91bc", digits), "{digits}");
        }
    }
}
