//! The reports of a deployer: the serving versions, here and on other hosts, and whether they are stored.

use daca_model::admin::HostVersions;
use daca_model::backend::Readiness;
use tokio::sync::watch;

use super::Deployer;
use super::error::Error;
use super::library::Mounted;
use super::request::TypeView;
use super::type_folder::blocking;

impl Deployer {
    /// The state of all agent types.
    pub fn views(&self) -> Vec<TypeView> {
        let views = self.inner.agents.iter().map(|(agent_type, agent)| {
            let (record, counted) = agent.controller.counted();
            TypeView { agent_type: agent_type.clone(), record, counted }
        });
        views.collect()
    }

    /// Notified after each change of the records in [`Deployer::views`]. Closed when the deployer has shut down.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.inner.changes.clone()
    }

    /// Returns whether the next start would find the versions that serve now.
    pub fn readiness(&self) -> Readiness {
        let is_kept = self.inner.agents.values().all(|agent| agent.controller.is_kept());
        // Everybody may ask for this: paths are only for the log.
        if is_kept { Readiness::Ready } else { Readiness::Waiting("deployed versions are missing") }
    }

    /// The versions in the mounted folder.
    pub async fn mounted(&self) -> Vec<Mounted> {
        let library = self.inner.library.clone();
        blocking(move || Ok(library.mounted())).await.unwrap_or_default()
    }

    /// Why nothing can be deployed from the mounted folder.
    pub(super) async fn mounted_problem(&self) -> Option<Error> {
        let library = self.inner.library.clone();
        blocking(move || Ok(library.mounted_problem())).await.unwrap_or_default()
    }

    /// The versions that each host serves, this one first.
    pub async fn hosts(&self) -> Vec<HostVersions> {
        self.inner.hosts.read().await
    }
}
