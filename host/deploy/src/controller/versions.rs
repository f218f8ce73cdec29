//! The version cache of a deployment controller: the versions that turns may run on, and the target of a rollback.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::handle::NewVersion;
use super::runtime::{Version, VersionRuntime};
use crate::Error;
use crate::library::Stored;
use crate::prepare::Candidate;
use crate::record::Record;
use crate::shared::SharedType;
use crate::type_folder::TypeFolder;
use daca_base::digest::short;
use daca_runtime::component::{ActiveRollout, Counters, LoadedVersion, TrafficSplit};

/// The loaded versions of an agent type, and those that serve.
pub(super) struct VersionCache<R: VersionRuntime> {
    pub(super) agent_type: Arc<str>,
    pub(super) folder: TypeFolder,
    pub(super) runtime: R,
    pub(super) loaded: BTreeMap<String, Arc<LoadedVersion<R::Version>>>,
    /// All copies of one version share their counters.
    pub(super) counters: BTreeMap<String, Arc<Counters>>,
    /// Canaries and pinned versions that could not be loaded at the start: they block no change.
    pub(super) left_out: BTreeSet<String>,
    /// The versions that turns read.
    pub(super) active: Arc<ActiveRollout<R::Version>>,
}

impl<R: VersionRuntime> VersionCache<R> {
    /// The digest of the version that this host serves.
    pub(super) fn serving(&self) -> String {
        self.active.now().serving.version.digest().to_owned()
    }

    /// Takes a new version into memory and stores it on disk.
    pub(super) async fn add(&mut self, new: &NewVersion<R::Version>) -> Result<(), Error> {
        let NewVersion { version, label, stored } = new;
        self.folder.store(version.digest(), stored.clone()).await?;
        self.insert(version.clone(), label.clone());
        Ok(())
    }

    /// The split of a record. Loads missing versions, those that this host lacks from the `shared` state.
    pub(super) async fn split(
        &mut self,
        record: &Record,
        shared: Option<&SharedType>,
    ) -> Result<TrafficSplit<R::Version>, Error> {
        let serving = self.get(&record.serving, record, shared).await?;
        let canary = match &record.canary {
            Some(canary) => {
                let loaded = self.get_unless_left_out(&canary.version, record, shared).await?;
                loaded.map(|loaded| (loaded, canary.share))
            }
            None => None,
        };
        let mut pins = BTreeMap::new();
        for (actor, version) in &record.pins {
            if let Some(loaded) = self.get_unless_left_out(version, record, shared).await? {
                pins.insert(actor.clone(), loaded);
            }
        }
        let first_label = record.first_label.as_deref().map(Arc::from);
        Ok(TrafficSplit { serving, canary, pins, first_label })
    }

    /// `None` for a version that was left out at the start and is still unavailable.
    async fn get_unless_left_out(
        &mut self,
        version: &str,
        record: &Record,
        shared: Option<&SharedType>,
    ) -> Result<Option<Arc<LoadedVersion<R::Version>>>, Error> {
        match self.get(version, record, shared).await {
            Err(error) if self.left_out.contains(version) && !error.is_retryable() => Ok(None),
            loaded => loaded.map(Some),
        }
    }

    /// A version with the label that the record gives it, and the name of its file. Loads it if it is missing.
    pub(super) async fn get(
        &mut self,
        version: &str,
        record: &Record,
        shared: Option<&SharedType>,
    ) -> Result<Arc<LoadedVersion<R::Version>>, Error> {
        let (label, file) = (record.label(version), record.file_of(version));
        let loaded = self.loaded.get(version).filter(|loaded| loaded.version.shows(file.as_ref()));
        if let Some(loaded) = loaded.filter(|loaded| *loaded.label == *label) {
            return Ok(loaded.clone());
        }
        let component = match loaded {
            Some(loaded) => loaded.version.clone(),
            None => {
                let stored = self.stored(version, shared).await?;
                self.runtime.load(Candidate { name: short(version), file, stored }).await?
            }
        };
        Ok(self.insert(component, label.into()))
    }

    fn insert(&mut self, version: Arc<R::Version>, label: Arc<str>) -> Arc<LoadedVersion<R::Version>> {
        let digest = version.digest().to_owned();
        let counters = self.counters.entry(digest.clone()).or_default().clone();
        let loaded = Arc::new(LoadedVersion { version, label, counters });
        self.loaded.insert(digest, loaded.clone());
        loaded
    }

    /// The bytes of a version: from this host's folders, else from the other hosts.
    async fn stored(&self, version: &str, shared: Option<&SharedType>) -> Result<Stored, Error> {
        let own = match self.folder.load(version).await {
            Ok(Some(stored)) => {
                self.keep_copy(version, &stored).await;
                return Ok(stored);
            }
            Ok(None) => Error::version_unknown(short(version)),
            Err(error) => error,
        };
        let Some(shared) = shared else { return Err(own) };
        let stored = shared.get(version).await.map_err(|error| Error::shared_unavailable(&error))?;
        let stored = stored.ok_or(own)?;
        self.keep_copy(version, &stored).await;
        Ok(stored)
    }

    /// Stores a version that this host's own folder may lack. Without it, the next start needs the mounted folder or
    /// another host.
    async fn keep_copy(&self, version: &str, stored: &Stored) {
        if let Err(error) = self.folder.store(version, stored.clone()).await {
            tracing::warn!(code = error.code.as_str(), agent_type = %self.agent_type, "{}", error.message);
        }
    }

    /// Has turns use a split from now on.
    pub(super) fn swap(&self, split: TrafficSplit<R::Version>) {
        self.active.replace(split);
    }

    /// Has turns check the schema of state from now on. A version that others have and this host lacks may migrate
    /// actors that move here later; the version here must not mistake their state for an empty one.
    pub(super) fn enable_schema_check(&self, first_label: Option<&str>) {
        let now = self.active.now();
        let (Some(first_label), None) = (first_label, &now.first_label) else { return };
        self.swap(TrafficSplit { first_label: Some(first_label.into()), ..TrafficSplit::clone(&now) });
    }

    /// Drops loaded versions that no turn runs on, except for the target of a rollback.
    pub(super) fn drop_unneeded(&mut self, record: &Record) {
        let mut needed = record.in_use();
        needed.extend(record.previous_version().cloned());
        needed.insert(self.serving());
        self.loaded.retain(|version, _| needed.contains(version));
        let is_known = |version: &String| record.versions.contains_key(version) || needed.contains(version);
        self.counters.retain(|version, _| is_known(version));
    }

    /// Removes what is stored of versions that the record no longer has, and lets idle actors leave them.
    pub(super) async fn remove_unneeded(&self, record: &Record) {
        let digests = record.versions.keys().cloned().collect::<BTreeSet<_>>();
        self.folder.keep_only(digests.clone()).await.ok(); // retried after the next deployment
        self.runtime.keep_code_of(digests).await;
        let runtime = self.runtime.clone();
        // In the background: nobody waits for it, and callers must not notice.
        tokio::spawn(async move { runtime.drop_outdated_instances().await });
    }
}
