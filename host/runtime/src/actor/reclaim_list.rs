//! A list of idle things in the order in which they are given up: what is worth least first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::record::Activation;
use super::worth::Rank;

/// Idle activations that have something to give up.
///
/// An entry may be out of date when it is taken, so the taker checks the activation itself. The lock of an activation
/// may be held when the list is locked, never the other way round.
#[derive(Default)]
pub(super) struct ReclaimList {
    inner: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    last_number: u64,
    by_rank: BTreeMap<Rank, Arc<Activation>>,
    of_types: HashMap<Arc<str>, BTreeSet<Rank>>,
}

impl Entries {
    fn take(&mut self, rank: Rank) -> Option<(Rank, Arc<Activation>)> {
        let activation = self.by_rank.remove(&rank)?;
        if let Some(ranks) = self.of_types.get_mut(&activation.address.agent_type) {
            ranks.remove(&rank);
        }
        Some((rank, activation))
    }
}

impl ReclaimList {
    /// Adds an activation. Returns the place of its entry.
    pub(super) fn push(&self, activation: &Arc<Activation>, worth: u64) -> Rank {
        let mut inner = self.lock();
        inner.last_number += 1;
        let rank = Rank { worth, number: inner.last_number };
        inner.of_types.entry(activation.address.agent_type.clone()).or_default().insert(rank);
        inner.by_rank.insert(rank, activation.clone());
        rank
    }

    pub(super) fn remove(&self, rank: Rank) {
        let removed = self.lock().take(rank);
        // Dropped after the lock: it may be the last handle on the activation.
        drop(removed);
    }

    /// The place of what is worth least.
    pub(super) fn least(&self) -> Option<Rank> {
        self.lock().by_rank.first_key_value().map(|(rank, _)| *rank)
    }

    /// Takes what is worth least.
    pub(super) fn pop_least(&self) -> Option<(Rank, Arc<Activation>)> {
        let mut inner = self.lock();
        let least = inner.by_rank.first_key_value().map(|(rank, _)| *rank)?;
        inner.take(least)
    }

    /// The same of one agent type.
    pub(super) fn pop_least_of(&self, agent_type: &str) -> Option<(Rank, Arc<Activation>)> {
        let mut inner = self.lock();
        let least = inner.of_types.get(agent_type)?.first().copied()?;
        inner.take(least)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().by_rank.len()
    }

    /// All activations in the list.
    pub(super) fn all(&self) -> Vec<Arc<Activation>> {
        self.lock().by_rank.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}
