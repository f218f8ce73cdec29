//! The lanes: the effects of one actor for one target, in order.
//!
//! Each lane has one task. If the first effect of a lane cannot be delivered, the lane waits with it, so that nothing
//! overtakes; other lanes continue.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt as _;
use tracing::Instrument as _;

use super::{Shared, WaitingEffect};
use crate::actor::effect_log::{GivenUp, LoggedEffect};
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::clock::Clock;
use daca_base::telemetry::printable;
use daca_model::ActorAddress;
use daca_model::backend::{Effect, EffectStatus, EffectTarget, Error, Tried};

/// The maximum number of effects in one request.
const MAX_BATCH: usize = 100;
/// The bytes of the reason in a dead letter.
const MAX_REASON: usize = 1_024;

impl Shared {
    /// Delivers the effects of a lane until none waits.
    pub(super) async fn run_lane(self: Arc<Self>, actor: ActorAddress, target: EffectTarget) {
        while let Some(batch) = self.next(&actor, &target) {
            let turn = batch.first().map_or_else(tracing::Span::none, |first| first.turn.clone());
            let tried = batch.iter().map(|waiting| (waiting.id, waiting.logged.clone())).collect::<Vec<_>>();
            let delivery = pin!(self.deliver(&actor, batch).instrument(turn));
            // A panic in a backend would leave the lane without a task, and its effects waiting forever.
            let held_up = std::panic::AssertUnwindSafe(delivery).catch_unwind().await.unwrap_or_else(|_| {
                for (id, logged) in &tried {
                    self.outbox.settle(*id, EffectStatus::Failed);
                    logged.give_up(given_up(&Error::Other("the host failed unexpectedly".to_owned()), 1));
                }
                Vec::new()
            });
            if tried.iter().any(|(_, logged)| logged.is_given_up()) {
                self.lock().given_up.insert(actor.clone());
                self.has_given_up.notify_one();
            }
            let is_held_up = |id: u64| held_up.iter().any(|waiting| waiting.id == id);
            let ended = tried.iter().filter(|(id, _)| !is_held_up(*id));
            ended.for_each(|(_, logged)| self.settled(logged));
            self.put_back(&actor, &target, held_up);
            if !self.is_behind() {
                self.has_room.notify_one();
            }
        }
    }

    /// Counts an effect that does not wait any more.
    fn settled(&self, logged: &LoggedEffect) {
        self.pending.fetch_sub(1, Ordering::Relaxed);
        self.pending_bytes.fetch_sub(logged.effect.bytes(), Ordering::Relaxed);
        self.settled.notify_waiters();
    }

    /// The next effect of a lane, with those behind it that the backend accepts in the same request. An empty lane
    /// ends.
    fn next(&self, actor: &ActorAddress, target: &EffectTarget) -> Option<Vec<WaitingEffect>> {
        let mut logs = self.lock();
        let outgoing = logs.outgoing.get_mut(actor)?;
        let lane = outgoing.lanes.get_mut(target)?;
        let Some(first) = self.pop(lane) else {
            outgoing.lanes.remove(target);
            outgoing.log.forget_sent();
            logs.remove_if_unused(actor, false);
            return None;
        };
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Some(next) = lane.front()
            && !next.logged.is_done()
            && self.backend.takes_together(&batch[0].effect().request, &next.effect().request)
        {
            batch.extend(lane.pop_front());
        }
        Some(batch)
    }

    /// The first effect of a lane. Those that another host has seen to are skipped.
    fn pop(&self, lane: &mut VecDeque<WaitingEffect>) -> Option<WaitingEffect> {
        loop {
            let first = lane.pop_front()?;
            if !first.logged.is_done() {
                return Some(first);
            }
            self.outbox.forget(first.id);
            self.settled(&first.logged);
        }
    }

    /// Puts effects back to the front of their lane, which runs.
    fn put_back(&self, actor: &ActorAddress, target: &EffectTarget, effects: Vec<WaitingEffect>) {
        if effects.is_empty() {
            return;
        }
        let mut logs = self.lock();
        let outgoing = logs.outgoing.get_mut(actor);
        if let Some(lane) = outgoing.and_then(|outgoing| outgoing.lanes.get_mut(target)) {
            effects.into_iter().rev().for_each(|waiting| lane.push_front(waiting));
        }
    }

    /// Delivers effects until all have left or the first one is given up. Returns those behind it: it held them up, and
    /// they have attempts of their own.
    async fn deliver(&self, actor: &ActorAddress, mut batch: Vec<WaitingEffect>) -> Vec<WaitingEffect> {
        let backoff = Backoff::unbounded(self.options.retry_delay);
        let attempts = self.options.attempts.max(1);
        for attempt in 1..=attempts {
            let effects = batch.iter().map(WaitingEffect::effect).collect::<Vec<_>>();
            let results = self.backend.deliver(actor, &effects).await;
            let mut is_held_up = false;
            let tried = std::mem::take(&mut batch);
            for (waiting, tried) in tried.into_iter().zip(results) {
                let holds_up = tried.result.as_ref().is_err_and(Error::is_retryable);
                batch.extend(self.settle(waiting, tried, attempt == attempts && !is_held_up));
                is_held_up |= holds_up;
            }
            if batch.is_empty() || attempt == attempts {
                break;
            }
            self.backend.clock().sleep(backoff.after(attempt)).await;
        }
        batch
    }

    /// Records the result of one delivery. Returns the effect if it is to be retried.
    fn settle(&self, waiting: WaitingEffect, tried: Tried, is_last: bool) -> Option<WaitingEffect> {
        let (id, effect) = (waiting.id, waiting.effect());
        let Tried { attempts, result } = tried;
        let attempts = self.outbox.attempted(id, attempts, result.as_ref().err().map(Error::to_string));
        match result {
            Ok(()) => {
                self.outbox.settle(id, EffectStatus::Sent);
                waiting.logged.left();
                if let Some(line) = &effect.delivered_line {
                    tracing::info!(target: "agent", "{}", printable(line));
                }
                None
            }
            Err(error) if is_last || !error.is_retryable() => {
                self.give_up(id, effect, &error);
                waiting.logged.give_up(given_up(&error, attempts));
                None
            }
            Err(error) => {
                tracing::debug!("effect {id} will be retried: {error}");
                Some(waiting)
            }
        }
    }

    fn give_up(&self, id: u64, effect: &Effect, error: &Error) {
        self.outbox.settle(id, EffectStatus::Failed);
        let error = error.to_string();
        let error = printable(&error);
        if let Some(line) = &effect.undeliverable_line {
            tracing::error!(target: "agent", "{}: {error}", printable(line));
        }
        tracing::error!(code = ErrorCode::EffectGivenUp.as_str(), "effect {id} was dropped: {error}");
    }
}

fn given_up(error: &Error, attempts: u32) -> GivenUp {
    let at_unix_ms = Clock::of_process().unix_ms();
    let mut reason = error.to_string();
    reason.truncate(reason.floor_char_boundary(MAX_REASON));
    GivenUp { reason, code: error.case().to_owned(), attempts, at_unix_ms }
}
