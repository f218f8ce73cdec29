//! The lanes: the effects of one actor for one target, in order; or, in strict order, all of an actor.
//!
//! A lane begins with the turn that requested its first effect, after that turn's caller has its answer. Effects that
//! can be sent at once need no task. A lane that has to wait continues in a task, together with the other lanes of that
//! turn. If the first effect of a lane cannot be
//! delivered, the lane is held up, so that nothing overtakes; other lanes continue. A lane has one timer, however long
//! its queue is.
//!
//! A lane that is held up is let go if its actor is not active here any more: the effects lie in the actor's state, and
//! the host's reminder wakes the actor wherever it is. Otherwise a host that has lost an actor would repeat, hours
//! later, what the next one has sent. Without such a reminder nobody would try them again, so they stay.

use std::collections::{HashSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tracing::Instrument as _;

use super::lane::WaitingEffect;
use super::logs::{Logs, Outgoing};
use super::policy::LaneKey;
use super::shared::Shared;
use crate::actor::effect_log::{GivenUp, LoggedEffect};
use daca_base::clock::Clock;
use daca_model::ActorAddress;
use daca_model::backend::{EffectStatus, Error, Tried};

/// The maximum number of effects in one request.
const MAX_BATCH: usize = 100;
/// The bytes of the reason in a dead letter.
const MAX_REASON: usize = 1_024;

impl Shared {
    /// Delivers the first effects of a turn, up to one that has to wait. Returns the others, which are to get lanes. It is
    /// the only commit of the actor now, so no lane begins meanwhile.
    pub(super) fn leave_now(
        &self,
        actor: &ActorAddress,
        effects: &[Arc<LoggedEffect>],
    ) -> Vec<Arc<LoggedEffect>> {
        let has_lanes = |outgoing: &Outgoing| !outgoing.lanes.is_empty();
        if effects.is_empty() || self.lock().outgoing.get(actor).is_some_and(has_lanes) {
            return effects.to_vec();
        }
        let leaves = |logged: &&Arc<LoggedEffect>| {
            let leaves = self.backend.deliver_at_once(actor, &logged.effect);
            if leaves {
                self.outbox.add_sent(actor, &logged.effect);
                self.has_left(actor, logged);
            }
            leaves
        };
        let left = effects.iter().take_while(leaves).count();
        effects.iter().skip(left).cloned().collect()
    }

    /// Delivers the effects of a lane until none waits.
    pub(super) async fn run_lane(self: Arc<Self>, actor: ActorAddress, key: LaneKey) {
        let mut ended = 0;
        while let Some(batch) = self.next(&actor, &key, ended) {
            let tried = batch.len();
            let rest = self.attempt(&actor, batch).await;
            ended = tried.saturating_sub(rest.len());
            // Before the lane is held up: a drain that begins in between must end the wait.
            let hurry = self.drain.hurry.notified();
            let wait = self.put_back(&actor, &key, rest);
            if !self.is_behind(&actor.agent_type) {
                self.backlogs.of(&actor.agent_type).has_room.notify_one();
            }
            if let Some((wait, wake)) = wait {
                self.note_ends_of(&actor, std::mem::take(&mut ended));
                // By the backend's clock: a test moves it. Either way the lane goes on.
                tokio::select! {
                    () = self.backend.clock().sleep(wait) => {}
                    () = hurry => {}
                    () = wake.notified() => {}
                }
                let mut logs = self.lock();
                let outgoing = logs.outgoing.get_mut(&actor);
                if let Some(lane) = outgoing.and_then(|outgoing| outgoing.lanes.get_mut(&key)) {
                    self.resume(&actor.agent_type, lane);
                }
            }
        }
    }

    /// Tries to deliver effects once. Returns those that are to be tried again.
    async fn attempt(&self, actor: &ActorAddress, batch: Vec<WaitingEffect>) -> Vec<WaitingEffect> {
        let turn = batch.first().map_or_else(tracing::Span::none, |first| first.turn.clone());
        let tried = batch.iter().map(|waiting| (waiting.id, waiting.logged.clone())).collect::<Vec<_>>();
        let delivery = pin!(self.deliver(actor, batch).instrument(turn));
        // A panic in a backend would end the task of the lane, and its effects would wait forever.
        let rest = std::panic::AssertUnwindSafe(delivery).catch_unwind().await.unwrap_or_else(|_| {
            for (id, logged) in &tried {
                self.outbox.settle(*id, EffectStatus::Failed);
                let error = Error::Other("the host failed unexpectedly".to_owned());
                logged.give_up(given_up(&error, 1, self.backend.clock()));
            }
            Vec::new()
        });
        if tried.iter().any(|(_, logged)| logged.is_given_up()) {
            let mut logs = self.lock();
            logs.unburied.insert(actor.clone());
            self.burials.add(actor.clone());
            // They may have been buried, or be another host's, since the attempt began.
            logs.note_burials(actor);
        }
        let waits_on = |id: u64| rest.iter().any(|waiting| waiting.id == id);
        if tried.iter().any(|(id, _)| !waits_on(*id)) {
            self.settled.notify_waiters();
        }
        rest
    }

    /// The next effect of a lane, with those behind it that the backend accepts in the same request, after so many others
    /// have ended. An empty lane ends.
    fn next(&self, actor: &ActorAddress, key: &LaneKey, ended: usize) -> Option<Vec<WaitingEffect>> {
        let mut logs = self.lock();
        let Logs { outgoing, ended: listed, .. } = &mut *logs;
        let outgoing = outgoing.get_mut(actor)?;
        self.note_ends(outgoing, listed, (actor, ended));
        let lane = outgoing.lanes.get_mut(key)?;
        let Some(first) = self.pop(&mut lane.effects) else {
            outgoing.lanes.remove(key);
            outgoing.log.forget_sent();
            logs.remove_if_unused(actor, false);
            return None;
        };
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Some(next) = lane.effects.front()
            && !next.logged.is_done()
            && self.backend.takes_together(&batch[0].effect().request, &next.effect().request)
        {
            batch.extend(lane.effects.pop_front());
        }
        Some(batch)
    }

    /// The first effect of a lane. Those that another host has seen to are skipped.
    fn pop(&self, effects: &mut VecDeque<WaitingEffect>) -> Option<WaitingEffect> {
        loop {
            let first = effects.pop_front()?;
            if !first.logged.is_done() {
                return Some(first);
            }
            self.outbox.forget(first.id);
            // It does not count any more.
            drop(first);
            self.settled.notify_waiters();
        }
    }

    /// Puts effects back to the front of their lane, which runs. Returns the wait before the next attempt, if the lane
    /// is held up, and what ends that wait early. If one of them was given up, those behind it are tried at once.
    fn put_back(
        &self,
        actor: &ActorAddress,
        key: &LaneKey,
        effects: Vec<WaitingEffect>,
    ) -> Option<(Duration, Arc<Notify>)> {
        let first = effects.first()?;
        let policy = self.options.of_actor(actor);
        let wait = (first.failures > 0).then(|| policy.wait(&first.effect().id, first.failures));
        let is_reminded = !self.backend.lacks_effect_reminder(actor);
        let mut logs = self.lock();
        let outgoing = logs.outgoing.get_mut(actor)?;
        let lane = outgoing.lanes.get_mut(key)?;
        effects.into_iter().rev().for_each(|waiting| lane.effects.push_front(waiting));
        let wait = wait?;
        // The attempt may have begun before the drain.
        if self.drain.has_begun.load(Ordering::Relaxed) && !std::mem::replace(&mut lane.was_hurried, true) {
            return None;
        }
        if is_reminded && outgoing.claim.strong_count() == 0 {
            self.let_go(outgoing, key);
            return None;
        }
        // Another host may have sent it, and this one may have read that, during the attempt.
        if lane.waits_for_nothing() {
            return None;
        }
        lane.is_held_up = true;
        self.backlogs.of(&actor.agent_type).held_up.fetch_add(lane.effects.len(), Ordering::Relaxed);
        self.settled.notify_waiters();
        Some((wait, lane.wake.get_or_insert_default().clone()))
    }

    /// Forgets the effects of a lane. The next activation of the actor, on any host, reads them again.
    fn let_go(&self, outgoing: &mut Outgoing, key: &LaneKey) {
        let Some(lane) = outgoing.lanes.get_mut(key) else { return };
        let mut ids = HashSet::new();
        for waiting in lane.effects.drain(..) {
            self.outbox.forget(waiting.id);
            let failures = waiting.earlier.saturating_add(waiting.failures);
            if failures > 0 {
                outgoing.failures.insert(waiting.logged.effect.id.clone(), failures);
            }
            ids.insert(waiting.logged.effect.id.clone());
        }
        self.settled.notify_waiters();
        outgoing.log.let_go(&ids);
    }

    /// Makes one attempt at effects. Returns those that are to be retried: the first of them is the one that holds up
    /// the others.
    async fn deliver(&self, actor: &ActorAddress, batch: Vec<WaitingEffect>) -> Vec<WaitingEffect> {
        let effects = batch.iter().map(WaitingEffect::effect).collect::<Vec<_>>();
        let mut results = self.backend.deliver(actor, &effects).await.into_iter();
        let min_attempts = self.options.of_actor(actor).min_attempts;
        let (mut rest, mut is_held_up) = (Vec::new(), false);
        for waiting in batch {
            // There is a result for each effect. An effect without one would be lost, and count as waiting forever.
            let tried = results.next().unwrap_or_else(|| Tried::from(Err(no_result())));
            let holds_up = tried.result.as_ref().is_err_and(Error::is_retryable);
            // Of its own turn: the first of the batch may be of another one.
            let turn = waiting.turn.clone();
            let counted = (!is_held_up).then_some(min_attempts);
            rest.extend(turn.in_scope(|| self.settle(actor, waiting, tried, counted)));
            is_held_up |= holds_up;
        }
        rest
    }

    /// Records the result of one delivery. Returns the effect if it is to be retried. An effect that others hold up has
    /// no `min_attempts`: its attempts do not count yet.
    fn settle(
        &self,
        actor: &ActorAddress,
        mut waiting: WaitingEffect,
        tried: Tried,
        min_attempts: Option<u32>,
    ) -> Option<WaitingEffect> {
        let id = waiting.id;
        let Tried { attempts, result } = tried;
        let Err(error) = result else {
            self.outbox.sent(id, attempts);
            self.has_left(actor, &waiting.logged);
            return None;
        };
        let attempts = self.outbox.attempted(id, attempts, Some(error.to_string()));
        if error.is_retryable()
            && !min_attempts.is_some_and(|min| waiting.has_failed(min, self.backend.clock()))
        {
            let effect_id = &*waiting.effect().id;
            tracing::debug!(effect_id, "an effect will be retried: {error}");
            return Some(waiting);
        }
        self.outbox.settle(id, EffectStatus::Failed);
        self.log_given_up(actor, waiting.effect(), &error);
        waiting.logged.give_up(given_up(&error, attempts, self.backend.clock()));
        None
    }

    /// An effect was delivered.
    fn has_left(&self, actor: &ActorAddress, logged: &LoggedEffect) {
        logged.left();
        self.log_delivered(actor, &logged.effect);
    }
}

fn no_result() -> Error {
    Error::Unavailable("the backend gave no result".to_owned())
}

fn given_up(error: &Error, attempts: u32, clock: &Clock) -> GivenUp {
    let at_unix_ms = clock.unix_ms();
    let mut reason = error.to_string();
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    GivenUp { reason, code: error.case().to_owned(), attempts, at_unix_ms }
}
