//! The host's own turns for effects: those who are to have one are in a queue for each kind.
//!
//! One makes dead letters of an actor's effects that were given up, one tells its agent of a dead letter
//! (`on-effect-failed`), and one removes from the store what has left. [`super::delivery`] knows whose they are; only who
//! is to be told is known here. That is durable in the dead letters: one that the agent is to be told of is marked until
//! a turn of its handler has been kept. The queue `untold` of the [services](super::services) only has the actors whose
//! agents are to be told now. The turn that makes dead letters adds its actor there. After a crash, the first firing of
//! the host's reminder does so; the reminder stays registered until no dead letter is marked.

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::backend::FiredWakeup;
use daca_model::{ActorAddress, CallContext};

use super::effect_log;
use super::table::Actors;
use super::work::Work;

impl Actors {
    /// Makes dead letters of effects that were given up, tells their agents, and removes from the store what has left.
    /// Runs until it is dropped. An actor that is not active here any more is left to the host's reminder.
    pub async fn run_effect_turns(&self) {
        let effects = &self.services.effects;
        let burials = effects.deliveries.burials().run(|actor| self.bury(actor));
        let tellings = effects.untold.run(|actor| self.tell(actor));
        let removals = effects.deliveries.removals().run(|actor| self.remove_sent(actor));
        tokio::join!(burials, tellings, removals, effects.deliveries.look_for_removals());
    }

    /// Returns `true` while effects that were given up are being made dead letters, or agents are being told of them.
    pub fn has_burials(&self) -> bool {
        // In the order in which they pass: none is missed on its way.
        !self.services.effects.deliveries.burials().is_idle() || !self.services.effects.untold.is_idle()
    }

    /// Makes dead letters of one actor's effects.
    async fn bury(&self, actor: ActorAddress) {
        if !self.services.active.contains(&actor) {
            return;
        }
        let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
        // A backlog does not refuse what shortens it.
        match self.wake(&actor, fired, Bytes::new(), context()).await {
            Ok(()) => {}
            // Its next host sees to it, or this one at the next firing of the reminder.
            Err(error) if error.is_not_applied() => {
                tracing::debug!(%actor, "the effects that were given up are no dead letters yet: {error}");
            }
            Err(error) => tracing::warn!(
                code = ErrorCode::DeadLetterNotWritten.as_str(),
                agent_type = %actor.agent_type,
                actor_id = &*actor.id,
                "the effects that were given up are no dead letters yet: {}",
                printable(&error.to_string())
            ),
        }
    }

    /// Tells an agent of one dead letter. If there are more, its turn has added the actor again.
    async fn tell(&self, actor: ActorAddress) {
        // An actor that is not active here any more is left to the host's reminder.
        if self.services.active.contains(&actor)
            && let Err(error) = self.deliver(&actor, None, Work::Tell, context()).await
        {
            tracing::debug!(%actor, "the agent has not been told of a failed effect yet: {error}");
        }
    }

    /// Removes the effects of one actor that have left. If that fails, the next firing of the host's reminder removes
    /// them, or the actor's next host.
    async fn remove_sent(&self, actor: ActorAddress) {
        let activation = self.services.active.get(&actor);
        let backend = &*self.services.backend;
        if activation.is_none_or(|activation| !activation.lease.is_held(backend)) {
            return;
        }
        if let Err(error) = self.deliver(&actor, None, Work::RemoveSent, context()).await {
            tracing::debug!(%actor, "the effects that have left lie in the store for a while: {error}");
        }
    }
}

/// Like that of a direct call: the turn is refused if the actor may be active elsewhere.
fn context() -> CallContext {
    CallContext { is_direct: true, ..CallContext::of_host() }
}
