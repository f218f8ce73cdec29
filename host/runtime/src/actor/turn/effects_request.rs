//! What operators ask of an actor's effects: to show them, and to retry or discard its dead letters.
//!
//! It has its place in the actor's queue and its own commit, like a turn, but no guest runs. A dead letter that is
//! retried becomes an effect of that commit, with the identity that it has.

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_model::CallError;
use daca_model::admin::{
    ActorEffects, EffectInfo, EffectState, EffectsAction, EffectsChange, EffectsChanged, EffectsPage,
    EffectsRequest, NotDead,
};
use daca_model::backend::{self, Effect, FiredWakeup, stored_json};

use super::{Answered, Turn};
use crate::actor::effect_log::{self, DeadLetters, LoggedEffect};
use crate::actor::warm_state::WarmState;

/// The bytes of the reason for which a pending effect has not left.
const MAX_REASON: usize = 1_024;
/// The characters of an unknown identity that an error quotes.
const QUOTED_ID: usize = 64;
/// The bytes of the effects of a page, as they are written: the backend must carry it. A control character takes six.
const MAX_PAGE: u64 = 1024 * 1024;

impl Turn<'_> {
    /// Answers an operator's request.
    pub(super) async fn handle_effects_request(
        &self,
        warm: &mut WarmState,
        request: EffectsRequest,
    ) -> Result<Answered, CallError> {
        self.read_log(warm).await?;
        if let Err(error) = self.bury_given_up(warm).await {
            // What was given up is shown as such. A change would not find it, and may not be possible either.
            if matches!(request, EffectsRequest::Change(_)) || error.is_not_applied() {
                return Err(error);
            }
            let code = ErrorCode::DeadLetterNotWritten.as_str();
            tracing::warn!(code, "the effects that were given up are no dead letters yet: {error}");
        }
        let letters = self.dead_letters().await.map_err(nothing_done)?;
        let reply = match request {
            EffectsRequest::List(page) => {
                self.confirm_direct(warm).await?;
                self.services.effects.dead_letters.note(&self.activation.address, !letters.is_empty());
                stored_json(&self.shown(&letters, page))
            }
            EffectsRequest::Change(change) => stored_json(&self.change(warm, letters, change).await?),
            // It is a firing of the host's reminder, which the table takes as one.
            EffectsRequest::Wake => stored_json(&()),
        };
        let reply = reply.map_err(CallError::Backend)?;
        Ok(Answered { reply, is_without_guest: true })
    }

    /// Reads the effect log if nobody here knows it.
    async fn read_log(&self, warm: &mut WarmState) -> Result<(), CallError> {
        let mut claim = self.activation.take_effects(warm.epoch);
        let actor = &self.activation.address;
        self.services.effects.deliveries.claim(actor, &mut claim).await.map_err(nothing_done)?;
        self.activation.keep_effects(warm.epoch, claim);
        Ok(())
    }

    /// Makes dead letters of what was given up, in a commit as that of the host's reminder. An operator is not to find an
    /// effect in neither place.
    async fn bury_given_up(&self, warm: &mut WarmState) -> Result<(), CallError> {
        if self.services.effects.deliveries.given_up(&self.activation.address).is_empty() {
            return Ok(());
        }
        let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
        let products = self.scope(warm, None, Some(fired), false).finish();
        self.commit(warm, products, Bytes::new()).await.map(drop)
    }

    /// A page of the actor's effects: the dead letters, then those that have not left.
    fn shown(&self, letters: &DeadLetters, page: EffectsPage) -> ActorEffects {
        let EffectsPage { from, limit, payload } = page;
        let deliveries = &self.services.effects.deliveries;
        let pending = deliveries.pending_of(&self.activation.address);
        let (waiting, dead) = (pending.len(), letters.len());
        let dead_letters = letters.iter().map(|letter| EffectInfo {
            since_unix_ms: Some(letter.given_up.at_unix_ms),
            attempts: letter.given_up.attempts,
            reason: Some(letter.given_up.reason.clone()),
            ..info(letter.effect(), EffectState::Dead, payload)
        });
        let pending = pending.into_iter().map(|logged| {
            let tried = deliveries.tries(logged);
            let LoggedEffect { effect, committed_unix_ms, .. } = &*tried.logged;
            let state = if tried.is_given_up { EffectState::GivenUp } else { EffectState::Pending };
            EffectInfo {
                since_unix_ms: *committed_unix_ms,
                attempts: tried.attempts,
                reason: tried.error.map(|reason| reason[..reason.floor_char_boundary(MAX_REASON)].to_owned()),
                ..info(effect, state, payload)
            }
        });
        let effects = self.that_fit(dead_letters.chain(pending).skip(from).take(limit));
        let end = from.saturating_add(effects.len());
        ActorEffects {
            agent_type: self.activation.address.agent_type.to_string(),
            actor_id: self.activation.address.id.to_string(),
            pending: waiting,
            dead,
            dead_since_unix_ms: letters.iter().map(|letter| letter.given_up.at_unix_ms).min(),
            next: (!effects.is_empty() && end < waiting + dead).then_some(end),
            effects,
        }
    }

    /// The first of some effects, as many as a page may have bytes, but at least one.
    fn that_fit(&self, effects: impl Iterator<Item = EffectInfo>) -> Vec<EffectInfo> {
        // A quarter of a message, if that is less.
        let of_message = self.services.backend.max_commit_bytes().map_or(u64::MAX, |limit| limit / 4);
        let mut room = of_message.min(MAX_PAGE);
        let mut page = Vec::new();
        for effect in effects {
            // An error would be that of the whole answer, too.
            let bytes = stored_json(&effect).map_or(0, |text| text.len() as u64);
            if bytes > room && !page.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            page.push(effect);
        }
        page
    }

    /// Retries or discards dead letters.
    async fn change(
        &self,
        warm: &mut WarmState,
        mut letters: DeadLetters,
        change: EffectsChange,
    ) -> Result<EffectsChanged, CallError> {
        let EffectsChange { action, id } = change;
        let (actor, counters) = (&self.activation.address, &self.activation.agent.dead_letters);
        let taken = letters.take(id.as_deref());
        let not_dead = match (taken.is_empty(), id) {
            (true, Some(id)) => Some(self.not_dead(action, &id)?.into()),
            _ => None,
        };
        if !taken.is_empty() {
            // It would note that the state has the schema of the version that serves, and that one has not seen it.
            warm.schema = None;
            let mut products = self.scope(warm, None, None, false).finish();
            if action == EffectsAction::Retry {
                products.commit.effects.extend(taken.iter().map(|letter| letter.effect().clone()));
            }
            self.commit_with(warm, products, Bytes::new(), Some(&letters)).await?;
        }
        match action {
            EffectsAction::Retry => counters.retried(taken.len()),
            EffectsAction::Discard => counters.discarded(taken.len()),
        }
        self.services.effects.dead_letters.note(actor, !letters.is_empty());
        Ok(EffectsChanged {
            agent_type: actor.agent_type.to_string(),
            actor_id: actor.id.to_string(),
            action: action.into(),
            effects: taken.iter().map(|letter| letter.effect().id.to_string()).collect(),
            not_dead,
        })
    }

    /// What is known of an effect that is no dead letter. A client whose connection was cut repeats a change that was made,
    /// maybe on another host. So that is no error: what was to be retried is pending or has left, and what was to be
    /// discarded is gone.
    fn not_dead(&self, action: EffectsAction, id: &str) -> Result<NotDead, CallError> {
        let actor = &self.activation.address;
        let pending = self.services.effects.deliveries.pending_of(actor);
        let is_pending = pending.iter().any(|logged| *logged.effect.id == *id);
        match action {
            EffectsAction::Retry if is_pending => Ok(NotDead::Pending),
            _ if !is_pending && Effect::is_id(id) => Ok(NotDead::Gone),
            _ => {
                let id = id.chars().take(QUOTED_ID).collect();
                Err(CallError::DeadLetterUnknown { actor: actor.clone(), id })
            }
        }
    }
}

/// What an effect is, without its history.
fn info(effect: &Effect, state: EffectState, with_payload: bool) -> EffectInfo {
    let request = &effect.request;
    let (data, metadata) = with_payload.then(|| request.shown_payload()).unzip();
    EffectInfo {
        id: effect.id.to_string(),
        state: state.into(),
        kind: request.kind().into(),
        target: request.shown_target(),
        since_unix_ms: None,
        attempts: 0,
        reason: None,
        bytes: request.bytes(),
        data,
        metadata: metadata.unwrap_or_default(),
    }
}

fn nothing_done(error: backend::Error) -> CallError {
    CallError::Backend(error.as_not_applied())
}

#[cfg(test)]
mod tests;
