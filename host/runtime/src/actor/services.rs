//! The services that all activations of a host share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use daca_base::shares::{SharedPool, SharedRate, Weights};
use parking_lot::{Mutex, MutexGuard};

use daca_model::backend::{ActorCalls, Backend};
use daca_model::{ActorAddress, Lifecycle};

use super::agent::AgentRuntime;
use super::dead_letter_index::DeadLetterIndex;
use super::delivery::Deliveries;
use super::idle_list::IdleList;
use super::late_effects::LateEffects;
use super::live::LiveInstances;
use super::looks::Looks;
use super::recent_calls::RecentCalls;
use super::record::Activation;
use super::untold::Untold;
use crate::component::Engine;
use crate::scheduler::GuestScheduler;

/// The parts of the host that actors need.
pub struct HostServices {
    /// Runs components.
    pub engine: Engine,
    /// Gives turns their processors.
    pub guests: GuestScheduler,
    /// The target of state, bindings, wake-ups and secrets.
    pub backend: Arc<dyn Backend>,
    /// The target of the calls that turns make of other actors.
    pub calls: Arc<dyn ActorCalls>,
    /// The effects that wait for delivery.
    pub deliveries: Deliveries,
    /// The phase of the host.
    pub lifecycle: Lifecycle,
}

/// The limits of what all actors have together.
pub struct ActorsOptions {
    /// Calls that wait or run at the same time.
    pub max_turns_in_flight: usize,
    /// Live instances at the same time.
    pub max_live_instances: usize,
    /// Active actors at the same time. Beyond it, those that were idle longest are deactivated early.
    pub max_active_actors: usize,
    /// The bytes that the agents of all types may log in a second.
    pub max_log_rate: usize,
}

/// The services that activations and their turns need.
pub(super) struct Services {
    pub(super) engine: Engine,
    pub(super) guests: GuestScheduler,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) calls: Arc<dyn ActorCalls>,
    pub(super) deliveries: Deliveries,
    /// The index of actors with dead letters.
    pub(super) dead_letters: DeadLetterIndex,
    /// The actors with late effects, of all hosts.
    pub(super) late_effects: LateEffects,
    pub(super) lifecycle: Lifecycle,
    pub(super) live: LiveInstances,
    /// Counts the active actors, and says of which type the next one is deactivated early.
    pub(super) active_actors: SharedPool,
    /// The bytes of the agents' log.
    pub(super) log_rate: SharedRate,
    pub(super) recent_calls: Arc<RecentCalls>,
    pub(super) untold: Untold,
    /// When somebody looked at all actors.
    pub(super) looks: Looks,
    /// The idle activations of each agent type.
    idle: BTreeMap<Arc<str>, IdleList>,
    active: Mutex<HashMap<ActorAddress, Arc<Activation>>>,
}

impl Services {
    /// Starts without active actors.
    pub(super) fn new(host: HostServices, weights: &Weights, options: &ActorsOptions) -> Services {
        let HostServices { engine, guests, backend, calls, deliveries, lifecycle } = host;
        let dead_letters = DeadLetterIndex::new(backend.shared());
        let late_effects = LateEffects::new(backend.shared(), backend.clock().clone());
        deliveries.count_in(engine.memory());
        Services {
            engine,
            guests,
            backend,
            calls,
            deliveries,
            dead_letters,
            late_effects,
            lifecycle,
            live: LiveInstances::new(options.max_live_instances, weights),
            active_actors: SharedPool::new("active actors", options.max_active_actors, weights),
            log_rate: SharedRate::new("bytes of the log a second", options.max_log_rate, weights),
            recent_calls: Arc::default(),
            untold: Untold::default(),
            looks: Looks::default(),
            idle: weights.iter().map(|(name, _)| (name.clone(), IdleList::default())).collect(),
            active: Mutex::default(),
        }
    }

    /// The activation of an actor, created if there is none; and whether another one is to be deactivated for it.
    pub(super) fn activation(
        &self,
        address: &ActorAddress,
        agent: &Arc<AgentRuntime>,
    ) -> (Arc<Activation>, bool) {
        if let Some(activation) = self.active().get(address) {
            // An existing one needs no eviction.
            return (activation.clone(), false);
        }
        // Not under the table's lock: a refusal may write a line of the log.
        let (counted, is_one_too_many) = match self.active_actors.try_acquire(&address.agent_type, 1) {
            Ok(counted) => (counted, false),
            // A call is not refused for it: the turns in flight bound the actors that are not idle.
            Err(_) => (self.active_actors.charge(&address.agent_type, 1), true),
        };
        let mut active = self.active();
        if let Some(activation) = active.get(address) {
            // Another call was faster.
            return (activation.clone(), false);
        }
        let activation = Activation::new(address.clone(), agent.clone(), counted, self.engine.memory());
        active.insert(address.clone(), activation.clone());
        (activation, is_one_too_many)
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
        self.idle_of_type(&agent.agent.name)
    }

    /// The same by the name of the type.
    pub(super) fn idle_of_type(&self, agent_type: &str) -> Option<&IdleList> {
        self.idle.get(agent_type)
    }

    /// All activations, by address.
    pub(super) fn active(&self) -> MutexGuard<'_, HashMap<ActorAddress, Arc<Activation>>> {
        self.active.lock()
    }
}
