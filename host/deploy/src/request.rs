//! The requests and results of deployments.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use daca_model::FileName;
use daca_model::deployment::Timings;
use daca_runtime::component::Counted;
use tokio::sync::OwnedSemaphorePermit;

use super::Error;
use super::record::{ChangeOutcome, Origin, Record};

/// A component to be deployed.
#[derive(Debug, Clone)]
pub struct DeployRequest {
    /// Its bytes.
    pub wasm: Bytes,
    /// The text of its signature file.
    pub signature: Option<String>,
    /// The name of its file: of a script, stacks show it.
    pub file: Option<FileName>,
    /// Percent of the actors that it is to serve: 1 to 100.
    pub share: u8,
    /// Its label; `None` leaves that to the component.
    pub label: Option<String>,
    /// The initiator.
    pub origin: Origin,
}

/// The result of a deployment.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// The outcome, and the version that it applies to.
    pub outcome: ChangeOutcome,
    /// The label of the version.
    pub label: String,
    /// The number of the change.
    pub revision: u64,
    /// The file of the version was missing or damaged, and was stored again.
    pub stored_again: bool,
    /// The time that it took.
    pub milliseconds: Timings,
    /// What is wrong with the version, though it may serve.
    pub warnings: Vec<Error>,
}

/// The state of an agent type, for inspection.
#[derive(Debug, Clone)]
pub struct TypeView {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// Its record.
    pub record: Arc<Record>,
    /// The counters of each version since the host started, by digest.
    pub counted: BTreeMap<String, Counted>,
}

/// A permit for a concurrent deployment. Acquired when its bytes are there.
pub struct Permit {
    pub(super) _permit: OwnedSemaphorePermit,
}
