//! Who goes beyond the budget: the reservations of the turn that has the [`permission`](super::permission).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::account::AccountId;
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

    /// Takes the permission for an account that wants so much more. Returns `false` if another turn has it, or is next.
    pub(super) fn begin(&self, account: AccountId, more: u64) -> bool {
        let Shared { permission, parts, .. } = &*self.shared;
        let rivals = self.shared.rivals(account, more);
        let is_taken = permission.take(account.number, parts.weight(account.number), rivals);
        if is_taken {
            self.is_mine.store(true, Ordering::Release);
        }
        is_taken
    }
}

impl Drop for Overdraft {
    fn drop(&mut self) {
        if self.is_mine() {
            self.shared.permission.give_back();
            self.shared.freed();
        }
    }
}
