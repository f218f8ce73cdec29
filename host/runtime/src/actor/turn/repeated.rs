//! Repeated calls: the dedup log in the actor's state, and its update in the turn's own commit.

use bytes::Bytes;
use daca_model::CallError;
use daca_model::backend::TurnCommit;

use super::Turn;
use crate::actor::dedup_log::{DedupKey, DedupLog};
use crate::actor::recent_calls::CallKey;
use crate::actor::warm_state::WarmState;

impl Turn<'_> {
    /// The answer to a call that the actor has handled before.
    pub(super) async fn answer_of_before(
        &self,
        warm: &mut WarmState,
        call: Option<&DedupKey>,
    ) -> Result<Option<Bytes>, CallError> {
        let Some(call) = call else { return Ok(None) };
        let actor = &self.activation.address;
        let known = warm.dedup_log.take();
        let knew_attempts = known.as_ref().is_some_and(|known| known.attempts().is_some());
        let log = DedupLog::read(known, &*self.services.backend, actor, call).await;
        let log = warm.dedup_log.insert(log.map_err(CallError::Backend)?);
        if let Some(attempts) = log.attempts().filter(|_| !knew_attempts) {
            // The state has space for a few, which the calls of this host displace before the last repetition has
            // arrived.
            for (hash, reply) in attempts.iter() {
                let result = reply.cloned().ok_or_else(|| CallError::ReplyLost(actor.clone()));
                self.services.recent_calls.keep(CallKey::of_hash(actor, hash), result);
            }
        }
        log.answer(actor, call)
    }

    /// Records a call that may be repeated as handled, in the turn's own commit.
    pub(super) fn note_handled(
        &self,
        warm: &mut WarmState,
        call: Option<&DedupKey>,
        reply: &Bytes,
        commit: &mut TurnCommit,
    ) -> Option<DedupLog> {
        let log = warm.dedup_log.take()?;
        Some(match call {
            Some(call) => log.after(call, reply, self.services.backend.clock().unix_ms() / 1_000, commit),
            None => log,
        })
    }
}
