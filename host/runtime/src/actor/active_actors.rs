//! The active actors: the activation of each, and which of them are idle.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use daca_base::memory::MemoryBudget;
use daca_base::shares::{SharedPool, Weights};
use daca_model::ActorAddress;
use parking_lot::{Mutex, MutexGuard};

use super::agent::AgentRuntime;
use super::idle_list::IdleList;
use super::looks::Looks;
use super::record::Activation;

/// All activations of a host.
pub(super) struct ActiveActors {
    /// Counts them, and says of which type the next one is deactivated early.
    counted: SharedPool,
    /// The idle ones of each agent type.
    idle: BTreeMap<Arc<str>, IdleList>,
    all: Mutex<HashMap<ActorAddress, Arc<Activation>>>,
    /// When somebody looked at all of them.
    pub(super) looks: Looks,
}

impl ActiveActors {
    /// Starts without any. Beyond `most`, idle ones are deactivated early.
    pub(super) fn new(most: usize, weights: &Weights) -> ActiveActors {
        ActiveActors {
            counted: SharedPool::new("active actors", most, weights),
            idle: weights.iter().map(|(name, _)| (name.clone(), IdleList::default())).collect(),
            all: Mutex::default(),
            looks: Looks::default(),
        }
    }

    /// The activation of an actor, created if there is none; and whether another one is to be deactivated for it.
    pub(super) fn activation(
        &self,
        address: &ActorAddress,
        agent: &Arc<AgentRuntime>,
        memory: &MemoryBudget,
    ) -> (Arc<Activation>, bool) {
        if let Some(activation) = self.lock().get(address) {
            // An existing one needs no eviction.
            return (activation.clone(), false);
        }
        // Not under the table's lock: a refusal may write a line of the log.
        let (counted, is_one_too_many) = match self.counted.try_acquire(&address.agent_type, 1) {
            Ok(counted) => (counted, false),
            // A call is not refused for it: the turns in flight bound the actors that are not idle.
            Err(_) => (self.counted.charge(&address.agent_type, 1), true),
        };
        let mut all = self.lock();
        if let Some(activation) = all.get(address) {
            // Another call was faster.
            return (activation.clone(), false);
        }
        let activation = Activation::new(address.clone(), agent.clone(), counted, memory);
        all.insert(address.clone(), activation.clone());
        (activation, is_one_too_many)
    }

    /// Removes an ended activation.
    pub(super) fn forget(&self, activation: &Arc<Activation>) {
        let mut all = self.lock();
        if all.get(&activation.address).is_some_and(|present| Arc::ptr_eq(present, activation)) {
            all.remove(&activation.address);
        }
    }

    /// The idle activations of an agent type.
    pub(super) fn idle_of(&self, agent: &AgentRuntime) -> Option<&IdleList> {
        self.idle_of_type(&agent.agent.name)
    }

    /// The same by the name of the type.
    pub(super) fn idle_of_type(&self, agent_type: &str) -> Option<&IdleList> {
        self.idle.get(agent_type)
    }

    /// What the types share.
    pub(super) fn pool(&self) -> &SharedPool {
        &self.counted
    }

    /// All activations, by address.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<ActorAddress, Arc<Activation>>> {
        self.all.lock()
    }
}
