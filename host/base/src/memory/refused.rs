//! What was refused to an account, and when the log hears of it.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::shares::Refusals;

/// What was refused to one account.
#[derive(Debug, Default)]
pub(super) struct Refused {
    times: AtomicU64,
    beyond_share: Mutex<Refusals>,
}

impl Refused {
    /// Counts a refusal.
    pub(super) fn count(&self) {
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of refusals.
    pub(super) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// An agent type waits, or was refused, beyond its share. Returns `true` if the log is to be told.
    pub(super) fn is_due(&self) -> bool {
        self.beyond_share.lock().count(true, false)
    }
}
