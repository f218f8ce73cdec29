//! The weights of the agent types of a host.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The weight of each agent type. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    of_types: Arc<BTreeMap<Arc<str>, u32>>,
}

impl Weights {
    /// The types in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, u32)> {
        self.of_types.iter().map(|(name, weight)| (name, *weight))
    }
}

impl FromIterator<(Arc<str>, u32)> for Weights {
    /// A weight of zero counts as one.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, u32)>>(types: I) -> Weights {
        let of_types = types.into_iter().map(|(name, weight)| (name, weight.max(1)));
        Weights { of_types: Arc::new(of_types.collect()) }
    }
}
