//! A list of idle things in the order in which they are given up: what is worth least first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// The bytes of all entries, and of those that are being given up.
    bytes: AtomicU64,
}

/// An entry that was taken, to give up what it stands for. Its bytes count until it is dropped: at no time do fewer count
/// than there are.
pub(super) struct Taken<'a> {
    pub(super) rank: Rank,
    pub(super) activation: Arc<Activation>,
    bytes: u64,
    list: &'a ReclaimList,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.list.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Entries {
    last_number: u64,
    by_rank: BTreeMap<Rank, (Arc<Activation>, u64)>,
    of_types: HashMap<Arc<str>, BTreeSet<Rank>>,
}

impl Entries {
    fn take<'a>(&mut self, list: &'a ReclaimList, rank: Rank) -> Option<Taken<'a>> {
        let (activation, bytes) = self.by_rank.remove(&rank)?;
        if let Some(ranks) = self.of_types.get_mut(&activation.address.agent_type) {
            ranks.remove(&rank);
        }
        Some(Taken { rank, activation, bytes, list })
    }
}

impl ReclaimList {
    /// Adds an activation that could give up so many bytes. Returns the place of its entry.
    pub(super) fn push(&self, activation: &Arc<Activation>, worth: u64, bytes: u64) -> Rank {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let mut inner = self.lock();
        inner.last_number += 1;
        let rank = Rank { worth, number: inner.last_number };
        inner.of_types.entry(activation.address.agent_type.clone()).or_default().insert(rank);
        inner.by_rank.insert(rank, (activation.clone(), bytes));
        rank
    }

    pub(super) fn remove(&self, rank: Rank) {
        let removed = self.lock().take(self, rank);
        // Dropped after the lock: it may be the last handle on the activation.
        drop(removed);
    }

    /// The place of what is worth least.
    pub(super) fn least(&self) -> Option<Rank> {
        self.lock().by_rank.first_key_value().map(|(rank, _)| *rank)
    }

    /// Takes what is worth least.
    pub(super) fn pop_least(&self) -> Option<Taken<'_>> {
        let mut inner = self.lock();
        let least = inner.by_rank.first_key_value().map(|(rank, _)| *rank)?;
        inner.take(self, least)
    }

    /// The same of one agent type.
    pub(super) fn pop_least_of(&self, agent_type: &str) -> Option<Taken<'_>> {
        let mut inner = self.lock();
        let least = inner.of_types.get(agent_type)?.first().copied()?;
        inner.take(self, least)
    }

    /// The bytes that could be given up, or more.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().by_rank.len()
    }

    /// All activations in the list.
    pub(super) fn all(&self) -> Vec<Arc<Activation>> {
        self.lock().by_rank.values().map(|(activation, _)| activation.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}
