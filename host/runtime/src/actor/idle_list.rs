//! A list of idle activations, in the order in which they became idle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::record::Activation;

/// Activations in the order in which they became idle, with the time.
///
/// An entry may be out of date when it is taken, so the taker checks the activation itself. The lock of an activation
/// may be held when the list is locked, never the other way round.
#[derive(Default)]
pub(super) struct IdleList {
    inner: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    last_number: u64,
    by_number: BTreeMap<u64, (Instant, Arc<Activation>)>,
}

impl IdleList {
    /// Appends an activation that has been idle since then. Returns the number of its entry.
    pub(super) fn push(&self, activation: &Arc<Activation>, since: Instant) -> u64 {
        let mut inner = self.lock();
        inner.last_number += 1;
        let number = inner.last_number;
        inner.by_number.insert(number, (since, activation.clone()));
        number
    }

    pub(super) fn remove(&self, number: u64) {
        let removed = self.lock().by_number.remove(&number);
        // Dropped after the lock: it may be the last handle on the activation.
        drop(removed);
    }

    pub(super) fn pop_oldest(&self) -> Option<Arc<Activation>> {
        self.lock().by_number.pop_first().map(|(_, (_, activation))| activation)
    }

    /// Takes the oldest entry if it has been idle for this time.
    pub(super) fn pop_idle_for(&self, time: Duration, now: Instant) -> Option<Arc<Activation>> {
        let mut inner = self.lock();
        let oldest = inner.by_number.first_entry()?;
        let since = oldest.get().0;
        (now.saturating_duration_since(since) >= time).then(|| oldest.remove().1)
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.inner.lock()
    }
}
