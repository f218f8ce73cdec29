//! Whose idle things are given up, when somebody needs memory.

use super::shared::Shared;

/// The agent types of which idle things are given up for one account.
pub struct Givers<'a> {
    shared: &'a Shared,
    account: u32,
}

impl<'a> Givers<'a> {
    pub(super) fn to(shared: &'a Shared, account: u32) -> Givers<'a> {
        Givers { shared, account }
    }

    /// Returns `true` for the agent type itself, and for one that has more for its weight, and more than its floor. To the
    /// host itself every type gives what it has beyond its floor.
    pub fn contains(&self, agent_type: &str) -> bool {
        let Shared { parts, .. } = self.shared;
        let number = parts.number_of(agent_type);
        let used = self.shared.used_by(number);
        let weighed =
            || parts.weighed(number, used) >= parts.weighed(self.account, self.shared.used_by(self.account));
        number == self.account || (used > parts.floor(number) && (self.account == 0 || weighed()))
    }
}
