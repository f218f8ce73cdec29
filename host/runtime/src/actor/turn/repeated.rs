//! Repeated calls: the dedup log in the actor's state, and its update in the turn's own commit.
//!
//! A call is looked up twice: before its turn, and at its commit. In between, the actor's previous host may have
//! handled it. A backend that can compare refuses the commit then. With one that cannot, the mark is read
//! again right before the commit, but only if the log was read while there might be such a host ([`Ownership::overlap`]).
//! Whether it was is decided at the first look: the turn may take longer than that. Once there is no such host, the log is
//! read again, and no mark any more.
//!
//! [`Ownership::overlap`]: daca_model::backend::Ownership::overlap

use bytes::Bytes;
use daca_model::backend::{self, FiredWakeup, TurnCommit};
use daca_model::{CallError, CallIdentity};
use tokio::time::Instant;

use super::{Answered, Turn, given_up};
use crate::actor::dedup_log::{DedupKey, DedupLog, key_of, was_handled};
use crate::actor::recent_calls::CallKey;
use crate::actor::warm_state::WarmState;
use crate::imports::TurnProducts;

impl Turn<'_> {
    /// The answer to a call that the actor has handled before.
    pub(super) async fn answer_of_before(
        &self,
        warm: &mut WarmState,
        call: Option<&DedupKey>,
    ) -> Result<Option<Bytes>, CallError> {
        let (Some(call), Some(identity)) = (call, &self.context.identity) else { return Ok(None) };
        let (actor, now) = (&self.activation.address, Instant::now());
        let overlap = self.services.backend.overlap();
        let is_over = now >= *warm.overlap_ends.get_or_insert_with(|| now + overlap);
        // It may lack what another host has handled since it was read.
        let is_outdated = std::mem::replace(&mut warm.checks_mark, !is_over) && is_over;
        let known = warm.dedup_log.take().filter(|_| !is_outdated);
        let knew_attempts = known.as_ref().is_some_and(|known| known.attempts().is_some());
        let log = DedupLog::read(known, &*self.services.backend, actor, identity).await;
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

    /// Answers a call that was handled before. If it is a firing, its reminder still exists, and this time it ends.
    pub(super) async fn answer_again(
        &self,
        warm: &mut WarmState,
        fired: Option<FiredWakeup>,
        reply: Bytes,
    ) -> Result<Answered, CallError> {
        if fired.is_some() {
            let products = self.scope(warm, None, fired, false).finish();
            self.commit(warm, products, Bytes::new()).await?;
        } else {
            self.confirm_direct(warm).await?;
        }
        Ok(Answered { reply, is_without_guest: true })
    }

    /// Commits the turn of a call, with its mark if it may be repeated. If another host has handled the call meanwhile,
    /// nothing of this turn is kept, and its caller gets the answer of the other one.
    pub(super) async fn commit_call(
        &self,
        warm: &mut WarmState,
        call: Option<&DedupKey>,
        mut products: TurnProducts,
        reply: Bytes,
    ) -> Result<Answered, CallError> {
        let log = self.note_handled(warm, call, &reply, &mut products.commit);
        let error = match self.commit(warm, products, reply).await {
            Ok(reply) => {
                warm.dedup_log = log;
                return Ok(Answered::now(reply));
            }
            Err(error) => error,
        };
        // Only `check_unhandled` leaves one.
        let (Some(call), Some(log)) = (call, &warm.dedup_log) else { return Err(error) };
        let Some(reply) = log.answer(&self.activation.address, call)? else { return Err(error) };
        tracing::info!("another host has handled the call during this turn, of which nothing is kept");
        self.confirm_direct(warm).await?;
        Ok(Answered { reply, is_without_guest: true })
    }

    /// Rejects the commit of a call that another host has handled since the call was looked up. The log is then read
    /// again.
    pub(super) async fn check_unhandled(
        &self,
        warm: &mut WarmState,
        commit: &TurnCommit,
    ) -> Result<(), CallError> {
        let backend = &*self.services.backend;
        let checks = warm.checks_mark;
        let is_marked = |identity: &&CallIdentity| checks && commit.writes.contains_key(key_of(identity));
        let Some(identity) = self.context.identity.as_ref().filter(is_marked) else { return Ok(()) };
        let actor = &self.activation.address;
        // A backend that gives up the actor waits for the end of this turn, and lets nobody read until then.
        let look = was_handled(backend, actor, identity, commit);
        let looked_up = self.revoked.run_until_cancelled(look).await;
        if matches!(looked_up, Some(Ok(false))) {
            return Ok(());
        }
        *warm = WarmState::default();
        match looked_up {
            None => Err(given_up()),
            Some(Err(error)) => Err(CallError::Backend(error.as_not_applied())),
            Some(Ok(_)) => {
                let log = DedupLog::read(None, backend, actor, identity);
                warm.dedup_log = self.revoked.run_until_cancelled(log).await.and_then(Result::ok);
                let reason = "another host has handled the call during the turn";
                Err(CallError::Backend(backend::Error::NotApplied(reason.into())))
            }
        }
    }

    /// Records a call that may be repeated as handled, in the turn's own commit.
    fn note_handled(
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
