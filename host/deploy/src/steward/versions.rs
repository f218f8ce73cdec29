//! The loaded versions of a deployment controller: those that turns may run on, and the target of a rollback.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Steward, blocking};
use crate::Error;
use crate::library::Stored;
use crate::record::Record;
use daca_base::digest::short;
use daca_runtime::component::{ComponentVersion, Rollout, Served};

impl Steward {
    /// All copies of one version share their counters.
    pub(super) fn load(&mut self, version: Arc<ComponentVersion>, label: Arc<str>) -> Arc<Served> {
        let digest = version.digest.clone();
        let counters = self.counters.entry(digest.clone()).or_default().clone();
        let served = Arc::new(Served { version, label, counters });
        self.loaded.insert(digest, served.clone());
        served
    }

    /// Drops versions that no turn runs on, except for the target of a rollback.
    pub(super) fn forget_unneeded(&mut self) {
        let mut needed = self.record.in_use();
        needed.extend(self.record.version_before().cloned());
        needed.insert(self.serving.now().serving.version.digest.clone());
        self.loaded.retain(|version, _| needed.contains(version));
        let is_known =
            |version: &String| self.record.versions.contains_key(version) || needed.contains(version);
        self.counters.retain(|version, _| is_known(version));
    }

    /// The rollout of a record. Loads missing versions.
    pub(super) async fn rollout(&mut self, record: &Record) -> Result<Rollout, Error> {
        let serving = self.served(&record.serving, record).await?;
        let canary = match &record.canary {
            Some(canary) => {
                self.served_if_there(&canary.version, record).await?.map(|served| (served, canary.share))
            }
            None => None,
        };
        let mut pins = BTreeMap::new();
        for (actor, version) in &record.pins {
            if let Some(served) = self.served_if_there(version, record).await? {
                pins.insert(actor.clone(), served);
            }
        }
        let first_label = record.first_label.as_deref().map(Arc::from);
        Ok(Rollout { serving, canary, pins, first_label })
    }

    /// `None` for a version that was left out at the start and is still unavailable.
    async fn served_if_there(
        &mut self,
        version: &str,
        record: &Record,
    ) -> Result<Option<Arc<Served>>, Error> {
        match self.served(version, record).await {
            Err(error) if self.left_out.contains(version) && !error.is_passing() => Ok(None),
            served => served.map(Some),
        }
    }

    pub(super) async fn served(&mut self, version: &str, record: &Record) -> Result<Arc<Served>, Error> {
        let label = record.label(version);
        if let Some(loaded) = self.loaded.get(version).filter(|loaded| *loaded.label == *label) {
            return Ok(loaded.clone());
        }
        let component = match self.loaded.get(version) {
            Some(loaded) => loaded.version.clone(),
            None => {
                let Stored { wasm, signature } = self.stored(version).await?;
                self.preparation.load(short(version), wasm, signature.as_deref()).await?
            }
        };
        Ok(self.load(component, label.into()))
    }

    /// The bytes of a version: from this host's folders, else from the other hosts.
    async fn stored(&self, version: &str) -> Result<Stored, Error> {
        let own = match self.load_own(version).await {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => Error::version_unknown(short(version)),
            Err(error) => error,
        };
        let Some(shared) = &self.shared else { return Err(own) };
        let stored = shared.get(version).await.map_err(|error| Error::shared_away(&error))?;
        let stored = stored.ok_or(own)?;
        if let Err(error) = self.store(version, stored.clone()).await {
            // It is fetched again after a restart, as long as another host has it.
            tracing::warn!(code = error.code.as_str(), agent_type = %self.agent.name, "{}", error.message);
        }
        Ok(stored)
    }

    pub(super) async fn store(&self, version: &str, stored: Stored) -> Result<(), Error> {
        let (library, agent_type, digest) =
            (self.library.clone(), self.agent.name.clone(), version.to_owned());
        blocking(move || library.store(&agent_type, &digest, &stored)).await
    }

    pub(super) async fn load_own(&self, version: &str) -> Result<Option<Stored>, Error> {
        let (library, agent_type, digest) =
            (self.library.clone(), self.agent.name.clone(), version.to_owned());
        blocking(move || library.load(&agent_type, &digest)).await
    }
}
