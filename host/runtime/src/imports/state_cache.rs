//! State that an activation knows without asking the backend: one turn at a time, by one owner, makes that safe.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use super::scope::expiry;
use daca_model::backend::{Expiry, StateValue, StateWrite};

/// Bytes that one actor may keep in memory. More, and it starts afresh.
const MOST_BYTES: usize = 256 * 1024;

/// Committed values of one actor, and keys that are known to have none.
#[derive(Debug, Default)]
pub struct StateCache {
    values: HashMap<String, Option<StateValue>>,
    bytes: usize,
}

impl StateCache {
    /// Is the answer for this key known? An expired value is forgotten, since only the store decides what comes after it.
    pub(super) fn knows(&mut self, key: &str, now: SystemTime) -> bool {
        match self.values.get(key) {
            None => false,
            Some(Some(StateValue { expiry: Expiry::At(at), .. })) if *at <= now => {
                self.forget(key);
                false
            }
            Some(_) => true,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<StateValue> {
        self.values.get(key)?.clone()
    }

    /// Keeps what was read, as long as there is room, and it is known how long it holds.
    pub(super) fn keep(&mut self, key: &str, value: &Option<StateValue>) {
        let holds = value.as_ref().is_none_or(|value| value.expiry != Expiry::Unknown);
        if holds && self.bytes < MOST_BYTES {
            self.insert(key.to_owned(), value.clone());
        }
    }

    fn insert(&mut self, key: String, value: Option<StateValue>) {
        self.forget(&key);
        self.bytes += entry_bytes(&key, value.as_ref());
        self.values.insert(key, value);
    }

    /// Takes over what a turn has committed. `now` is a time before the commit, so that a value never lives longer here than
    /// in the store.
    pub fn apply(&mut self, writes: BTreeMap<String, StateWrite>, now: SystemTime) {
        for (key, write) in writes {
            let value = match write {
                StateWrite::Delete => None,
                StateWrite::Set { value, ttl } => Some(StateValue { value, expiry: expiry(ttl, now) }),
            };
            self.insert(key, value);
        }
    }

    /// Between turns: gives the memory back when it is too much.
    pub(crate) fn trim(&mut self) {
        if self.bytes > MOST_BYTES {
            self.clear();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = StateCache::default();
    }

    fn forget(&mut self, key: &str) {
        if let Some(old) = self.values.remove(key) {
            self.bytes -= entry_bytes(key, old.as_ref());
        }
    }
}

fn entry_bytes(key: &str, value: Option<&StateValue>) -> usize {
    const OVERHEAD: usize = 96;
    OVERHEAD + key.len() + value.map_or(0, |value| value.value.len())
}
