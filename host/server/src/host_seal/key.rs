//! The key of the seals, in the state that the hosts share: read now and then, by one call at a time, whoever asks. That
//! it cannot be read is remembered, too: anybody may send calls that ask for it.

use std::sync::Arc;
use std::time::Duration;

use daca_base::json;
use daca_model::backend::{self, SharedStore, SharedWriteError, stored_json};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The key of the hosts' key in the shared state.
const KEY: &str = "daca-hosts-key";
/// The time for which a host uses the key that it has read: somebody may have emptied the store.
const KEY_TIME: Duration = Duration::from_secs(60);
/// The time for which it does not ask again after a failure.
const FAILURE_TIME: Duration = Duration::from_secs(1);

pub(super) type Key = [u8; 32];

/// The hosts' key, as this host knows it.
pub(super) struct SharedKey {
    store: Arc<dyn SharedStore>,
    /// What the last read has found, and when.
    known: Mutex<Option<(Instant, Result<Key, backend::Error>)>>,
    /// Permits one read at a time.
    reading: Semaphore,
}

impl SharedKey {
    pub(super) fn new(store: Arc<dyn SharedStore>) -> SharedKey {
        SharedKey { store, known: Mutex::default(), reading: Semaphore::new(1) }
    }

    /// The key.
    pub(super) async fn get(&self) -> Result<Key, backend::Error> {
        if let Some(known) = self.known() {
            return known;
        }
        let _alone = self.reading.acquire().await;
        // Another call may have read it meanwhile.
        if let Some(known) = self.known() {
            return known;
        }
        let began = Instant::now();
        let key = self.read().await;
        // A failure may have taken longer than it counts.
        let since = if key.is_ok() { began } else { Instant::now() };
        *self.known.lock() = Some((since, key.clone()));
        key
    }

    fn known(&self) -> Option<Result<Key, backend::Error>> {
        let known = self.known.lock();
        let (since, key) = known.as_ref()?;
        let time = if key.is_ok() { KEY_TIME } else { FAILURE_TIME };
        (since.elapsed() < time).then(|| key.clone())
    }

    async fn read(&self) -> Result<Key, backend::Error> {
        match self.stored().await? {
            Some(key) => Ok(key),
            None => self.first().await,
        }
    }

    /// The key in the store.
    async fn stored(&self) -> Result<Option<Key>, backend::Error> {
        let read = self.store.read(&[KEY.to_owned()]).await?;
        let Some(value) = read.into_iter().flatten().next() else { return Ok(None) };
        let text = json::read::<String>(&value.value).ok().filter(|text| text.len() >= size_of::<Key>());
        let text = text.ok_or_else(|| {
            backend::Error::Other(format!("the shared {KEY:?} was not written by a host: remove it"))
        })?;
        Ok(Some(Sha256::digest(text).into()))
    }

    /// Makes the key, unless another host has just made it.
    async fn first(&self) -> Result<Key, backend::Error> {
        // Two random identifiers have 244 random bits.
        let text = format!("{}{}", daca_model::new_id(), daca_model::new_id());
        match self.store.write(KEY, stored_json(&text)?, Some(None)).await {
            Ok(()) | Err(SharedWriteError::Conflict) => {}
            Err(SharedWriteError::Failed(error)) => return Err(error),
        }
        let missing = || backend::Error::Unavailable("the hosts' key was written, and is not there".into());
        self.stored().await?.ok_or_else(missing)
    }
}
