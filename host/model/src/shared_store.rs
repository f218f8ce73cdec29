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
