//! What a deployer tells of itself: the serving versions, here and on other hosts, and whether they are kept.

use daca_model::backend::Readiness;

use super::Deployer;
use super::hosts::HostView;
use super::library::Mounted;
use super::request::TypeView;
use super::steward::{View, blocking};

impl Deployer {
    /// The state of all agent types.
    pub fn views(&self) -> Vec<TypeView> {
        let views = self.inner.types.iter().map(|(agent_type, handle)| {
            let View { record, counters, .. } = handle.view.borrow().clone();
            let counted = counters.iter().map(|(version, counters)| (version.clone(), counters.read()));
            TypeView { agent_type: agent_type.clone(), record, counted: counted.collect() }
        });
        views.collect()
    }

    /// Returns whether the next start would find what serves now.
    pub fn readiness(&self) -> Readiness {
        let is_kept = self.inner.types.values().all(|handle| handle.view.borrow().is_kept);
        // Everybody may ask for this: paths are only for the log.
        if is_kept { Readiness::Ready } else { Readiness::Waiting("deployed versions are missing") }
    }

    /// The versions in the mounted folder.
    pub async fn mounted(&self) -> Vec<Mounted> {
        let library = self.inner.library.clone();
        blocking(move || Ok(library.mounted())).await.unwrap_or_default()
    }

    /// The versions that each host serves, this one first.
    pub async fn hosts(&self) -> Vec<HostView> {
        self.inner.hosts.read().await
    }
}
