//! The commit of a turn, and the permission for it: behind a sidecar, only the holder of the actor's lease commits.

use bytes::Bytes;
use daca_model::CallError;
use daca_model::backend::{self, TurnCommit};
use tokio::time::Instant;

use super::{Turn, given_up};
use crate::actor::durations::observe;
use crate::actor::effect_log::{self, Staged};
use crate::actor::in_doubt::InDoubt;
use crate::actor::services::Services;
use crate::actor::warm_state::WarmState;
use crate::imports::TurnProducts;

impl Turn<'_> {
    /// Rejects a direct turn, of which the sidecar does not know, if the actor may be active elsewhere. Called at its
    /// beginning, and again before anybody learns of its result.
    pub(super) fn check_direct(&self) -> Result<(), CallError> {
        if self.context.is_direct && !self.activation.lease.is_held(&*self.services.backend) {
            return Err(given_up());
        }
        Ok(())
    }

    /// The same check before anybody learns of a turn that commits nothing, confirmed by the sidecar.
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

    /// Resolves the previous turn's commit if it is in doubt. If that is impossible now, the next turn tries again.
    pub(super) async fn settle_in_doubt(&self, warm: &mut WarmState) -> Result<(), backend::Error> {
        let actor = &self.activation.address;
        let Some(in_doubt) = &warm.in_doubt else { return Ok(()) };
        let was_applied = in_doubt.was_applied(&*self.services.backend, actor).await?;
        if was_applied && in_doubt.has_effects() {
            self.services.deliveries.claim(actor, &mut warm.effects).await?;
        }
        let Some(in_doubt) = warm.in_doubt.take() else { return Ok(()) };
        let kept = if was_applied { "kept; its answer was lost" } else { "not kept" };
        tracing::info!("the state shows that turn {} was {kept}", in_doubt.turn_id);
        Ok(())
    }

    /// Makes a turn durable: hands everything that it produced to the backend, which decides what is one transaction
    /// (behind Dapr, the state alone, with the effects). Then the effects are sent.
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
        if self.services.backend.epoch() != warm.epoch || self.revoked.is_cancelled() {
            *warm = WarmState::default();
            return Err(given_up());
        }
        let _alone = self.activation.commits.acquire().await;
        let staged = match self.stage_effects(warm, &mut commit).await {
            Ok(staged) => staged,
            Err(error) => {
                *warm = WarmState::default();
                return Err(CallError::Backend(error.as_not_applied()));
            }
        };
        // A commit is rejected for an actor that is active elsewhere. A read-only turn has to ask.
        if commit.writes.is_empty() {
            self.confirm_direct(warm).await?;
        } else if let Err(given_up) = self.check_direct() {
            *warm = WarmState::default();
            return Err(given_up);
        }
        let schema = warm.schema.as_ref().map(|schema| schema.after(&self.split, &self.loaded, &mut commit));
        let now = self.services.backend.clock().now();
        if let Err(error) = self.store(&commit).await {
            // The outcome is in doubt, so neither the instance nor the cache may be trusted.
            let in_doubt = matches!(error, backend::Error::Unavailable(_))
                .then(|| {
                    let identity = self.context.identity.clone();
                    InDoubt::new(&self.turn_id, identity, commit, &self.services.deliveries)
                })
                .flatten();
            *warm = WarmState { in_doubt, ..WarmState::default() };
            return Err(CallError::Backend(error));
        }
        if !commit.writes.is_empty() {
            self.activation.lease.confirm(warm.epoch, self.generation);
        }
        cache.apply(std::mem::take(&mut commit.writes), now);
        warm.cache = cache;
        warm.schema = schema;
        if let Some(staged) = staged {
            self.services.deliveries.committed(actor, staged);
        }
        Ok(reply)
    }

    /// Adds the turn's effects to its commit, with the host's reminder of them, and removes those that have left. `None`
    /// if the commit does not change the effect log.
    async fn stage_effects(
        &self,
        warm: &mut WarmState,
        commit: &mut TurnCommit,
    ) -> Result<Option<Staged>, backend::Error> {
        let Services { deliveries, .. } = &**self.services;
        let effects = std::mem::take(&mut commit.effects);
        let has_effects = !effects.is_empty();
        let is_reminded = commit.handled.as_ref().is_some_and(effect_log::is_reminder);
        // Effects that have left cost no commit of their own.
        let may_clean = is_reminded || self.ends || !commit.writes.is_empty();
        let is_outdated = || warm.effects.as_ref().is_some_and(|claim| deliveries.is_outdated(claim));
        if !(has_effects || is_reminded || (may_clean && is_outdated())) {
            return Ok(None);
        }
        let actor = &self.activation.address;
        let claim = deliveries.claim(actor, &mut warm.effects).await?;
        let staged = deliveries.stage(actor, effects, commit)?;
        claim.has_reminder |= is_reminded;
        let is_wanted = has_effects || staged.has_head() || (is_reminded && claim.is_used);
        claim.is_used = (claim.is_used && !is_reminded) || has_effects;
        if has_effects && !claim.has_reminder {
            commit.wakeups.insert(effect_log::reminder(), Some(effect_log::registration()));
            claim.has_reminder = true;
        } else if claim.has_reminder && !is_wanted && (is_reminded || self.ends) {
            commit.wakeups.insert(effect_log::reminder(), None);
            claim.has_reminder = false;
        }
        Ok(Some(staged))
    }

    /// Runs the backend's transaction, if there is anything in it.
    async fn store(&self, commit: &TurnCommit) -> Result<(), backend::Error> {
        if commit.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let result = self.services.backend.commit(&self.activation.address, commit).await;
        observe(&self.activation.agent.durations.commit, started.elapsed());
        result
    }
}
