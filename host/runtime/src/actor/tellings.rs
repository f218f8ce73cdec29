//! Telling agents of effects that failed (`on-effect-failed`), one turn for each dead letter.
//!
//! What is durable is in the dead letters: one of which the agent is to be told says so until a turn of its handler has
//! been kept. The queue `untold` of the [services](super::services) only has who is to be told now. The turn of the host
//! that makes dead letters adds its actor there, and after a crash so does the first firing of the host's reminder, which
//! stays registered until nobody is to be told.

use bytes::Bytes;
use daca_model::backend::{Error, FailedEffect};
use daca_model::{ActorAddress, CallContext, CallError};

use super::effect_log::{DEAD_LETTERS, DeadLetters};
use super::table::Actors;
use super::work::Work;

impl Actors {
    /// Tells an agent of one dead letter. If there are more, its turn has added the actor again.
    pub(super) async fn tell(&self, actor: ActorAddress) {
        // An actor that is not active here any more is left to the host's reminder.
        if self.services.active.lock().contains_key(&actor) {
            // Like a direct call: it is refused if the actor may be active elsewhere.
            let context = CallContext { is_direct: true, ..CallContext::of_host() };
            let told: Result<Bytes, CallError> = self.deliver(&actor, None, Work::Tell, context).await;
            if let Err(error) = told {
                tracing::debug!(%actor, "the agent has not been told of a failed effect yet: {error}");
            }
        }
    }

    /// Returns `true` while effects that were given up are being made dead letters, or agents are being told of them.
    pub fn has_burials(&self) -> bool {
        // In the order in which they pass: none is missed on its way.
        !self.services.effects.deliveries.burials().is_idle() || !self.services.effects.untold.is_idle()
    }

    /// The dead letters of an actor, from old to new.
    pub async fn dead_letters(&self, actor: &ActorAddress) -> Result<Vec<FailedEffect>, Error> {
        let value = self.services.backend.read_state(actor, &[DEAD_LETTERS.to_owned()]).await?;
        let value = value.into_iter().flatten().next().map(|value| value.value);
        Ok(DeadLetters::read(value.as_ref())?.failed())
    }
}
