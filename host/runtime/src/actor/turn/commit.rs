//! The commit of a turn, and who may make it: behind a sidecar, only whoever holds the actor's lease.

use bytes::Bytes;
use daca_model::CallError;
use daca_model::backend;

use super::{Turn, given_up};
use crate::actor::unconfirmed::Unconfirmed;
use crate::actor::warm_state::WarmState;
use crate::imports::TurnProducts;

impl Turn<'_> {
    /// Refuses a turn that the sidecar does not know of, when the actor may live elsewhere. Asked when it begins, and again
    /// before anybody learns of what it did.
    pub(super) fn check_direct(&self) -> Result<(), CallError> {
        if self.context.is_direct && !self.activation.lease.is_held(&*self.services.backend) {
            return Err(given_up());
        }
        Ok(())
    }

    /// The same before anybody learns of a turn that commits nothing, with the sidecar's own word.
    pub(super) async fn confirm_direct(&self, warm: &mut WarmState) -> Result<(), CallError> {
        if !self.context.is_direct {
            return Ok(());
        }
        let confirmed = match self.check_direct() {
            Ok(()) => {
                let confirmed = self.services.backend.confirm_ownership(&self.activation.address).await;
                confirmed.map_err(CallError::Backend)
            }
            given_up => given_up,
        };
        if confirmed.is_err() {
            *warm = WarmState::default();
        }
        confirmed
    }

    /// Finds out what became of the turn before, when that is not known. What cannot be found out now is asked again at the
    /// next turn.
    pub(super) async fn settle_unconfirmed(&self, warm: &mut WarmState) -> Result<(), backend::Error> {
        let actor = &self.activation.address;
        let Some(unconfirmed) = &warm.unconfirmed else { return Ok(()) };
        let was_kept = unconfirmed.was_kept(&*self.services.backend, actor).await?;
        let Some(unconfirmed) = warm.unconfirmed.take() else { return Ok(()) };
        if !was_kept {
            tracing::info!("turn {} was not kept, as the state shows", unconfirmed.turn_id);
            return Ok(());
        }
        tracing::info!("turn {} was kept, as the state shows; its answer was lost", unconfirmed.turn_id);
        let turn_id = unconfirmed.turn_id.clone();
        self.services.deliveries.enqueue(actor, &turn_id, unconfirmed.effects());
        Ok(())
    }

    /// Makes a turn lasting: state, reminders and timers in one transaction, then its effects on their way.
    pub(super) async fn commit(
        &self,
        warm: &mut WarmState,
        products: TurnProducts,
        reply: Bytes,
    ) -> Result<Bytes, CallError> {
        let TurnProducts { mut cache, mut commit, .. } = products;
        let actor = &self.activation.address;
        let limit = self.activation.agent.agent.limits.reply.as_u64();
        if reply.len() as u64 > limit {
            warm.instance = None;
            warm.cache = cache;
            return Err(CallError::ReplyTooLarge { actor: actor.clone(), bytes: reply.len(), limit });
        }
        if self.services.backend.era() != warm.epoch || self.revoked.is_cancelled() {
            *warm = WarmState::default();
            return Err(given_up());
        }
        // A commit is refused for an actor that lives elsewhere. A turn that only reads has to ask.
        if commit.writes.is_empty() {
            self.confirm_direct(warm).await?;
        } else if let Err(given_up) = self.check_direct() {
            *warm = WarmState::default();
            return Err(given_up);
        }
        let shape = warm.shape.as_ref().map(|shape| shape.after(&self.rollout, &self.served, &mut commit));
        let now = self.services.backend.clock().now();
        if !commit.is_empty()
            && let Err(error) = self.services.backend.commit(actor, &commit).await
        {
            // Whether it was kept is not known, so neither the instance nor the cache may be trusted.
            let unconfirmed = matches!(error, backend::Error::Unavailable(_))
                .then(|| {
                    let identity = self.context.identity.clone();
                    Unconfirmed::new(&self.turn_id, identity, commit, &self.services.deliveries)
                })
                .flatten();
            *warm = WarmState { unconfirmed, ..WarmState::default() };
            return Err(CallError::Backend(error));
        }
        if !commit.writes.is_empty() {
            self.activation.lease.confirm(warm.epoch, self.generation);
        }
        cache.apply(std::mem::take(&mut commit.writes), now);
        warm.cache = cache;
        warm.shape = shape;
        self.services.deliveries.enqueue(actor, &self.turn_id, commit.effects);
        Ok(reply)
    }
}
