//! An agent type while the host runs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use daca_manifest::AgentType;

use crate::component::{Counters, Serving};

/// An agent type with the component versions that serve it.
pub struct AgentRuntime {
    /// What the manifest says of it.
    pub agent: Arc<AgentType>,
    /// Which version an actor's next turn runs on.
    pub serving: Arc<Serving>,
    pub(super) counters: Counters,
    pub(super) instances_made: AtomicU64,
}

impl AgentRuntime {
    /// No actor is active yet.
    pub fn new(agent: Arc<AgentType>, serving: Arc<Serving>) -> AgentRuntime {
        AgentRuntime { agent, serving, counters: Counters::default(), instances_made: AtomicU64::new(0) }
    }
}
