//! The services that all activations of a host share.

use std::sync::Arc;

use daca_base::shares::{SharedRate, Weights};
use daca_model::Lifecycle;
use daca_model::backend::{ActorCalls, Backend};

use super::active_actors::ActiveActors;
use super::dead_letter_index::DeadLetterIndex;
use super::delivery::Deliveries;
use super::late_effects::LateEffects;
use super::live::LiveInstances;
use super::recent_calls::RecentCalls;
use super::work_queue::WorkQueue;
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
    pub(super) effects: EffectServices,
    pub(super) lifecycle: Lifecycle,
    pub(super) live: LiveInstances,
    pub(super) active: ActiveActors,
    /// The bytes of the agents' log.
    pub(super) log_rate: SharedRate,
    pub(super) recent_calls: Arc<RecentCalls>,
}

/// What becomes of the effects of turns.
pub(super) struct EffectServices {
    pub(super) deliveries: Deliveries,
    /// The index of actors with dead letters.
    pub(super) dead_letters: DeadLetterIndex,
    /// The actors with late effects, of all hosts.
    pub(super) late: LateEffects,
    /// The actors whose agents are to be told of effects that failed.
    pub(super) untold: WorkQueue,
}

impl Services {
    /// Starts without active actors.
    pub(super) fn new(host: HostServices, weights: &Weights, options: &ActorsOptions) -> Services {
        let HostServices { engine, guests, backend, calls, deliveries, lifecycle } = host;
        let log_rate = SharedRate::new("bytes of the log a second", options.max_log_rate, weights);
        deliveries.set_memory_budget(engine.memory());
        deliveries.set_log_rate(&log_rate);
        let effects = EffectServices {
            deliveries,
            dead_letters: DeadLetterIndex::new(backend.shared()),
            late: LateEffects::new(backend.shared(), backend.clock().clone()),
            untold: WorkQueue::default(),
        };
        let live = LiveInstances::new(&engine, options.max_live_instances, weights);
        Services {
            engine,
            guests,
            backend,
            calls,
            effects,
            lifecycle,
            live,
            active: ActiveActors::new(options.max_active_actors, weights),
            log_rate,
            recent_calls: Arc::default(),
        }
    }
}
