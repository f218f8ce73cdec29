//! State that changes its shape from one version of an agent to the next.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, json};

/// The part of an actor's state that a `#[migrate]` function changes: the keys that it has asked for and that exist.
///
/// When the function is done, what is in here takes their place: keys that are gone are deleted, the others written, in
/// the transaction of the actor's first call on the new version. A key that had a time to live keeps what is left of it,
/// where the store tells it; Redis behind Dapr does not, and a changed value then stays.
///
/// Values are JSON, as in [`state`](crate::state); [`get_bytes`](Migration::get_bytes) and
/// [`set_bytes`](Migration::set_bytes) are for those that are not. To test such a function, make one with `collect`, of
/// keys and bytes.
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

    /// The value under a key; none when there is none.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] when there is a value of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Failure> {
        let decode = |bytes| json::decode(format_args!("the value under the key `{key}`"), bytes);
        Ok(self.get_bytes(key).map(decode).transpose()?)
    }

    /// The bytes under a key; none when there is none.
    pub fn get_bytes(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(Vec::as_slice)
    }

    /// Puts a value under a key, which may be a new one. Whether the key and the value can be kept is seen when the
    /// function is done: the limits are those of [`state::set`](crate::state::set), and beyond them the call fails.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] for a value that cannot be JSON.
    pub fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Failure> {
        self.set_bytes(key, json::encode(format_args!("the value for the key `{key}`"), value)?);
        Ok(())
    }

    /// Puts bytes under a key as they are.
    pub fn set_bytes(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.entries.insert(key.to_owned(), value.into());
    }

    /// Removes a key. One that does not exist is no error.
    pub fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

impl FromIterator<(String, Vec<u8>)> for Migration {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}
