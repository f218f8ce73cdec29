//! The answer to `GET /top`: what the agent types use, and who is busiest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// A clock of the host in milliseconds, which only goes forward. Two answers give rates.
    pub clock_ms: u64,
    /// The agent types, by name.
    pub types: Vec<TopType>,
    /// The reading of that clock since which `lately` of the actors counts: that of an earlier look, at least a second ago.
    pub since_ms: u64,
    /// The actors that use most, in the order of the request.
    pub actors: Vec<TopActor>,
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

/// What the actors are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopOrder {
    /// The processor time that they have used lately.
    #[default]
    Processor,
    /// Their memory.
    Memory,
    /// The turns that they have begun lately.
    Turns,
    /// The calls that wait for them.
    Queued,
    /// The bytes that they have logged lately.
    LogBytes,
}

impl TopOrder {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            TopOrder::Processor => "processor",
            TopOrder::Memory => "memory",
            TopOrder::Turns => "turns",
            TopOrder::Queued => "queued",
            TopOrder::LogBytes => "log-bytes",
        }
    }
}

/// What an active actor uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopActor {
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
    /// The bytes of its instance, and of the state that it keeps between turns.
    pub memory: u64,
    /// What it has used since `since_ms`.
    pub lately: ActorTotals,
    /// The same since its activation began.
    pub total: ActorTotals,
}

/// What an actor has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorTotals {
    /// Milliseconds of a processor.
    pub processor_ms: u64,
    /// Turns.
    pub turns: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
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
