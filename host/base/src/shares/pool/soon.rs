//! Parts for which a type within its share waits for a moment.

use std::time::Duration;

use super::{SharePermit, SharedPool};
use crate::shares::HeldBack;

impl SharedPool {
    /// Takes a part at once, or not at all. But a type within its share waits for so long: others have more than theirs, and
    /// what they return is for this one first.
    pub async fn acquire_soon(
        &self,
        agent_type: &str,
        amount: usize,
        patience: Duration,
    ) -> Result<SharePermit, HeldBack> {
        let held_back = match self.try_acquire(agent_type, amount) {
            Ok(permit) => return Ok(permit),
            Err(held_back) => held_back,
        };
        if held_back.is_beyond || held_back.used.saturating_add(amount) > held_back.share {
            return Err(held_back);
        }
        let permit = self.acquire(agent_type, amount);
        tokio::time::timeout(patience, permit).await.map_err(|_elapsed| held_back)
    }
}
