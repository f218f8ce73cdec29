//! The part of the budget that only small bodies of no agent type have, whatever others have.

use std::sync::atomic::{AtomicU64, Ordering};

/// A body of so many bytes takes nothing that a turn would notice.
pub(super) const SMALL_BODY: u64 = 16 * 1024;

/// What of this part is in use.
#[derive(Debug)]
pub(super) struct SmallBodies {
    most: u64,
    used: AtomicU64,
}

impl SmallBodies {
    /// A part of so many bytes.
    pub(super) fn new(most: u64) -> SmallBodies {
        SmallBodies { most, used: AtomicU64::new(0) }
    }

    /// Takes so much of the part, if it has room.
    pub(super) fn take(&self, more: u64) -> bool {
        let after = |used: u64| used.checked_add(more).filter(|after| *after <= self.most);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, after).is_ok()
    }

    pub(super) fn give_back(&self, less: u64) {
        self.used.fetch_sub(less, Ordering::AcqRel);
    }

    /// What nobody has.
    pub(super) fn unused(&self) -> u64 {
        self.most.saturating_sub(self.used.load(Ordering::Acquire))
    }
}
