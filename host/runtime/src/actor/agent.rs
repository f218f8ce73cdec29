//! An agent type at run time.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use daca_manifest::AgentType;

use super::durations::Durations;
use crate::component::{ActiveRollout, Counters};

/// An agent type with the component versions that serve it.
pub struct AgentRuntime {
    /// Its manifest entry.
    pub agent: Arc<AgentType>,
    /// Selects the version of an actor's next turn.
    pub rollout: Arc<ActiveRollout>,
    /// The durations of its turns.
    pub durations: Durations,
    pub(super) counters: Counters,
    pub(super) instances_made: AtomicU64,
}

impl AgentRuntime {
    /// Creates it without active actors.
    pub fn new(agent: Arc<AgentType>, rollout: Arc<ActiveRollout>) -> AgentRuntime {
        AgentRuntime {
            agent,
            rollout,
            durations: Durations::default(),
            counters: Counters::default(),
            instances_made: AtomicU64::new(0),
        }
    }
}
