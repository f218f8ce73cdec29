//! State that an activation knows without asking the backend. It is safe because an actor has one owner and runs one
//! turn at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use super::expiry::expiry;
use daca_model::backend::{Expiry, StateValue, StateWrite};

/// The maximum size of an actor's cache in bytes. Beyond it, the cache is emptied.
const MAX_BYTES: usize = 256 * 1024;

/// Committed values of one actor, and keys that are known not to exist.
#[derive(Debug, Default)]
pub struct StateCache {
    values: HashMap<String, Option<StateValue>>,
    bytes: usize,
}

/// What a turn begins with: the cache, and what shows that it still holds.
#[derive(Debug, Default)]
pub struct KnownState {
    /// State that earlier turns have read or written.
    pub cache: StateCache,
    /// Counts this actor's nested turns that committed.
    pub nested_commits: Arc<AtomicU64>,
}

impl StateCache {
    /// Returns `true` if the value of this key is known. An expired value is forgotten, since only the store decides
    /// what follows it.
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

    /// Keeps a value that was read, if there is space and its expiry is known.
    pub(super) fn keep(&mut self, key: &str, value: &Option<StateValue>) {
        let holds = value.as_ref().is_none_or(|value| value.expiry != Expiry::Unknown);
        if holds && self.bytes < MAX_BYTES {
            self.insert(key.to_owned(), value.clone());
        }
    }

    fn insert(&mut self, key: String, value: Option<StateValue>) {
        let added = entry_bytes(&key, value.as_ref());
        match self.values.get_mut(&key) {
            Some(old) => {
                self.bytes -= entry_bytes(&key, old.as_ref());
                *old = value;
            }
            None => {
                self.values.insert(key, value);
            }
        }
        self.bytes += added;
    }

    /// Applies the writes of a committed turn. `now` is a time before the commit, so that a value never lives longer
    /// here than in the store.
    pub fn apply(&mut self, writes: BTreeMap<String, StateWrite>, now: SystemTime) {
        for (key, write) in writes {
            let value = match write {
                StateWrite::Delete => None,
                StateWrite::Set { value, ttl } => Some(StateValue { value, expiry: expiry(ttl, now) }),
            };
            self.insert(key, value);
        }
    }

    /// The bytes of the keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes as u64
    }

    /// Between turns: releases the memory if it is too much.
    pub(crate) fn trim(&mut self) {
        if self.bytes > MAX_BYTES {
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
