//! The services that all activations of a host share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use daca_model::backend::{ActorCalls, Backend};
use daca_model::{ActorAddress, Lifecycle};

use super::agent::AgentRuntime;
use super::dead_letter_index::DeadLetterIndex;
use super::delivery::Deliveries;
use super::idle_list::IdleList;
use super::late_effects::LateEffects;
use super::live::LiveInstances;
use super::recent_calls::RecentCalls;
use super::record::Activation;
use super::untold::Untold;
use crate::component::Engine;

/// The parts of the host that actors need.
pub struct HostServices {
    /// Runs components.
    pub engine: Engine,
    /// The target of state, bindings, wake-ups and secrets.
    pub backend: Arc<dyn Backend>,
    /// The target of the calls that turns make of other actors.
    pub calls: Arc<dyn ActorCalls>,
    /// The effects that wait for delivery.
    pub deliveries: Deliveries,
    /// The phase of the host.
    pub lifecycle: Lifecycle,
}

/// The services that activations and their turns need.
pub(super) struct Services {
    pub(super) engine: Engine,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) calls: Arc<dyn ActorCalls>,
    pub(super) deliveries: Deliveries,
    /// The index of actors with dead letters.
    pub(super) dead_letters: DeadLetterIndex,
    /// The actors with late effects, of all hosts.
    pub(super) late_effects: LateEffects,
    pub(super) lifecycle: Lifecycle,
    pub(super) live: LiveInstances,
    pub(super) recent_calls: Arc<RecentCalls>,
    pub(super) untold: Untold,
    /// The idle activations of each agent type.
    idle: BTreeMap<Arc<str>, IdleList>,
    active: Mutex<HashMap<ActorAddress, Arc<Activation>>>,
}

impl Services {
    /// Starts without active actors.
    pub(super) fn new(
        host: HostServices,
        agent_types: impl Iterator<Item = Arc<str>>,
        max_live_instances: usize,
    ) -> Services {
        let HostServices { engine, backend, calls, deliveries, lifecycle } = host;
        let dead_letters = DeadLetterIndex::new(backend.shared());
        let late_effects = LateEffects::new(backend.shared());
        deliveries.count_in(engine.memory());
        Services {
            engine,
            backend,
            calls,
            deliveries,
            dead_letters,
            late_effects,
            lifecycle,
            live: LiveInstances::new(max_live_instances),
            recent_calls: Arc::default(),
            untold: Untold::default(),
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
        let activation = Activation::new(address.clone(), agent.clone(), self.engine.memory());
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
