//! The turn of the host that removes from the store the effects that have left, while no other turn of the actor commits.
//! [`crate::actor::delivery`] knows when that is due.

use bytes::Bytes;
use daca_model::CallError;

use super::{Answered, Turn};
use crate::actor::warm_state::WarmState;

impl Turn<'_> {
    /// Commits the removal, unless a turn has done so in the meantime.
    pub(super) async fn remove_sent(&self, warm: &mut WarmState) -> Result<Answered, CallError> {
        let claim = self.activation.take_effects(warm.epoch);
        // Without a claim the store may have another log than this host knows. Who reads it next removes them.
        let deliveries = &self.services.effects.deliveries;
        let is_due = claim.as_ref().is_some_and(|claim| deliveries.has_leftovers(claim));
        self.activation.keep_effects(warm.epoch, claim);
        if is_due {
            let products = self.scope(warm, None, None, false).finish();
            self.commit(warm, products, Bytes::new()).await?;
        }
        Ok(Answered { reply: Bytes::new(), is_without_guest: true })
    }
}
