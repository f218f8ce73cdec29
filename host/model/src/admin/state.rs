//! The answers that show what a host does: `GET /health`, `/agents`, `/activations` and `/outbox`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Word;
use crate::outbox::{OutboxCounts, OutboxEntry};

/// The answer to `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether the host serves.
    pub status: Word<HealthStatus>,
    /// The version of the host's program.
    pub version: String,
    /// The name of the backend.
    pub backend: String,
    /// Turns that run or wait for their actor.
    pub turns_in_flight: usize,
    /// Active actors.
    pub active_actors: usize,
    /// Instances in memory.
    pub live_instances: usize,
    /// The maximum number of instances in memory.
    pub max_live_instances: usize,
    /// The numbers of effects.
    pub outbox: OutboxCounts,
}

/// Whether a host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// It does.
    Ready,
    /// It waits for its backend, or for versions.
    Waiting,
    /// It drains.
    ShuttingDown,
}

/// The answer to `GET /agents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agents {
    /// The agent types.
    pub agents: Vec<AgentInfo>,
}

/// An agent type. `Agent` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInfo {
    /// Its name.
    pub agent_type: String,
    /// The file that the manifest names.
    pub component: String,
    /// The digest of the version that serves.
    pub version: String,
    /// The size of its file.
    pub bytes: Option<u64>,
    /// Active actors.
    pub active: usize,
    /// Calls that wait for them.
    pub queued: usize,
    /// Live instances.
    pub instances: usize,
    /// Turns that ended, on all versions, since the host started.
    pub turns: u64,
    /// Those that failed by the agent's fault.
    pub failed_turns: u64,
    /// Those in which the guest trapped or exceeded a limit.
    pub faults: u64,
    /// Instances that were created since the host started.
    pub instances_made: u64,
    /// The versions that serve, with their share.
    pub versions: Vec<ServingVersion>,
}

/// A version that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingVersion {
    /// Its digest.
    pub version: String,
    /// Its label.
    pub label: String,
    /// Percent of the actors; 0 if it only serves pinned actors.
    pub share: u8,
    /// Turns that ended since the host started.
    pub turns: u64,
    /// Those that failed by the agent's fault.
    pub failed_turns: u64,
    /// Those in which the guest trapped or exceeded a limit.
    pub faults: u64,
}

/// The answer to `GET /activations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activations {
    /// All active actors.
    pub active: usize,
    /// Some of them, by type and id.
    pub activations: Vec<ActivationInfo>,
}

/// One active actor. `Activation` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationInfo {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// The actor's id.
    pub actor_id: Arc<str>,
    /// `true` while a turn runs.
    pub running: bool,
    /// Calls that wait.
    pub queued: usize,
    /// `true` if it has a live instance.
    pub instance: bool,
    /// Milliseconds since its last turn; `None` while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Turns of this activation.
    pub turns: u64,
}

/// The answer to `GET /outbox`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// The numbers of effects since the host started.
    pub counts: OutboxCounts,
    /// The last ones, from old to new.
    pub entries: Vec<OutboxEntry>,
}
