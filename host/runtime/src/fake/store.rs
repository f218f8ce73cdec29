//! A store that the hosts of a unit test share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::{Error, SharedStore, SharedValue, SharedWriteError};
use parking_lot::Mutex;

/// The store: it can be away, and another host may be faster.
#[derive(Default)]
pub(crate) struct FakeStore {
    /// Values, and the number of the write that each is from, which is its etag.
    values: Mutex<BTreeMap<String, (Bytes, u64)>>,
    pub(crate) is_away: AtomicBool,
    /// So many of the next writes come too late.
    pub(crate) conflicts: AtomicU32,
    /// The writes that were made.
    pub(crate) writes: AtomicU32,
}

#[async_trait]
impl SharedStore for FakeStore {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("it is away".into()));
        }
        let values = self.values.lock();
        let read = |key: &String| {
            let (value, etag) = values.get(key)?;
            Some(SharedValue { value: value.clone(), etag: etag.to_string() })
        };
        Ok(keys.iter().map(read).collect())
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError> {
        let mut values = self.values.lock();
        let (present, number) = values.remove(key).unzip();
        let etag = number.map(|number: u64| number.to_string());
        let is_expected = expected.is_none_or(|expected| expected == etag.as_deref());
        let is_overtaken =
            self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let (value, result) = match present {
            present if !is_expected || is_overtaken.is_ok() => (present, Err(SharedWriteError::Conflict)),
            _ => (Some(value), Ok(())),
        };
        if let Some(value) = value {
            values.insert(key.to_owned(), (value, number.unwrap_or(0) + 1));
        }
        self.writes.fetch_add(u32::from(result.is_ok()), Ordering::Relaxed);
        result
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.values.lock().remove(key);
        Ok(())
    }
}
