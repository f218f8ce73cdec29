//! The turn in which an agent is told of an effect that failed: its export `on-effect-failed` runs like any other call,
//! and the dead letter is marked in the turn's own commit. So the agent is told exactly once in turns that are kept.

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_model::{CallError, TurnKind};
use tokio::time::Instant;

use super::{Answered, Turn};
use crate::actor::effect_log::{DeadLetter, DeadLetters, MAX_TELLINGS};
use crate::actor::warm_state::WarmState;
use crate::component::Outcome;
use crate::imports::TurnProducts;

/// A turn of the handler that was not cut off.
struct Handled {
    letters: DeadLetters,
    /// The identity of the effect.
    id: std::sync::Arc<str>,
    outcome: Outcome,
    products: Box<TurnProducts>,
}

impl Turn<'_> {
    /// Tells the agent of one dead letter, if there is one of which it is to be told.
    pub(super) async fn tell(&self, warm: &mut WarmState) -> Result<Answered, CallError> {
        let nothing = Answered { reply: Bytes::new(), is_without_guest: true };
        if !self.loaded.version.has_on_effect_failed() {
            return Ok(nothing);
        }
        let epoch = warm.epoch;
        let Some(ran) = self.revoked.run_until_cancelled(self.run_handler(warm)).await else {
            return Err(self.reset_revoked(warm));
        };
        let Some(Handled { mut letters, id, outcome, products }) = ran? else {
            self.activation.has_told_all();
            return Ok(nothing);
        };
        let error = match outcome {
            Outcome::Reply(reply) => {
                letters.told(&id);
                match self.commit_told(warm, *products, reply, &letters).await {
                    Ok(answered) => return Ok(answered),
                    Err(error) => error,
                }
            }
            outcome => {
                warm.cache = products.cache;
                self.confirm_direct(warm).await?;
                self.failure(outcome, products.saw_transient_error)
            }
        };
        if is_of_agent(&error) {
            // A commit that failed has reset it.
            warm.epoch = epoch;
            self.count_failure(warm, letters, &id).await;
        }
        Err(error)
    }

    /// Reads the dead letters, and runs the handler for the next one. `None` if there is none.
    async fn run_handler(&self, warm: &mut WarmState) -> Result<Option<Handled>, CallError> {
        let deadline = Instant::now() + self.activation.agent.agent.limits.turn_time;
        let letters = self.dead_letters().await.map_err(CallError::Backend)?;
        let Some(failed) = letters.untold().map(DeadLetter::failed) else { return Ok(None) };
        let id = failed.effect.id.clone();
        let kind = TurnKind::EffectFailed(Box::new(failed));
        let (outcome, products) = self.run_guest(warm, &kind, None, false, deadline).await?;
        Ok(Some(Handled { letters, id, outcome, products: Box::new(products) }))
    }

    async fn commit_told(
        &self,
        warm: &mut WarmState,
        mut products: TurnProducts,
        reply: Bytes,
        letters: &DeadLetters,
    ) -> Result<Answered, CallError> {
        products.commit.effects.iter_mut().for_each(|effect| effect.after_failure = true);
        let reply = self.commit_with(warm, products, reply, Some(letters)).await?;
        self.tell_more(letters);
        Ok(Answered::now(reply))
    }

    /// Counts a failure of the handler, in a commit of its own: nothing of its turn is kept.
    async fn count_failure(&self, warm: &mut WarmState, mut letters: DeadLetters, id: &str) {
        let is_last = letters.telling_failed(id);
        let products = self.scope(warm, None, None, false).finish();
        if let Err(error) = self.commit_with(warm, products, Bytes::new(), Some(&letters)).await {
            tracing::warn!("a failure of on-effect-failed is not counted: {error}");
            return;
        }
        self.tell_more(&letters);
        if is_last {
            tracing::error!(
                code = ErrorCode::EffectHandlerGivenUp.as_str(),
                "on-effect-failed has failed {MAX_TELLINGS} times for the effect {id}; the agent is no longer told, and the effect stays a dead letter"
            );
        }
    }

    /// After a commit the agent is told of more, if there is more. What has failed waits for the host's reminder.
    fn tell_more(&self, letters: &DeadLetters) {
        if letters.has_news() {
            self.services.effects.untold.add(self.activation.address.clone());
        }
    }
}

/// Returns `true` if the agent has run and its turn failed because of what it did. What the host refuses or loses does not
/// count.
fn is_of_agent(error: &CallError) -> bool {
    !error.is_refusal() || matches!(error, CallError::NeededUnavailable(_))
}

#[cfg(test)]
mod tests;
