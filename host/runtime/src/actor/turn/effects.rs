//! The effects of a turn in its commit: the actor's effect log, its dead letters, and the host's reminder of both.

use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::backend::{self, EFFECTS, Effect, StateWrite, TurnCommit};

use super::Turn;
use crate::actor::delivery::LogClaim;
use crate::actor::effect_log::{self, DEAD_LETTERS, DeadLetter, DeadLetters, Staged};
use crate::actor::warm_state::WarmState;

impl Turn<'_> {
    /// Adds the turn's effects to its commit, with the host's reminder of them, and removes those that have left. `None`
    /// if the commit does not change the effect log.
    pub(super) async fn stage_effects(
        &self,
        warm: &mut WarmState,
        commit: &mut TurnCommit,
    ) -> Result<Option<Staged>, backend::Error> {
        let deliveries = &self.services.effects.deliveries;
        let effects = std::mem::take(&mut commit.effects);
        let has_effects = !effects.is_empty();
        let is_reminded = commit.handled.as_ref().is_some_and(effect_log::is_reminder);
        // Effects that have left cost no commit of their own, unless it is made for them.
        let may_clean = self.removes || is_reminded || self.ends || !commit.writes.is_empty();
        let is_outdated = || {
            warm.effects.as_ref().is_some_and(|claim| match self.removes {
                true => deliveries.has_leftovers(claim),
                false => deliveries.is_outdated(claim),
            })
        };
        if !(has_effects || is_reminded || (may_clean && is_outdated())) {
            return Ok(None);
        }
        let actor = &self.activation.address;
        let claim = deliveries.claim(actor, &mut warm.effects).await?;
        // An ordinary turn neither waits for the dead letters nor fails because of them.
        let looks = is_reminded || self.ends;
        let staged = match looks {
            true => self.stage_and_bury(claim, effects, commit).await?,
            false if self.removes => deliveries.stage_removal(actor, commit),
            false => deliveries.stage(actor, effects, &[], commit)?,
        };
        claim.has_reminder |= is_reminded;
        // An agent that is to be told must be active.
        let is_untold = self.loaded.version.has_on_effect_failed() && claim.has_untold != Some(false);
        let is_wanted =
            has_effects || staged.has_head() || (is_reminded && claim.is_used) || (looks && is_untold);
        claim.is_used = (claim.is_used && !is_reminded) || has_effects;
        if has_effects && !claim.has_reminder {
            commit.wakeups.insert(effect_log::reminder(), Some(effect_log::registration()));
            claim.has_reminder = true;
        } else if claim.has_reminder && !is_wanted && looks {
            commit.wakeups.insert(effect_log::reminder(), None);
            // Without a write the backend would not ask whether the actor is here, and the reminder may be that of its
            // next host.
            commit.writes.entry(EFFECTS.to_owned()).or_insert(StateWrite::Delete);
            claim.has_reminder = false;
        }
        let tells_next = is_reminded && is_untold && claim.has_untold == Some(true);
        if tells_next && !staged.has_head() && !self.activation.lease.is_held(&*self.services.backend) {
            // The agent is told in a direct turn, for which only a write makes the activation fit. There is no log.
            commit.writes.entry(EFFECTS.to_owned()).or_insert(StateWrite::Delete);
        }
        Ok(Some(staged))
    }

    /// Adds the turn's effects to its commit, and makes dead letters of the effects that were given up. If that does
    /// not fit into a commit of the backend, they stay in the log: the rest of its segment, which is written again,
    /// will be shorter. Neither the end of an activation nor the reminder may fail because of it.
    async fn stage_and_bury(
        &self,
        claim: &mut LogClaim,
        effects: Vec<Effect>,
        commit: &mut TurnCommit,
    ) -> Result<Staged, backend::Error> {
        let (deliveries, actor) = (&self.services.effects.deliveries, &self.activation.address);
        let buried = self.bury(claim, commit).await;
        if buried.is_empty() {
            return deliveries.stage(actor, effects, &buried, commit);
        }
        let staged = deliveries.stage(actor, effects.clone(), &buried, commit)?;
        let limit = self.services.backend.max_commit_bytes();
        if limit.is_none_or(|limit| commit.bytes() <= limit) {
            return Ok(staged);
        }
        tracing::warn!(
            code = ErrorCode::DeadLetterNotWritten.as_str(),
            "the effects that were given up are no dead letters yet: the commit would be too large"
        );
        // Nothing else writes such keys in a turn that looks for effects that were given up.
        commit.writes.retain(|key, _| !key.starts_with(EFFECTS));
        claim.has_untold = None;
        deliveries.stage(actor, effects, &[], commit)
    }

    /// Adds effects that were given up to the actor's dead letters, and returns them. If the dead letters cannot be read,
    /// the effects stay in the log. Notes whether there are some of which the agent is to be told.
    async fn bury(&self, claim: &mut LogClaim, commit: &mut TurnCommit) -> Vec<DeadLetter> {
        let given_up = self.services.effects.deliveries.given_up(&self.activation.address);
        let tells = self.loaded.version.has_on_effect_failed();
        if given_up.is_empty() && (!tells || claim.has_untold.is_some()) {
            return given_up;
        }
        let mut letters = match self.dead_letters().await {
            Ok(letters) => letters,
            Err(error) => {
                tracing::warn!(
                    code = ErrorCode::DeadLetterNotWritten.as_str(),
                    "the dead letters cannot be read, so none is added: {error}"
                );
                return Vec::new();
            }
        };
        // Before the commit: an actor too many in the index goes when somebody looks at it, one too few would not be found.
        if !given_up.is_empty() && !self.announce(&letters).await {
            tracing::warn!(
                code = ErrorCode::DeadLetterNotWritten.as_str(),
                "the effects that were given up are no dead letters yet: too many changes of the index wait"
            );
            return Vec::new();
        }
        let most = self.most_letter_bytes();
        for letter in given_up.iter().cloned() {
            let mut dropped = letters.add(if tells { letter.untold() } else { letter });
            dropped.extend(letters.trim(most));
            self.note_dropped(&dropped);
        }
        if !given_up.is_empty() {
            write_dead_letters(&letters, commit);
        }
        claim.has_untold = tells.then(|| letters.untold().is_some());
        given_up
    }

    /// Tells the index of dead letters that the actor gets some. Returns `false` if it must not yet.
    async fn announce(&self, letters: &DeadLetters) -> bool {
        self.services.effects.dead_letters.announce(&self.activation.address, letters.is_empty()).await
    }

    /// The bytes of the actor's dead letters: beside its state, no more than that may have, and a quarter of a message, in
    /// which the rest of the log is, too.
    fn most_letter_bytes(&self) -> usize {
        let of_message = self.services.backend.max_commit_bytes().map_or(u64::MAX, |limit| limit / 4);
        let of_state = self.activation.agent.agent.limits.state_total.as_u64();
        usize::try_from(of_message.min(of_state)).unwrap_or(usize::MAX)
    }

    /// Dead letters are lost. They are named, so that it is known of which effects.
    fn note_dropped(&self, dropped: &[DeadLetter]) {
        for letter in dropped {
            let Effect { id, request, .. } = letter.effect();
            let (target, bytes) = (request.shown_target(), request.bytes());
            let told = if letter.is_untold() { "; its agent has not been told of it" } else { "" };
            tracing::error!(
                code = ErrorCode::DeadLetterDropped.as_str(),
                effect_id = &**id,
                "the dead letter {id} for {}, with {bytes} bytes, was dropped: the actor has too many{told}",
                printable(&target)
            );
        }
        self.activation.agent.dead_letters.dropped(dropped.len());
    }

    /// The commit has succeeded: its effects are sent, and the activation keeps the claim for the next one. `letters` are
    /// the dead letters that it has written, if it is no turn of the host.
    pub(super) fn effects_committed(
        &self,
        warm: &mut WarmState,
        commit: &TurnCommit,
        letters: Option<&DeadLetters>,
        staged: Option<Staged>,
    ) {
        let mut claim = warm.effects.take();
        if let (Some(letters), Some(claim)) = (letters, &mut claim) {
            claim.has_untold = Some(letters.untold().is_some());
        }
        // After a turn of the host the agent is told next, if there is something to tell.
        let is_reminded = commit.handled.as_ref().is_some_and(effect_log::is_reminder);
        if is_reminded && claim.as_ref().is_some_and(|claim| claim.has_untold == Some(true)) {
            self.services.effects.untold.add(self.activation.address.clone());
        }
        if let Some(staged) = staged {
            self.activation.agent.dead_letters.buried(staged.buried());
            // An earlier commit of the turn has begun some, which must not wait for this one's.
            let begun = self.services.effects.deliveries.committed(&self.activation.address, staged);
            if let Some(earlier) = begun.and_then(|begun| warm.leaving.replace(begun)) {
                earlier.leave();
            }
        }
        self.activation.keep_effects(warm.epoch, claim);
    }

    /// The dead letters of the actor.
    pub(super) async fn dead_letters(&self) -> Result<DeadLetters, backend::Error> {
        let keys = [DEAD_LETTERS.to_owned()];
        let value = self.services.backend.read_state(&self.activation.address, &keys).await?;
        DeadLetters::read(value.into_iter().flatten().next().map(|value| value.value).as_ref())
    }
}

/// Adds the dead letters as they are to be to a commit.
pub(super) fn write_dead_letters(letters: &DeadLetters, commit: &mut TurnCommit) {
    let write = match letters.text() {
        Some(value) => StateWrite::Set { value, ttl: None },
        None => StateWrite::Delete,
    };
    commit.writes.insert(DEAD_LETTERS.to_owned(), write);
}
