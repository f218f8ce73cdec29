//! Telling agents of effects that failed, one turn for each dead letter. [`super::untold`] has who is to be told.

use bytes::Bytes;
use daca_model::backend::{Error, FailedEffect};
use daca_model::{ActorAddress, CallContext, CallError};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::effect_log::{DEAD_LETTERS, DeadLetters};
use super::table::Actors;
use super::work::Work;

/// The number of agents that are told at the same time.
const CONCURRENT: usize = 16;

impl Actors {
    /// Tells agents of their dead letters. Runs until it is dropped.
    pub(super) async fn run_tellings(&self) {
        let mut tellings = FuturesUnordered::new();
        loop {
            tokio::select! {
                actor = self.services.untold.next(), if tellings.len() < CONCURRENT => {
                    tellings.push(self.tell(actor));
                }
                Some(()) = tellings.next() => self.services.untold.ended(),
            }
        }
    }

    /// Tells an agent of one dead letter. If there are more, its turn has added the actor again.
    async fn tell(&self, actor: ActorAddress) {
        // An actor that is not active here any more is left to the host's reminder.
        if self.services.active().contains_key(&actor) {
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
        self.services.deliveries.has_burials() || !self.services.untold.is_empty()
    }

    /// The dead letters of an actor, from old to new.
    pub async fn dead_letters(&self, actor: &ActorAddress) -> Result<Vec<FailedEffect>, Error> {
        let value = self.services.backend.read_state(actor, &[DEAD_LETTERS.to_owned()]).await?;
        let value = value.into_iter().flatten().next().map(|value| value.value);
        Ok(DeadLetters::read(value.as_ref())?.failed())
    }
}
