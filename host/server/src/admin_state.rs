//! The state for the operator's requests.

use std::sync::Arc;

use daca_base::shares::SharedPool;
use daca_base::telemetry::Log;
use daca_deploy::Deployer;
use daca_model::Lifecycle;
use daca_model::backend::Outbox;
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;

use super::{HostSeal, Requests};

/// The maximum number of activations, effects or log lines in one answer, unless `?limit=` overrides it.
pub(super) const DEFAULT_LIMIT: usize = 1_000;

/// The state of the operator's port, for its requests.
#[derive(Clone)]
pub struct AdminState {
    /// All actors of the host.
    pub actors: Actors,
    /// Takes the operator's calls to their actors.
    pub router: CallRouter,
    /// Proves to other hosts that a call is of a host.
    pub seal: HostSeal,
    /// Deployments, and the serving versions.
    pub deployer: Deployer,
    /// The outcomes of effects.
    pub outbox: Arc<Outbox>,
    /// The requests of each agent type at the application's port.
    pub requests: Requests,
    /// The phase of the host.
    pub lifecycle: Lifecycle,
    /// The backend's name.
    pub backend: &'static str,
    /// The log.
    pub log: Log,
}

impl AdminState {
    /// What the agent types share on this host.
    pub(super) fn pools(&self) -> Vec<SharedPool> {
        let mut pools = self.actors.pools();
        pools.extend(self.requests.pools().cloned());
        pools
    }
}
