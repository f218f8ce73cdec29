//! The services that all activations of a host share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use daca_model::ActorAddress;
use daca_model::backend::Backend;

use super::agent::AgentRuntime;
use super::delivery::Deliveries;
use super::idle_list::IdleList;
use super::live::LiveInstances;
use super::recent_calls::RecentCalls;
use super::record::Activation;
use crate::component::Engine;

/// The services that activations and their turns need.
pub(super) struct Services {
    pub(super) engine: Engine,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) deliveries: Deliveries,
    pub(super) live: LiveInstances,
    pub(super) recent_calls: Arc<RecentCalls>,
    /// The idle activations of each agent type.
    idle: BTreeMap<Arc<str>, IdleList>,
    active: Mutex<HashMap<ActorAddress, Arc<Activation>>>,
}

impl Services {
    /// Starts without active actors.
    pub(super) fn new(
        engine: Engine,
        backend: Arc<dyn Backend>,
        deliveries: Deliveries,
        agent_types: impl Iterator<Item = Arc<str>>,
        max_live_instances: usize,
    ) -> Services {
        Services {
            engine,
            backend,
            deliveries,
            live: LiveInstances::new(max_live_instances),
            recent_calls: Arc::default(),
            idle: agent_types.map(|name| (name, IdleList::default())).collect(),
            active: Mutex::default(),
        }
    }

    /// The activation of an actor, created if there is none; and the number of activations.
    pub(super) fn activation(
        &self,
        address: &ActorAddress,
        agent: &Arc<AgentRuntime>,
    ) -> (Arc<Activation>, usize) {
        let mut active = self.active();
        if let Some(activation) = active.get(address) {
            // An existing one needs no eviction.
            return (activation.clone(), 0);
        }
        let activation = Activation::new(address.clone(), agent.clone());
        active.insert(address.clone(), activation.clone());
        (activation, active.len())
    }

    /// Removes an ended activation from the table.
    pub(super) fn forget(&self, activation: &Arc<Activation>) {
        let mut active = self.active();
        if active.get(&activation.address).is_some_and(|present| Arc::ptr_eq(present, activation)) {
            active.remove(&activation.address);
        }
    }

    /// The idle activations of an agent type.
    pub(super) fn idle_of(&self, agent: &AgentRuntime) -> Option<&IdleList> {
        self.idle.get(&agent.agent.name)
    }

    /// All activations, by address.
    pub(super) fn active(&self) -> MutexGuard<'_, HashMap<ActorAddress, Arc<Activation>>> {
        self.active.lock()
    }
}
