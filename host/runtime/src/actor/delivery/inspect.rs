//! What waits for delivery, for the operators of the host.

use std::sync::Arc;

use super::Deliveries;
use crate::actor::ActorAddress;
use crate::actor::effect_log::LoggedEffect;

/// An effect that waits, as far as this host has tried it.
pub(in crate::actor) struct TriedEffect {
    pub(in crate::actor) logged: Arc<LoggedEffect>,
    pub(in crate::actor) attempts: u32,
    /// Why the last try failed.
    pub(in crate::actor) error: Option<String>,
}

impl Deliveries {
    /// The effects of an actor that have not left, in order.
    pub(in crate::actor) fn pending_of(&self, actor: &ActorAddress) -> Vec<Arc<LoggedEffect>> {
        let logs = self.shared.lock();
        logs.outgoing.get(actor).map(|outgoing| outgoing.log.pending()).unwrap_or_default()
    }

    /// The tries at an effect that waits.
    pub(in crate::actor) fn tries(&self, logged: Arc<LoggedEffect>) -> TriedEffect {
        let number = logged.number.get();
        let (attempts, error) = number.map_or((0, None), |number| self.shared.outbox.tries(*number));
        TriedEffect { logged, attempts, error }
    }

    /// The actors whose effects wait here.
    pub(in crate::actor) fn waiting_actors(&self) -> Vec<ActorAddress> {
        let logs = self.shared.lock();
        let waiting = logs.outgoing.iter().filter(|(_, outgoing)| !outgoing.lanes.is_empty());
        waiting.map(|(actor, _)| actor.clone()).collect()
    }

    /// Some actors whose first effect has been waiting here since before this time.
    pub(in crate::actor) fn actors_that_wait_since(&self, unix_ms: u64, most: usize) -> Vec<ActorAddress> {
        if self.pending() == 0 {
            return Vec::new();
        }
        let logs = self.shared.lock();
        let late = logs.outgoing.iter().filter(|(_, outgoing)| outgoing.log.waits_since(unix_ms));
        late.take(most).map(|(actor, _)| actor.clone()).collect()
    }
}
