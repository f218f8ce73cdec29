//! Effects that were given up become dead letters, in turns of the host that run beside all others.

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::{ActorAddress, Actors, CallContext, effect_log};
use daca_model::backend::FiredWakeup;

/// The number of actors whose given-up effects become dead letters at the same time.
const CONCURRENT_BURIALS: usize = 16;

impl Actors {
    /// Makes dead letters of effects that were given up, in turns of the host, and tells their agents. Runs until it is
    /// dropped. An actor that is not active here any more is left to the host's reminder.
    pub async fn run_burials(&self) {
        tokio::join!(self.run_given_up(), self.run_tellings());
    }

    async fn run_given_up(&self) {
        let mut burials = FuturesUnordered::new();
        loop {
            tokio::select! {
                actor = self.services.deliveries.next_given_up(), if burials.len() < CONCURRENT_BURIALS => {
                    burials.push(self.bury(actor));
                }
                Some(()) = burials.next() => self.services.deliveries.burial_ended(),
            }
        }
    }

    async fn bury(&self, actor: ActorAddress) {
        if !self.services.active().contains_key(&actor) {
            return;
        }
        let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
        // Like a direct call: it is refused if the actor may be active elsewhere. A backlog does not refuse what shortens it.
        let context = CallContext { is_direct: true, ..CallContext::of_host() };
        if let Err(error) = self.wake(&actor, fired, Bytes::new(), context).await {
            tracing::debug!(%actor, "the effects that were given up are no dead letters yet: {error}");
        }
    }
}
