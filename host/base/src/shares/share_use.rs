//! What is shown of a type in a pool.

use std::sync::Arc;

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
