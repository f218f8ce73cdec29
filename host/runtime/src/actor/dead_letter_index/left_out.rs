//! The actors with dead letters that do not fit into the index, so that each is counted once. A record has only a part of a
//! hash of each, in one text: a host that does not know the field keeps so much of what it does not know, and no more.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The actors of one agent type that are counted.
pub(super) const MAX_LEFT_OUT: usize = 5_000;
/// The hexadecimal digits of a hash.
const DIGITS: usize = 8;

/// The actors that are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(super) struct LeftOut(BTreeSet<u32>);

impl LeftOut {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts an actor, unless too many are counted.
    pub(super) fn add(&mut self, id: &str) {
        if self.0.len() < MAX_LEFT_OUT {
            self.0.insert(hash(id));
        }
    }

    /// Does not count an actor any more.
    pub(super) fn remove(&mut self, id: &str) {
        if !self.0.is_empty() {
            self.0.remove(&hash(id));
        }
    }
}

fn hash(id: &str) -> u32 {
    let digest = Sha256::digest(id);
    digest.iter().take(size_of::<u32>()).fold(0, |hash, byte| (hash << 8) | u32::from(*byte))
}

/// What no host wrote counts for nothing.
impl From<String> for LeftOut {
    fn from(text: String) -> LeftOut {
        let digits = text.as_bytes().chunks(DIGITS).filter_map(|digits| std::str::from_utf8(digits).ok());
        let hashes = digits.filter_map(|digits| u32::from_str_radix(digits, 16).ok());
        LeftOut(hashes.take(MAX_LEFT_OUT).collect())
    }
}

impl From<LeftOut> for String {
    fn from(left_out: LeftOut) -> String {
        left_out.0.iter().map(|hash| format!("{hash:0DIGITS$x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use daca_base::json::{self, UnknownFields};

    use super::*;

    /// Otherwise it would take the record for one that no host wrote, and begin a new one.
    #[test]
    fn a_host_that_does_not_know_the_field_keeps_it() {
        #[derive(Serialize)]
        struct Record {
            left_out_hashes: LeftOut,
        }
        #[derive(Serialize, Deserialize)]
        struct Older {
            #[serde(flatten)]
            unknown: UnknownFields,
        }
        let mut left_out = LeftOut::default();
        (0..2 * MAX_LEFT_OUT).for_each(|id| left_out.add(&id.to_string()));
        assert_eq!(left_out.len(), MAX_LEFT_OUT);
        let text = serde_json::to_string(&left_out).expect("it is JSON");
        assert_eq!(json::read::<LeftOut>(text.as_bytes()), Ok(left_out.clone()));
        let written = serde_json::to_string(&Record { left_out_hashes: left_out }).expect("it is JSON");
        let older = json::read::<Older>(written.as_bytes()).expect("it is kept");
        assert_eq!(serde_json::to_string(&older).expect("it is JSON"), written);
        assert!(json::read::<LeftOut>(b"\"no hash!\"").is_ok_and(|read| read.is_empty()));
    }
}
