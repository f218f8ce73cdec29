//! The changes of what serves: their requests, and their answer.

use serde::{Deserialize, Serialize};

use super::{Refusal, Word};
use crate::deployment::{EventKind, Timings};

/// The body of `POST /agents/{agent_type}/version`: deploys a version that the host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRequest {
    /// 8 to 64 digits of its digest.
    pub version: String,
    /// Percent of the actors that it is to serve; all of them by default.
    #[serde(default = "all", skip_serializing_if = "is_all")]
    pub share: u8,
    /// Its label; by default the one that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The body of `POST /agents/{agent_type}/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// `true` to roll back even if the host advises against it.
    #[serde(default)]
    pub force: bool,
}

/// The body of `PUT /agents/{agent_type}/pins/{actor_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// 8 to 64 digits of the version's digest.
    pub version: String,
}

/// The answer to each change of what serves. `Change` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeAnswer {
    /// The agent type.
    pub agent_type: String,
    /// The outcome.
    pub outcome: Word<EventKind>,
    /// The version that it applies to; after a rollback the one that serves again.
    pub version: String,
    /// The label of the version.
    pub label: String,
    /// Percent of the actors that it serves.
    pub share: u8,
    /// The digest of the version that served before.
    pub before: Option<String>,
    /// The number of the change.
    pub revision: u64,
    /// The file of the version was missing or damaged in the data folder, and was stored again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stored_again: bool,
    /// The time that it took.
    pub milliseconds: Timings,
    /// What to know of the version, although it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Refusal>,
}

/// The share of a version that serves all actors, in percent.
fn all() -> u8 {
    100
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_all(share: &u8) -> bool {
    *share == all()
}
