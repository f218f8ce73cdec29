//! A list of idle things in the order in which they are given up: what is worth least first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use daca_base::memory::Givers;
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
}

/// An entry that was taken, to give up what it stands for. Its bytes count until it is dropped: at no time do fewer count
/// than there are.
pub(super) struct Taken {
    pub(super) rank: Rank,
    pub(super) activation: Arc<Activation>,
    bytes: u64,
    of_type: Arc<AtomicU64>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of_type.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[derive(Default)]
struct Entries {
    last_number: u64,
    /// There are few types, and each turn adds an entry and removes it.
    of_types: BTreeMap<Arc<str>, OfType>,
}

/// The entries of an agent type.
#[derive(Default)]
struct OfType {
    /// With their bytes.
    entries: BTreeMap<Rank, (Arc<Activation>, u64)>,
    /// The bytes of all entries, and of those that are being given up.
    bytes: Arc<AtomicU64>,
}

impl OfType {
    fn least(&self) -> Option<Rank> {
        self.entries.first_key_value().map(|(rank, _)| *rank)
    }

    fn take(&mut self, rank: Rank) -> Option<Taken> {
        let (activation, bytes) = self.entries.remove(&rank)?;
        Some(Taken { rank, activation, bytes, of_type: self.bytes.clone() })
    }
}

impl Entries {
    /// What is worth least among that of these agent types, and of which type it is.
    fn least(&self, givers: &Givers<'_>) -> Option<(Rank, &Arc<str>)> {
        let first = self.of_types.iter();
        let first = first.filter_map(|(agent_type, of_type)| Some((of_type.least()?, agent_type)));
        let mut first = first.collect::<Vec<_>>();
        first.sort_unstable();
        // To ask who gives costs more than to sort.
        first.into_iter().find(|(_, agent_type)| givers.contains(agent_type))
    }
}

impl ReclaimList {
    /// Adds an activation that could give up so many bytes. Returns the place of its entry.
    pub(super) fn push(&self, activation: &Arc<Activation>, worth: u64, bytes: u64) -> Rank {
        let mut inner = self.lock();
        inner.last_number += 1;
        let rank = Rank { worth, number: inner.last_number };
        let agent_type = &activation.address.agent_type;
        if !inner.of_types.contains_key(agent_type) {
            inner.of_types.insert(agent_type.clone(), OfType::default());
        }
        if let Some(of_type) = inner.of_types.get_mut(agent_type) {
            of_type.bytes.fetch_add(bytes, Ordering::AcqRel);
            of_type.entries.insert(rank, (activation.clone(), bytes));
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        rank
    }

    /// Removes the entry of an activation of this type.
    pub(super) fn remove(&self, agent_type: &str, rank: Rank) {
        let removed = self.take(&mut self.lock(), agent_type, rank);
        // Dropped after the lock: it may be the last handle on the activation.
        drop(removed);
    }

    /// The place of what is worth least among that of these agent types.
    pub(super) fn least(&self, givers: &Givers<'_>) -> Option<Rank> {
        self.lock().least(givers).map(|(rank, _)| rank)
    }

    /// Takes what is worth least among that of these agent types.
    pub(super) fn pop_least(&self, givers: &Givers<'_>) -> Option<Taken> {
        let mut inner = self.lock();
        let (rank, agent_type) = inner.least(givers)?;
        let agent_type = agent_type.clone();
        self.take(&mut inner, &agent_type, rank)
    }

    /// The same of one agent type.
    pub(super) fn pop_least_of(&self, agent_type: &str) -> Option<Taken> {
        let mut inner = self.lock();
        let rank = inner.of_types.get(agent_type)?.least()?;
        self.take(&mut inner, agent_type, rank)
    }

    /// The same of the type that has most entries.
    pub(super) fn pop_least_of_most(&self) -> Option<Taken> {
        let mut inner = self.lock();
        let most = inner.of_types.iter().max_by_key(|(_, of_type)| of_type.entries.len());
        let agent_type = most?.0.clone();
        let rank = inner.of_types.get(&agent_type)?.least()?;
        self.take(&mut inner, &agent_type, rank)
    }

    /// Adds the bytes that each agent type could give up.
    pub(super) fn add_bytes(&self, of_types: &mut BTreeMap<Arc<str>, u64>) {
        for (agent_type, of_type) in &self.lock().of_types {
            *of_types.entry(agent_type.clone()).or_default() += of_type.bytes.load(Ordering::Acquire);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// All activations in the list.
    pub(super) fn all(&self) -> Vec<Arc<Activation>> {
        let inner = self.lock();
        let all = inner.of_types.values().flat_map(|of_type| of_type.entries.values());
        all.map(|(activation, _)| activation.clone()).collect()
    }

    fn take(&self, inner: &mut Entries, agent_type: &str, rank: Rank) -> Option<Taken> {
        let taken = inner.of_types.get_mut(agent_type)?.take(rank)?;
        self.len.fetch_sub(1, Ordering::Relaxed);
        Some(taken)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}
