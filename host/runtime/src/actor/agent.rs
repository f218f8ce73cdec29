//! An agent type at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Its dead letters.
    pub dead_letters: DeadLetterCounters,
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
            dead_letters: DeadLetterCounters::default(),
            counters: Counters::default(),
            instances_made: AtomicU64::new(0),
        }
    }
}

/// What became of the dead letters of an agent type, on this host since it started.
#[derive(Debug, Default)]
pub struct DeadLetterCounters {
    buried: AtomicU64,
    dropped: AtomicU64,
    retried: AtomicU64,
    discarded: AtomicU64,
}

/// The numbers of [`DeadLetterCounters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterCounts {
    /// Effects that became dead letters.
    pub buried: u64,
    /// Dead letters that were dropped because their actor had too many. A commit that is repeated counts again.
    pub dropped: u64,
    /// Those that somebody retried.
    pub retried: u64,
    /// Those that somebody discarded.
    pub discarded: u64,
}

impl DeadLetterCounters {
    /// The present numbers.
    pub fn read(&self) -> DeadLetterCounts {
        DeadLetterCounts {
            buried: self.buried.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            discarded: self.discarded.load(Ordering::Relaxed),
        }
    }

    pub(super) fn buried(&self, number: usize) {
        self.buried.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, number: usize) {
        self.dropped.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(super) fn retried(&self, number: usize) {
        self.retried.fetch_add(number as u64, Ordering::Relaxed);
    }

    pub(super) fn discarded(&self, number: usize) {
        self.discarded.fetch_add(number as u64, Ordering::Relaxed);
    }
}
