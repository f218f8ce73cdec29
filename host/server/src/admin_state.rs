//! What the operator's requests are answered from.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use daca_base::telemetry::Log;
use daca_deploy::Deployer;
use daca_model::backend::Outbox;
use daca_runtime::actor::Actors;
use tokio_util::sync::CancellationToken;

use super::AdminToken;

/// Activations, effects or lines of the log in one answer, unless `?limit=` says otherwise.
pub(super) const DEFAULT_LIMIT: usize = 1_000;

/// What the operator's port serves.
#[derive(Clone)]
pub struct AdminState {
    /// All actors of the host.
    pub actors: Actors,
    /// What serves, and who changes it.
    pub deployer: Deployer,
    /// What became of effects.
    pub outbox: Arc<Outbox>,
    /// False from the beginning of the shutdown on.
    pub is_ready: Arc<AtomicBool>,
    /// The backend's name.
    pub backend: &'static str,
    /// Bytes of a body, at most.
    pub max_body: usize,
    /// What requests must carry, if anything.
    pub token: Option<AdminToken>,
    /// The log.
    pub log: Log,
    /// Cancelled when the port is about to close.
    pub stopping: CancellationToken,
}
