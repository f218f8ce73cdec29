//! Making dead letters of effects that were given up, in turns of the host. [`super::delivery`] knows whose they are.

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::backend::FiredWakeup;
use daca_model::{ActorAddress, CallContext};

use super::effect_log;
use super::table::Actors;

impl Actors {
    /// Makes dead letters of one actor's effects.
    pub(super) async fn bury(&self, actor: ActorAddress) {
        if !self.services.active.lock().contains_key(&actor) {
            return;
        }
        let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
        // Like a direct call: it is refused if the actor may be active elsewhere. A backlog does not refuse what shortens it.
        let context = CallContext { is_direct: true, ..CallContext::of_host() };
        match self.wake(&actor, fired, Bytes::new(), context).await {
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
}
