//! The commit of a turn, and the permission for it: only the holder of the actor's lease commits.

use std::sync::Arc;

use bytes::Bytes;
use daca_model::CallError;
use daca_model::backend::{self, HOST_KEYS, TurnCommit};
use tokio::time::Instant;

use super::effects::write_dead_letters;
use super::{Turn, given_up};
use crate::actor::effect_log::DeadLetters;
use crate::actor::in_doubt::InDoubt;
use crate::actor::warm_state::WarmState;
use crate::imports::TurnProducts;

impl Turn<'_> {
    /// Rejects a direct turn, of which the backend does not know, if the actor may be active elsewhere. Called at its
    /// beginning, and again before anybody learns of its result.
    pub(super) fn check_direct(&self) -> Result<(), CallError> {
        if self.context.is_direct && !self.activation.lease.is_held(&*self.services.backend) {
            return Err(given_up());
        }
        Ok(())
    }

    /// The same check before anybody learns of a turn that commits nothing, confirmed by the backend.
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
            self.activation.drop_effects();
        }
        confirmed
    }

    /// Resolves the previous turn's commit if it is in doubt. If that is impossible now, the next turn tries again.
    pub(super) async fn settle_in_doubt(&self, warm: &mut WarmState) -> Result<(), backend::Error> {
        let actor = &self.activation.address;
        let Some(in_doubt) = &warm.in_doubt else { return Ok(()) };
        let was_applied = in_doubt.was_applied(&*self.services.backend, actor).await?;
        if was_applied && in_doubt.has_effects() {
            let mut claim = None;
            self.services.effects.deliveries.claim(actor, &mut claim).await?;
            self.activation.keep_effects(warm.epoch, claim);
        }
        let Some(in_doubt) = warm.in_doubt.take() else { return Ok(()) };
        let kept = if was_applied { "kept; its answer was lost" } else { "not kept" };
        tracing::info!("the state shows that turn {} was {kept}", in_doubt.turn_id);
        Ok(())
    }

    /// Makes a turn durable: hands everything that it produced to the backend, which decides what is one transaction:
    /// at least the state, with the effects. Then the effects are sent.
    pub(super) async fn commit(
        &self,
        warm: &mut WarmState,
        products: TurnProducts,
        reply: Bytes,
    ) -> Result<Bytes, CallError> {
        self.commit_with(warm, products, reply, None).await
    }

    /// The same with a change of the actor's dead letters.
    pub(super) async fn commit_with(
        &self,
        warm: &mut WarmState,
        products: TurnProducts,
        reply: Bytes,
        letters: Option<&DeadLetters>,
    ) -> Result<Bytes, CallError> {
        let TurnProducts { mut cache, mut commit, .. } = products;
        let actor = &self.activation.address;
        let limit = self.activation.agent.agent.limits.reply.as_u64();
        if reply.len() as u64 > limit {
            warm.instance = None;
            warm.cache = cache;
            return Err(CallError::ReplyTooLarge { actor: actor.clone(), bytes: reply.len(), limit });
        }
        self.check_kept(warm)?;
        // Before the host's own writes: they do not make the state that of the turn's version, whose guest may not have run.
        let schema = warm.schema.as_ref().map(|schema| schema.after(&self.split, &self.loaded, &mut commit));
        if let Some(letters) = letters {
            write_dead_letters(letters, &mut commit);
        }
        let _alone = self.activation.commits.acquire().await;
        warm.effects = self.activation.take_effects(warm.epoch);
        let staged = match self.stage_effects(warm, &mut commit).await {
            Ok(staged) => staged,
            Err(error) => {
                *warm = WarmState::default();
                return Err(CallError::Backend(error.as_not_applied()));
            }
        };
        self.check_unhandled(warm, &commit).await?;
        // The effect log may have been waited for, or the mark.
        self.check_kept(warm)?;
        // A commit is rejected for an actor that is active elsewhere. A read-only turn has to ask.
        if commit.writes.is_empty() {
            self.confirm_direct(warm).await?;
        } else if let Err(given_up) = self.check_direct() {
            *warm = WarmState::default();
            return Err(given_up);
        }
        let now = self.services.backend.clock().now();
        let shared = Arc::new(commit);
        let stored = self.store(&shared).await;
        let mut commit = Arc::unwrap_or_clone(shared);
        if let Err(error) = stored {
            return Err(self.not_stored(warm, commit, error));
        }
        if !commit.writes.is_empty() {
            self.activation.lease.confirm(warm.epoch, self.generation);
        }
        // No guest reads what the host keeps.
        commit.writes.retain(|key, _| !key.starts_with(HOST_KEYS));
        cache.apply(std::mem::take(&mut commit.writes), now);
        warm.cache = cache;
        warm.schema = schema;
        self.effects_committed(warm, &commit, letters, staged);
        Ok(reply)
    }

    /// Rejects a commit if another host may have owned the actor since the turn began.
    fn check_kept(&self, warm: &mut WarmState) -> Result<(), CallError> {
        if self.services.backend.epoch() != warm.epoch || self.revoked.is_cancelled() {
            *warm = WarmState::default();
            self.activation.drop_effects();
            return Err(given_up());
        }
        Ok(())
    }

    /// Runs the backend's transaction, if there is anything in it.
    async fn store(&self, commit: &Arc<TurnCommit>) -> Result<(), backend::Error> {
        if commit.is_empty() {
            return Ok(());
        }
        // Before the backend registers anything: it may refuse the state after it has the reminders.
        let bytes = commit.bytes();
        if let Some(limit) = self.services.backend.max_commit_bytes().filter(|limit| bytes > *limit) {
            return Err(backend::Error::TooLarge(format!(
                "the turn writes {bytes} bytes, with its effects; a commit may have {limit}"
            )));
        }
        let started = Instant::now();
        let result = self.services.backend.commit_shared(&self.activation.address, commit).await;
        self.activation.agent.durations.commit.observe(started.elapsed());
        result
    }

    /// The error of a commit that failed. Its outcome may be in doubt, so neither the instance nor the cache is trusted.
    fn not_stored(&self, warm: &mut WarmState, commit: TurnCommit, error: backend::Error) -> CallError {
        let identity = self.context.identity.clone();
        let of = (&self.activation.address, &self.services.effects.deliveries);
        let in_doubt = matches!(error, backend::Error::Unavailable(_))
            .then(|| InDoubt::new(&self.turn_id, identity, commit, of))
            .flatten();
        *warm = WarmState { in_doubt, ..WarmState::default() };
        match error {
            // A backend with such a bound knows no `state-total`: it refuses only what is too large for one commit.
            backend::Error::TooLarge(text) if self.services.backend.max_commit_bytes().is_some() => {
                CallError::TooLargeForBackend(format!("{text}. Nothing of the turn was kept."))
            }
            error => CallError::Backend(error),
        }
    }
}
