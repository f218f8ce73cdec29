//! The part of the [`Library`] that belongs to one agent type, for tasks that must not block.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Error;
use super::library::{Library, LocalRecord, Stored};

/// The folder of an agent type. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct TypeFolder {
    library: Library,
    agent_type: Arc<str>,
}

impl TypeFolder {
    pub(super) fn new(library: Library, agent_type: Arc<str>) -> TypeFolder {
        TypeFolder { library, agent_type }
    }

    /// The stored record; `None` if there is none.
    pub(super) async fn read_record(&self) -> Result<Option<LocalRecord>, Error> {
        self.with(|library, agent_type| library.read_record(agent_type)).await
    }

    pub(super) async fn write_record(&self, local: LocalRecord) -> Result<(), Error> {
        self.with(move |library, agent_type| library.write_record(agent_type, &local)).await
    }

    /// A version by its digest, from the data folder or the mounted one; `None` if it is in neither.
    pub(super) async fn load(&self, version: &str) -> Result<Option<Stored>, Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| library.load(agent_type, &version)).await
    }

    /// Stores a version. Does nothing if it is already stored.
    pub(super) async fn store(&self, version: &str, stored: Stored) -> Result<(), Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| library.store(agent_type, &version, &stored)).await
    }

    /// Removes all versions but these.
    pub(super) async fn keep_only(&self, versions: BTreeSet<String>) -> Result<(), Error> {
        let remove = move |library: &Library, agent_type: &str| {
            library.keep_only(agent_type, &versions);
            Ok(())
        };
        self.with(remove).await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Library, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let TypeFolder { library, agent_type } = self.clone();
        blocking(move || work(&library, &agent_type)).await
    }
}

/// Runs disk I/O on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_panicked| Err(Error::internal()))
}
