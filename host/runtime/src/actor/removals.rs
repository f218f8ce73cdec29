//! Removing from the store the effects that have left, in turns of the host. [`super::delivery`] knows whose they are.

use daca_model::{ActorAddress, CallContext};

use super::table::Actors;
use super::work::Work;

impl Actors {
    /// Removes the effects of one actor. If that fails, the next firing of the host's reminder removes them, or the
    /// actor's next host.
    pub(super) async fn remove_sent(&self, actor: ActorAddress) {
        let activation = self.services.active.lock().get(&actor).cloned();
        let backend = &*self.services.backend;
        if activation.is_none_or(|activation| !activation.lease.is_held(backend)) {
            return;
        }
        // Like a direct call: it is refused if the actor may be active elsewhere.
        let context = CallContext { is_direct: true, ..CallContext::of_host() };
        if let Err(error) = self.deliver(&actor, None, Work::RemoveSent, context).await {
            tracing::debug!(%actor, "the effects that have left lie in the store for a while: {error}");
        }
    }
}
