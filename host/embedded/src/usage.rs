//! The bytes that each agent type has in the state file: the sums of what its actors have. They are added up at the
//! start, and kept by the writer.
//!
//! If what all types have is bounded, they share it by weight. A transaction counts there from its first turn on, and no
//! more if it fails.

use std::collections::HashMap;
use std::sync::Arc;

use daca_base::shares::SharedPool;
use parking_lot::Mutex;

/// The bytes of each agent type. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeUsage {
    of_types: Arc<Mutex<HashMap<Arc<str>, u64>>>,
    /// What all types may have, if it is bounded.
    shared: Option<SharedPool>,
}

/// What a transaction adds to the bytes of each agent type, or takes from them.
#[derive(Debug)]
pub(super) struct Growth {
    of_types: HashMap<Arc<str>, i128>,
    shared: Option<SharedPool>,
}

impl Growth {
    pub(super) fn add(&mut self, agent_type: &str, added: u64, freed: u64) {
        let grown = i128::from(added) - i128::from(freed);
        if grown == 0 {
            return;
        }
        self.share(agent_type, grown);
        match self.of_types.get_mut(agent_type) {
            Some(sum) => *sum += grown,
            None => drop(self.of_types.insert(agent_type.into(), grown)),
        }
    }

    fn share(&self, agent_type: &str, grown: i128) {
        let Some(shared) = &self.shared else { return };
        let bytes = usize::try_from(grown.unsigned_abs()).unwrap_or(usize::MAX);
        let (added, freed) = if grown > 0 { (bytes, 0) } else { (0, bytes) };
        shared.adjust(agent_type, added, freed);
    }
}

/// The transaction has failed, unless the growth was taken out.
impl Drop for Growth {
    fn drop(&mut self) {
        for (agent_type, grown) in std::mem::take(&mut self.of_types) {
            self.share(&agent_type, -grown);
        }
    }
}

impl TypeUsage {
    /// `shared` is what all types may have, if it is bounded.
    pub(super) fn within(shared: Option<SharedPool>) -> TypeUsage {
        TypeUsage { shared, ..TypeUsage::default() }
    }

    /// What all types may have, if it is bounded.
    pub(super) fn shared(&self) -> Option<&SharedPool> {
        self.shared.as_ref()
    }

    /// That of a transaction which begins.
    pub(super) fn growth(&self) -> Growth {
        Growth { of_types: HashMap::new(), shared: self.shared.clone() }
    }

    /// The bytes that a type may add to what all types have.
    pub(super) fn room(&self, agent_type: &str) -> u64 {
        self.shared.as_ref().map_or(u64::MAX, |shared| shared.room(agent_type) as u64)
    }

    /// A type was refused more than its room.
    pub(super) fn count_refusal(&self, agent_type: &str) {
        if let Some(shared) = &self.shared {
            shared.count_refusal(agent_type, shared.room(agent_type).saturating_add(1));
        }
    }

    /// The bytes that a type may add, with a bound for all its actors, after what a transaction has added so far.
    pub(super) fn left(&self, agent_type: &str, bound: u64, growth: &Growth) -> u64 {
        if bound == u64::MAX {
            return bound;
        }
        let used = i128::from(self.of(agent_type));
        let grown = growth.of_types.get(agent_type).copied().unwrap_or_default();
        u64::try_from(i128::from(bound) - used - grown).unwrap_or(0)
    }

    /// A transaction is on disk.
    pub(super) fn add(&self, mut growth: Growth) {
        let mut of_types = self.of_types.lock();
        for (agent_type, grown) in std::mem::take(&mut growth.of_types) {
            let used = of_types.entry(agent_type).or_default();
            *used = u64::try_from(i128::from(*used) + grown).unwrap_or(0);
        }
    }

    /// The bytes of a type.
    pub(super) fn of(&self, agent_type: &str) -> u64 {
        self.of_types.lock().get(agent_type).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_counts_at_once_and_no_more_if_it_fails() {
        let shared = SharedPool::new("bytes on disk", 1_000, &[("A".into(), 1)].into_iter().collect());
        let usage = TypeUsage::within(Some(shared));
        let mut first = usage.growth();
        first.add("A", 700, 0);
        assert_eq!(usage.room("A"), 300);
        usage.add(first);
        assert_eq!((usage.room("A"), usage.of("A")), (300, 700));
        let mut second = usage.growth();
        second.add("A", 0, 500);
        second.add("A", 100, 0);
        assert_eq!(usage.room("A"), 700);
        drop(second);
        assert_eq!((usage.room("A"), usage.of("A")), (300, 700));
        assert_eq!(TypeUsage::default().room("A"), u64::MAX);
    }
}
