//! A list of idle things in the order in which they are given up: what is worth least first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// The number of entries.
    len: AtomicUsize,
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
    /// There are few types, and each turn adds an entry and removes it.
    of_types: BTreeMap<Arc<str>, OfType>,
}

/// The entries of an agent type, with their bytes.
type OfType = BTreeMap<Rank, (Arc<Activation>, u64)>;

impl Entries {
    /// The type of what is worth least, and its place.
    fn least(&self) -> Option<(&Arc<str>, Rank)> {
        let first = self
            .of_types
            .iter()
            .filter_map(|(agent_type, of_type)| Some((agent_type, *of_type.first_key_value()?.0)));
        first.min_by_key(|(_, rank)| *rank)
    }
}

impl ReclaimList {
    /// Adds an activation that could give up so many bytes. Returns the place of its entry.
    pub(super) fn push(&self, activation: &Arc<Activation>, worth: u64, bytes: u64) -> Rank {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let mut inner = self.lock();
        inner.last_number += 1;
        let rank = Rank { worth, number: inner.last_number };
        let (agent_type, entry) = (&activation.address.agent_type, (activation.clone(), bytes));
        match inner.of_types.get_mut(agent_type) {
            Some(of_type) => drop(of_type.insert(rank, entry)),
            None => drop(inner.of_types.insert(agent_type.clone(), OfType::from([(rank, entry)]))),
        }
        self.len.fetch_add(1, Ordering::Relaxed);
        rank
    }

    /// Removes the entry of an activation of this type.
    pub(super) fn remove(&self, agent_type: &str, rank: Rank) {
        let removed = self.take(&mut self.lock(), agent_type, rank);
        // Dropped after the lock: it may be the last handle on the activation.
        drop(removed);
    }

    /// The place of what is worth least.
    pub(super) fn least(&self) -> Option<Rank> {
        self.lock().least().map(|(_, rank)| rank)
    }

    /// Takes what is worth least.
    pub(super) fn pop_least(&self) -> Option<Taken<'_>> {
        let mut inner = self.lock();
        let (agent_type, rank) = inner.least()?;
        let agent_type = agent_type.clone();
        self.take(&mut inner, &agent_type, rank)
    }

    /// The same of one agent type.
    pub(super) fn pop_least_of(&self, agent_type: &str) -> Option<Taken<'_>> {
        let mut inner = self.lock();
        let rank = *inner.of_types.get(agent_type)?.first_key_value()?.0;
        self.take(&mut inner, agent_type, rank)
    }

    /// The bytes that could be given up, or more.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// All activations in the list.
    pub(super) fn all(&self) -> Vec<Arc<Activation>> {
        let inner = self.lock();
        let all = inner.of_types.values().flat_map(BTreeMap::values);
        all.map(|(activation, _)| activation.clone()).collect()
    }

    fn take(&self, inner: &mut Entries, agent_type: &str, rank: Rank) -> Option<Taken<'_>> {
        let (activation, bytes) = inner.of_types.get_mut(agent_type)?.remove(&rank)?;
        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(Taken { rank, activation, bytes, list: self })
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}
