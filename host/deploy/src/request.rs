//! What is asked of a deployment, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use daca_runtime::component::Counted;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::record::{Changed, Origin, Record};

/// A component that somebody wants to serve.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its bytes.
    pub wasm: Bytes,
    /// The text of its signature file.
    pub signature: Option<String>,
    /// Percent of the actors that it shall serve: 1 to 100.
    pub share: u8,
    /// What it shall be called; none leaves that to the component.
    pub label: Option<String>,
    /// Who wants it.
    pub origin: Origin,
}

/// What came of a deployment.
#[derive(Debug, Clone, Serialize)]
pub struct Deployed {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// What happened, and to which version.
    #[serde(flatten)]
    pub changed: Changed,
    /// What the version is called.
    pub label: String,
    /// The number of the change.
    pub revision: u64,
    /// How long it took.
    pub milliseconds: Took,
}

/// How long a deployment took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Took {
    /// To check and compile the component, and to try it.
    pub check: u64,
    /// In all.
    pub total: u64,
}

/// What there is to see of an agent type.
#[derive(Debug, Clone)]
pub struct TypeView {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// Its record.
    pub record: Arc<Record>,
    /// What was counted in each version since the host started, by digest.
    pub counted: BTreeMap<String, Counted>,
}

/// A place among the deployments that are under way. Taken before the bytes are read.
pub struct Place {
    pub(super) _permit: OwnedSemaphorePermit,
}
