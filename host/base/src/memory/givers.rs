//! Whose idle things are given up, when somebody needs memory.

use super::account::Account;
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

    /// Returns `true` for the agent type itself, and for one that has more for its weight, and more than its floor. To the
    /// host itself every type gives what it has beyond its floor.
    pub fn contains(&self, agent_type: &str) -> bool {
        let Givers { parts, receiver, .. } = *self;
        let number = parts.number_of(agent_type);
        let used = self.used_by(number);
        let has_more = || parts.weighed(number, used) >= parts.weighed(receiver, self.used_by(receiver));
        number == receiver || (used > parts.floor(number) && (receiver == 0 || has_more()))
    }

    fn used_by(&self, number: u32) -> u64 {
        self.accounts.get(number as usize).map(Account::total).unwrap_or_default()
    }
}
