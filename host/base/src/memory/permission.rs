//! The permission to go beyond the budget, which one turn has at a time.
//!
//! It cannot be divided: the budget is exceeded by what one turn may take, and no more. So the agent types that wait for
//! it have it in turn, by their weights. Having it once adds to a type's virtual time, as in a
//! [`fair_queue`](crate::shares::fair_queue), and the type with the least is next.

use parking_lot::Mutex;

/// What having it once costs a type with a weight of 1, in virtual time. A multiple of most weights.
const ONCE: u64 = 720_720;

/// The permission.
#[derive(Debug)]
pub(super) struct Permission(Mutex<Holders>);

/// Who has it and had it.
#[derive(Debug)]
struct Holders {
    is_taken: bool,
    /// The virtual time of the account that had it last. One that has not wanted it for a while begins there.
    now: u64,
    /// For each account.
    times: Vec<u64>,
}

impl Permission {
    /// One that nobody has yet, of so many accounts.
    pub(super) fn new(accounts: usize) -> Permission {
        Permission(Mutex::new(Holders { is_taken: false, now: 0, times: vec![0; accounts] }))
    }

    /// Takes it for an account of this weight. Returns `false` if a turn has it, or if one of the rivals is before it.
    pub(super) fn take(&self, number: u32, weight: u64, rivals: impl Iterator<Item = u32>) -> bool {
        let mut holders = self.0.lock();
        if holders.is_taken || holders.is_behind(number, rivals) {
            return false;
        }
        holders.is_taken = true;
        holders.now = holders.time(number);
        let after = holders.now.saturating_add(ONCE.div_ceil(weight.max(1)));
        if let Some(time) = holders.times.get_mut(number as usize) {
            *time = after;
        }
        true
    }

    /// The turn that has it ends.
    pub(super) fn give_back(&self) {
        self.0.lock().is_taken = false;
    }
}

impl Holders {
    fn is_behind(&self, number: u32, mut rivals: impl Iterator<Item = u32>) -> bool {
        let own = self.time(number);
        rivals.any(|rival| self.time(rival) < own)
    }

    fn time(&self, number: u32) -> u64 {
        self.times.get(number as usize).copied().unwrap_or_default().max(self.now)
    }
}
