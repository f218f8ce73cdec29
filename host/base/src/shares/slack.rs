//! What can be known about a pool without taking its lock: how much of it is in use, and whether that is little.
//! Usually it is, and then a call that asks does not have to wait for others.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Changed under the lock of the pool.
#[derive(Debug)]
pub(super) struct Slack {
    used: AtomicUsize,
    /// Up to this use of the whole pool, each type has room, and is within its share.
    most: usize,
}

impl Slack {
    /// Of an unused pool in which all types have this much in common, and none a smaller share.
    pub(super) fn new(common: usize, smallest_share: usize) -> Slack {
        Slack { used: AtomicUsize::new(0), most: common.min(smallest_share) }
    }

    /// What is in use.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns `true` if any type can have so much more, within its share.
    pub(super) fn has_room(&self, amount: usize) -> bool {
        self.used().saturating_add(amount) <= self.most
    }

    /// A type has so much instead of what it had.
    pub(super) fn changed(&self, before: usize, after: usize) {
        let others = self.used().saturating_sub(before);
        self.used.store(others.saturating_add(after), Ordering::Relaxed);
    }
}
