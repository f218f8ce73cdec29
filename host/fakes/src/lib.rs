//! Fakes that the unit tests of several crates of the host share. A crate of its own, so that no test changes the features
//! with which the host itself is built. A fake that only one crate needs stays in that crate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::{Error, SharedStore, SharedValue, SharedWriteError};
use parking_lot::Mutex;

/// A store that the hosts of a test share: it can be away, and another host may be faster.
#[derive(Debug, Default)]
pub struct FakeStore {
    /// Values, and the number of the write that each is from, which is its etag.
    values: Mutex<BTreeMap<String, (Bytes, u64)>>,
    writes: AtomicU64,
    conflicts: AtomicU32,
    error: Mutex<Option<Error>>,
}

impl FakeStore {
    /// Answers everything with an error from now on.
    pub fn fail(&self, error: Error) {
        *self.error.lock() = Some(error);
    }

    /// Answers again.
    pub fn recover(&self) {
        *self.error.lock() = None;
    }

    /// Lets so many of the next writes come too late: another host has written just before.
    pub fn overtake(&self, writes: u32) {
        self.conflicts.store(writes, Ordering::Relaxed);
    }

    /// The number of writes so far.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// A value, whatever the state of the store.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.values.lock().get(key).map(|(value, _)| value.clone())
    }

    /// Writes a value, whatever the state of the store.
    pub fn put(&self, key: &str, value: Bytes) {
        let number = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        self.values.lock().insert(key.to_owned(), (value, number));
    }

    fn check(&self) -> Result<(), Error> {
        self.error.lock().clone().map_or(Ok(()), Err)
    }

    /// Returns `true` if another host comes first this time.
    fn is_overtaken(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

#[async_trait]
impl SharedStore for FakeStore {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error> {
        self.check()?;
        let values = self.values.lock();
        let read = |key: &String| {
            let (value, number) = values.get(key)?;
            Some(SharedValue { value: value.clone(), etag: number.to_string() })
        };
        Ok(keys.iter().map(read).collect())
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError> {
        self.check()?;
        let etag = self.values.lock().get(key).map(|(_, number)| number.to_string());
        if expected.is_some_and(|expected| expected != etag.as_deref()) {
            return Err(SharedWriteError::Conflict);
        }
        if self.is_overtaken() {
            // The other host has written the same, which changes the etag.
            if let Some(value) = self.get(key) {
                self.put(key, value);
            }
            return Err(SharedWriteError::Conflict);
        }
        self.put(key, value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.check()?;
        self.values.lock().remove(key);
        Ok(())
    }
}
