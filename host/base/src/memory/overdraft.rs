//! The permission to go beyond the budget, which one turn has at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::shared::Shared;

/// What the reservations of one turn have in common: if one of them may go beyond the budget, all may. It ends when the
/// last of them is dropped.
pub(super) struct Overdraft {
    shared: Arc<Shared>,
    is_mine: AtomicBool,
}

impl Overdraft {
    /// For the reservations of a turn that begins.
    pub(super) fn new(shared: Arc<Shared>) -> Overdraft {
        Overdraft { shared, is_mine: AtomicBool::new(false) }
    }

    /// Returns `true` if this turn goes beyond the budget already.
    pub(super) fn is_mine(&self) -> bool {
        self.is_mine.load(Ordering::Acquire)
    }

    /// Takes the permission. Returns `false` if another turn has it.
    pub(super) fn begin(&self) -> bool {
        let is_free = !self.shared.is_overdrawn.swap(true, Ordering::AcqRel);
        if is_free {
            self.is_mine.store(true, Ordering::Release);
        }
        is_free
    }
}

impl Drop for Overdraft {
    fn drop(&mut self) {
        if self.is_mine() {
            self.shared.is_overdrawn.store(false, Ordering::Release);
            self.shared.freed();
        }
    }
}
