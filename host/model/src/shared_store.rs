//! The values that all hosts of an app share.

use async_trait::async_trait;
use bytes::Bytes;

use crate::backend::Error;

/// Values that all hosts of an app share, for what they must agree on. Not for actors: no permissions are checked here.
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// Returns the values of some keys, in the order of the keys.
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, Error>;

    /// Writes a value. With `expected`, only if the key has that etag, or does not exist yet for an `expected` without
    /// one.
    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError>;

    /// Removes a value. Removing a key that does not exist is not an error.
    async fn delete(&self, key: &str) -> Result<(), Error>;
}

/// A value that hosts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedValue {
    /// The bytes.
    pub value: Bytes,
    /// Changes with every write.
    pub etag: String,
}

/// Why a shared value was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SharedWriteError {
    /// Another host wrote first.
    #[error("another host has written in the meantime")]
    Conflict,
    /// It could not be written.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Attempts at a change while other hosts write.
const MAX_ATTEMPTS: u32 = 5;

/// Writes what `change` makes of a shared value, and begins again if another host has written meanwhile. `change` returns
/// `None` if the value is to stay as it is. Called by what keeps a value that all hosts write. Returns `false` if others have
/// written each time.
///
/// # Errors
///
/// Those of `change`, and of the store.
pub async fn change_shared(
    store: &dyn SharedStore,
    key: &str,
    mut change: impl FnMut(Option<Bytes>) -> Result<Option<Bytes>, Error> + Send,
) -> Result<bool, Error> {
    let keys = [key.to_owned()];
    for _ in 0..MAX_ATTEMPTS {
        let (before, etag) = match store.read(&keys).await?.into_iter().flatten().next() {
            Some(SharedValue { value, etag }) => (Some(value), Some(etag)),
            None => (None, None),
        };
        let Some(after) = change(before)? else { return Ok(true) };
        match store.write(key, after, Some(etag.as_deref())).await {
            Ok(()) => return Ok(true),
            Err(SharedWriteError::Conflict) => {}
            Err(SharedWriteError::Failed(error)) => return Err(error),
        }
    }
    Ok(false)
}
