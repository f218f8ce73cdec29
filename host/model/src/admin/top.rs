//! The answer to `GET /top`: what the agent types use, and who is busiest.

use serde::{Deserialize, Serialize};

use super::ActivationInfo;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// A clock of the host in milliseconds, which only goes forward. Two answers give rates.
    pub clock_ms: u64,
    /// The agent types, by name.
    pub types: Vec<TopType>,
    /// The busiest actors: those with most waiting calls first, then those with most turns.
    pub actors: Vec<ActivationInfo>,
    /// What the types share.
    pub pools: Vec<PoolInfo>,
}

/// What an agent type uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopType {
    /// The agent type.
    pub agent_type: String,
    /// Its weight.
    pub weight: u32,
    /// The processor time of its turns in milliseconds, if the host measures it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_ms: Option<u64>,
    /// The bytes of memory that it has, if the host measures them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Turns that ended since the host started.
    pub turns: u64,
    /// Active actors.
    pub active: usize,
    /// Calls that wait for them.
    pub queued: usize,
    /// Live instances.
    pub instances: usize,
    /// The bytes that its agents have logged since the host started.
    pub log_bytes: u64,
    /// The bytes that its actors have on disk, if the backend knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<u64>,
    /// The pools of which it got no more a moment ago, because of its share.
    pub held_back: Vec<String>,
}

/// Something that the agent types share. `Pool` in the description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolInfo {
    /// What it has, in the plural.
    pub name: String,
    /// How much of it there is.
    pub capacity: usize,
    /// What each type has of it.
    pub types: Vec<PoolShare>,
}

/// What an agent type has of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolShare {
    /// The agent type.
    pub agent_type: String,
    /// What it has.
    pub used: usize,
    /// Its share by weight.
    pub share: usize,
    /// The most that it can have, whatever the others leave unused.
    pub most: usize,
    /// Its requests that wait.
    pub waiting: usize,
    /// How often it was held back by its share since the host started.
    pub held_back: u64,
}
