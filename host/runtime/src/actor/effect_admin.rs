//! The operators' door to pending effects and dead letters: those of one actor, in its queue like a turn, and the list of
//! the actors that have some.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use daca_model::admin::EffectsRequest;
use daca_model::backend::{self, EffectScan, FailedEffect, FiredWakeup};

use super::effect_log::{self, DEAD_LETTERS, DeadLetters};
use super::recent_calls::CallKey;
use super::services::EffectServices;
use super::work::Work;
use super::{ActorAddress, Actors, CallContext, CallError};

/// A page of the actors that have pending effects or dead letters, by type and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectActorsPage {
    /// The actors. Some may have neither any more.
    pub actors: Vec<ActorAddress>,
    /// The `after` of the next page, if there are more.
    pub next: Option<ActorAddress>,
    /// The number of actors with dead letters that did not fit into the index.
    pub left_out: u64,
}

impl Actors {
    /// Shows the effects of an actor of this host, or changes its dead letters, and returns the answer in JSON. It waits
    /// in the actor's queue, so no turn runs meanwhile, and the guest has no part in it. For callers that know that this
    /// host owns the actor.
    pub async fn handle_effects_request(
        &self,
        actor: &ActorAddress,
        request: EffectsRequest,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        if matches!(request, EffectsRequest::Wake) {
            let fired = FiredWakeup { key: effect_log::reminder(), token: 0 };
            let context = CallContext { of_host: true, identity: None, ..context };
            return self.wake(actor, fired, Bytes::new(), context).await.map(|()| Bytes::new());
        }
        let key = context.mark.as_ref().map(|mark| CallKey::of_mark(actor, mark));
        // It must be possible to look at a backlog.
        let context = CallContext { of_host: true, identity: None, ..context };
        self.deliver(actor, key, Work::Effects(request), context).await
    }

    /// A page of the actors that have pending effects or dead letters. Behind a sidecar, those with dead letters and those
    /// with late effects on all hosts, as far as the hosts have told each other, and those whose effects wait here.
    pub async fn actors_with_effects(&self, scan: EffectScan) -> Result<EffectActorsPage, backend::Error> {
        if let Some(page) = self.services.backend.actors_with_effects(scan.clone()).await? {
            return Ok(EffectActorsPage { actors: page.actors, next: page.next, left_out: 0 });
        }
        let EffectScan { agent_type, after, limit } = scan;
        let agent_types = match agent_type {
            Some(agent_type) => vec![agent_type],
            None => self.runtimes().keys().cloned().collect(),
        };
        let (mut actors, left_out) = self.services.effects.dead_letters.read(&agent_types).await?;
        let waiting = self.services.effects.deliveries.waiting_actors().into_iter();
        let waiting = waiting.chain(self.services.effects.late.read().await?);
        actors.extend(waiting.filter(|actor| agent_types.contains(&actor.agent_type)));
        let is_behind = |actor: &ActorAddress| after.as_ref().is_none_or(|after| actor > after);
        let mut rest = actors.into_iter().filter(is_behind);
        let actors = rest.by_ref().take(limit).collect::<Vec<_>>();
        let next = rest.next().and_then(|_more| actors.last().cloned());
        Ok(EffectActorsPage { actors, next, left_out })
    }

    /// The dead letters of an actor, from old to new.
    pub async fn dead_letters(&self, actor: &ActorAddress) -> Result<Vec<FailedEffect>, backend::Error> {
        let value = self.services.backend.read_state(actor, &[DEAD_LETTERS.to_owned()]).await?;
        let value = value.into_iter().flatten().next().map(|value| value.value);
        Ok(DeadLetters::read(value.as_ref())?.failed())
    }

    /// The number of effects of each agent type that were given up on this host and are no dead letters yet.
    pub fn effects_given_up(&self) -> BTreeMap<Arc<str>, usize> {
        self.services.effects.deliveries.unburied_by_type()
    }

    /// The changes of the index of dead letters that were dropped because too many waited for the store.
    pub fn dropped_index_changes(&self) -> u64 {
        self.services.effects.dead_letters.dropped()
    }

    /// The number of actors of each agent type that have dead letters, on all hosts, as far as this one knows.
    pub fn actors_with_dead_letters(&self) -> BTreeMap<Arc<str>, u64> {
        self.services.effects.dead_letters.counts()
    }

    /// Tells the other hosts which actors have dead letters and late effects, if there are others, and counts those with
    /// dead letters. Runs until it is dropped.
    pub async fn run_effect_index(&self) {
        let EffectServices { dead_letters, late, deliveries, .. } = &self.services.effects;
        let agent_types = self.runtimes().keys().cloned().collect::<Vec<_>>();
        let count = dead_letters.count(&agent_types, &*self.services.backend);
        tokio::join!(dead_letters.run(), late.run(deliveries), count);
    }
}
