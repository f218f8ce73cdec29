//! The part of the [`Library`] that belongs to one agent type, for tasks that must not block.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Error;
use super::library::{Library, Lost, Missing, Stored};
use super::record::{LocalRecord, Record};
use super::watch::Stamp;
use daca_manifest::DeployRules;

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

    /// Writes the record. Returns the state of its file, for [`TypeFolder::find_missing`].
    pub(super) async fn write_record(&self, local: LocalRecord) -> Result<Stamp, Error> {
        self.with(move |library, agent_type| library.write_record(agent_type, &local)).await
    }

    /// Looks for the stored record, and for the files of the versions in `needed`, with the signatures that the rules
    /// require. `seen` is the state of the record's file as it was written or found last, if that is known; the result has
    /// the present one.
    /// The outer error says nothing of the files.
    pub(super) async fn find_missing(
        &self,
        record: Arc<Record>,
        seen: Option<Stamp>,
        needed: BTreeSet<String>,
        rules: Arc<DeployRules>,
    ) -> Result<Result<Stamp, Missing>, Error> {
        self.with(move |library, agent_type| {
            Ok(library.find_missing(agent_type, &record, seen, &needed, &rules.signers))
        })
        .await
    }

    /// Returns `true` if the folders are not those of the start any more.
    pub(super) async fn is_gone(&self) -> bool {
        // After a panic, which is in the log, nothing is known.
        self.with(|library, _| Ok(library.is_gone())).await.unwrap_or(false)
    }

    /// The record that was here, if it is gone. Called at a start that has found none.
    pub(super) async fn find_lost(&self) -> Result<Option<Lost>, Error> {
        self.with(|library, agent_type| library.find_lost(agent_type)).await
    }

    /// A version by its digest, from the data folder or the mounted one; `None` if it is in neither.
    pub(super) async fn load(&self, version: &str) -> Result<Option<Stored>, Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| library.load(agent_type, &version)).await
    }

    /// A version that the record names. It is stored if only the mounted folder has it whole, which may change.
    pub(super) async fn load_recorded(&self, version: &str) -> Result<Stored, Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| {
            let stored = library.load(agent_type, &version)?.ok_or_else(|| {
                Error::version_missing(agent_type, &version, &library.folder_of(agent_type))
            })?;
            library.store(agent_type, &version, &stored)?;
            Ok(stored)
        })
        .await
    }

    /// Stores a version. Does nothing if it is already stored.
    pub(super) async fn store(&self, version: &str, stored: Stored) -> Result<(), Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| library.store(agent_type, &version, &stored)).await
    }

    /// Stores a version again if the next start could not serve the stored one. Returns `false` if it could.
    pub(super) async fn restore(
        &self,
        version: &str,
        stored: Stored,
        rules: Arc<DeployRules>,
    ) -> Result<bool, Error> {
        let version = version.to_owned();
        self.with(move |library, agent_type| library.restore(agent_type, &version, &stored, &rules.signers))
            .await
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
