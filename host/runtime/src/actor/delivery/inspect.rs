//! What waits for delivery, and what was given up and is no dead letter yet, for the operators of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Deliveries;
use crate::actor::ActorAddress;
use crate::actor::effect_log::LoggedEffect;

/// An effect that has not left, as far as this host has tried it.
pub(in crate::actor) struct TriedEffect {
    pub(in crate::actor) logged: Arc<LoggedEffect>,
    pub(in crate::actor) attempts: u32,
    /// Why the last try failed.
    pub(in crate::actor) error: Option<String>,
    /// It is not tried any more, and is no dead letter yet.
    pub(in crate::actor) is_given_up: bool,
}

impl Deliveries {
    /// The effects of an actor that have not left, in order.
    pub(in crate::actor) fn pending_of(&self, actor: &ActorAddress) -> Vec<Arc<LoggedEffect>> {
        let logs = self.shared.lock();
        logs.outgoing.get(actor).map(|outgoing| outgoing.log.pending()).unwrap_or_default()
    }

    /// The tries at an effect that has not left.
    pub(in crate::actor) fn tries(&self, logged: Arc<LoggedEffect>) -> TriedEffect {
        let given_up = logged.given_up().map(|given_up| (given_up.attempts, Some(given_up.reason.clone())));
        if let Some((attempts, error)) = given_up {
            return TriedEffect { logged, attempts, error, is_given_up: true };
        }
        let number = logged.number.get();
        let (attempts, error) = number.map_or((0, None), |number| self.shared.outbox.tries(*number));
        TriedEffect { logged, attempts, error, is_given_up: false }
    }

    /// The number of effects of each agent type that were given up here and are no dead letters yet.
    pub(in crate::actor) fn unburied_by_type(&self) -> BTreeMap<Arc<str>, usize> {
        let mut counts = BTreeMap::new();
        let logs = self.shared.lock();
        for actor in &logs.unburied {
            let count = logs.outgoing.get(actor).map_or(0, |outgoing| outgoing.log.unburied());
            *counts.entry(actor.agent_type.clone()).or_default() += count;
        }
        counts
    }

    /// The actors whose effects have not left, and lie here.
    pub(in crate::actor) fn waiting_actors(&self) -> Vec<ActorAddress> {
        let logs = self.shared.lock();
        let waiting = logs.outgoing.iter().filter(|(_, outgoing)| !outgoing.lanes.is_empty());
        let waiting = waiting.map(|(actor, _)| actor).chain(&logs.unburied).cloned();
        waiting.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Some actors whose first effect has been waiting here since before this time.
    pub(in crate::actor) fn actors_that_wait_since(&self, unix_ms: u64, most: usize) -> Vec<ActorAddress> {
        let logs = self.shared.lock();
        if self.pending() == 0 && logs.unburied.is_empty() {
            return Vec::new();
        }
        let late = logs.outgoing.iter().filter(|(_, outgoing)| outgoing.log.waits_since(unix_ms));
        late.take(most).map(|(actor, _)| actor.clone()).collect()
    }
}
