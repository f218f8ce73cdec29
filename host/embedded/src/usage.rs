//! The bytes that each agent type has in the state file: the sums of what its actors have. They are added up at the
//! start, and kept by the writer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The bytes of each agent type. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeUsage {
    of_types: Arc<Mutex<HashMap<Arc<str>, u64>>>,
}

/// What a transaction adds to the bytes of each agent type, or takes from them.
#[derive(Debug, Default)]
pub(super) struct Growth {
    of_types: HashMap<Arc<str>, i128>,
}

impl Growth {
    pub(super) fn add(&mut self, agent_type: &str, added: u64, freed: u64) {
        let grown = i128::from(added) - i128::from(freed);
        if grown == 0 {
            return;
        }
        match self.of_types.get_mut(agent_type) {
            Some(sum) => *sum += grown,
            None => drop(self.of_types.insert(agent_type.into(), grown)),
        }
    }
}

impl TypeUsage {
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
    pub(super) fn add(&self, growth: Growth) {
        let mut of_types = self.of_types.lock();
        for (agent_type, grown) in growth.of_types {
            let used = of_types.entry(agent_type).or_default();
            *used = u64::try_from(i128::from(*used) + grown).unwrap_or(0);
        }
    }

    /// The bytes of a type.
    pub(super) fn of(&self, agent_type: &str) -> u64 {
        self.of_types.lock().get(agent_type).copied().unwrap_or_default()
    }
}
