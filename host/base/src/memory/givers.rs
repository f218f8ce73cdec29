//! Whose idle things are given up, when somebody needs memory.

use super::account::{Account, total_of};
use super::parts::Parts;

/// The agent types of which idle things are given up for one account.
pub struct Givers<'a> {
    parts: &'a Parts,
    accounts: &'a [Account],
    receiver: u32,
}

impl<'a> Givers<'a> {
    pub(super) fn to(receiver: u32, parts: &'a Parts, accounts: &'a [Account]) -> Givers<'a> {
        Givers { parts, accounts, receiver }
    }

    /// Returns `true` for an agent type that gives anything.
    pub fn contains(&self, agent_type: &str) -> bool {
        self.most(agent_type) > 0
    }

    /// The bytes that an agent type gives at most:
    ///
    /// - to itself, all;
    /// - to the host, and to a type that has less than its share, what it has beyond its floor;
    /// - to any other type, only what it has more than that one for its weight.
    ///
    /// The last thing that it gives may be larger than what is left of this.
    pub fn most(&self, agent_type: &str) -> u64 {
        let Givers { parts, receiver, .. } = *self;
        let number = parts.number_of(agent_type);
        if number == receiver {
            return u64::MAX;
        }
        let floor = parts.floor(number);
        let received = self.used_by(receiver);
        // What a type only keeps is no reason to refuse another one its share.
        let is_within = receiver == 0 || received < parts.share(receiver);
        let kept = if is_within { floor } else { floor.max(parts.as_much(receiver, received, number)) };
        self.used_by(number).saturating_sub(kept)
    }

    fn used_by(&self, number: u32) -> u64 {
        total_of(self.accounts, number)
    }
}
