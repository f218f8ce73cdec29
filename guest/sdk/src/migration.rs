//! Schema migration: state that changes its format from one version of an agent to the next.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, json};

/// The part of an actor's state that a `#[migrate]` function changes: those of its `keys` that exist.
///
/// After the function, this content replaces them: missing keys are deleted, the others are written, in the transaction
/// of the actor's first call on the new version. A key with a time to live keeps the rest of it if the store reports it.
/// Redis behind Dapr does not; a changed value then no longer expires.
///
/// Values are JSON, as in [`state`](crate::state); [`get_bytes`](Migration::get_bytes) and
/// [`set_bytes`](Migration::set_bytes) are for other bytes. To test such a function, `collect` pairs of keys and bytes
/// into a `Migration`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    entries: BTreeMap<String, Vec<u8>>,
}

impl Migration {
    pub(crate) fn new(entries: Vec<(String, Vec<u8>)>) -> Self {
        entries.into_iter().collect()
    }

    pub(crate) fn into_entries(self) -> Vec<(String, Vec<u8>)> {
        self.entries.into_iter().collect()
    }

    /// The value of a key; `None` when it does not exist.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] when the value is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        let decode = |bytes| json::decode(format_args!("the value under the key `{key}`"), bytes);
        Ok(self.get_bytes(key).map(decode).transpose()?)
    }

    /// The bytes of a key; `None` when it does not exist.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    /// Sets the value of a key, which may be a new one. Key and value are checked after the function: the limits are
    /// those of [`state::set`](crate::state::set), and beyond them the call fails.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] for a value that cannot be JSON.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Failure> {
        self.set_bytes(key, json::encode(format_args!("the value for the key `{key}`"), value)?);
        Ok(())
    }

    /// Sets the bytes of a key.
    pub fn set_bytes(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.entries.insert(key.to_owned(), value.into());
    }

    /// Removes a key. Removing a key that does not exist is not an error.
    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

impl FromIterator<(String, Vec<u8>)> for Migration {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}
