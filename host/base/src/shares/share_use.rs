//! What is shown of a type in a pool.

use std::sync::Arc;

use super::held_back::Refusals;
use super::ledger::Slot;

/// What a type has of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareUse {
    /// The agent type.
    pub agent_type: Arc<str>,
    /// What it has.
    pub used: usize,
    /// Its share.
    pub share: usize,
    /// The most that it can have.
    pub most: usize,
    /// Its requests that wait.
    pub waiting: usize,
    /// All that it ever took.
    pub total: u64,
    /// How often it was held back by its share.
    pub held_back: u64,
    /// It was held back a moment ago.
    pub is_held_back: bool,
}

impl ShareUse {
    pub(super) fn of(slot: &Slot, most: usize, waiting: usize, refusals: &Refusals) -> ShareUse {
        ShareUse {
            agent_type: slot.agent_type.clone(),
            used: slot.used,
            share: slot.share,
            most,
            waiting,
            total: slot.total,
            held_back: refusals.held_back,
            is_held_back: refusals.is_held_back(),
        }
    }
}
