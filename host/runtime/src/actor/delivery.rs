//! Delivery of effects: after the commit, in order for each actor, retried for a while, then dropped with an error in
//! the log.
//!
//! Each actor with waiting effects has a lane, and each lane has one task. If the first effect of a lane cannot be
//! delivered, the lane waits with it, so that nothing overtakes; other lanes continue.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ActorAddress;
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::telemetry::printable;
use daca_model::backend::{Backend, Effect, EffectStatus, Error, Outbox, Tried};

/// The fraction of the permitted waiting effects beyond which callers are slowed down.
const SLOW_DOWN_AT: usize = 10;
/// The longest delay of a caller.
const MAX_SLOWDOWN: Duration = Duration::from_secs(1);
/// The maximum number of effects in one request.
const MAX_BATCH: usize = 100;

/// The retry policy of the delivery.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// Attempts before an effect is dropped.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles after each.
    pub retry_delay: Duration,
    /// The number of waiting effects beyond which calls are refused.
    pub max_pending: usize,
    /// The bytes of waiting effects beyond which calls are refused.
    pub max_pending_bytes: usize,
}

/// A cheap handle to all effects that wait for delivery.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    outbox: Arc<Outbox>,
    options: DeliveryOptions,
    lanes: Mutex<HashMap<ActorAddress, VecDeque<WaitingEffect>>>,
    pending: AtomicUsize,
    pending_bytes: AtomicUsize,
    settled: Notify,
    /// Wakes one of the delayed callers.
    has_room: Notify,
    /// The memory for commits in doubt, in KiB: as much again as for effects.
    in_doubt: Arc<Semaphore>,
}

/// An effect in its lane.
struct WaitingEffect {
    id: u64,
    effect: Effect,
    /// The turn that requested it, for the log lines of its delivery.
    turn: tracing::Span,
}

impl Deliveries {
    /// Starts without waiting effects.
    pub fn new(backend: Arc<dyn Backend>, outbox: Arc<Outbox>, options: DeliveryOptions) -> Deliveries {
        let room = (options.max_pending_bytes / 1024).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            backend,
            outbox,
            options,
            lanes: Mutex::default(),
            pending: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            settled: Notify::new(),
            has_room: Notify::new(),
            in_doubt: Arc::new(Semaphore::new(room)),
        };
        Deliveries { shared: Arc::new(shared) }
    }

    /// The number of effects that wait for delivery.
    pub fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Returns `true` if more effects wait than `times` the bounds allow. Calls are then refused until the backlog is
    /// shorter.
    pub(super) fn is_full(&self, times: usize) -> bool {
        let Shared { options, pending_bytes, .. } = &*self.shared;
        self.pending() >= options.max_pending.saturating_mul(times)
            || pending_bytes.load(Ordering::Relaxed) >= options.max_pending_bytes.saturating_mul(times)
    }

    /// Delays the caller, for a moment at most, while a good part of the permitted effects wait for delivery. A caller
    /// that is faster than the delivery is slowed down before it is refused.
    pub(super) async fn slow_down(&self) {
        if !self.shared.is_behind() {
            return;
        }
        let deadline = Instant::now() + MAX_SLOWDOWN;
        while self.shared.is_behind() {
            if tokio::time::timeout_at(deadline, self.shared.has_room.notified()).await.is_err() {
                break;
            }
        }
        // One delivered effect may make room for more than one call.
        if !self.shared.is_behind() {
            self.shared.has_room.notify_one();
        }
    }

    /// Reserves memory for an in-doubt commit of so many bytes, if available.
    pub(super) fn room_for_in_doubt(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes / 1024 + 1).ok()?;
        self.shared.in_doubt.clone().try_acquire_many_owned(kibibytes).ok()
    }

    /// Takes over the effects of a committed turn.
    pub(super) fn enqueue(&self, actor: &ActorAddress, turn_id: &str, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let turn = tracing::Span::current();
        let bytes = effects.iter().map(Effect::bytes).sum::<usize>();
        self.shared.pending.fetch_add(effects.len(), Ordering::Relaxed);
        self.shared.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = effects.into_iter().map(|effect| WaitingEffect {
            id: self.shared.outbox.add(actor, turn_id, &effect.request),
            effect,
            turn: turn.clone(),
        });
        let mut lanes = self.shared.lock();
        if let Some(lane) = lanes.get_mut(actor) {
            lane.extend(waiting);
            return;
        }
        lanes.insert(actor.clone(), waiting.collect());
        drop(lanes);
        tokio::spawn(Box::pin(self.shared.clone().run_lane(actor.clone())));
    }

    /// Waits until no effect waits any more, or until `deadline`. Returns the number of effects that still wait.
    pub async fn flush(&self, deadline: Instant) -> usize {
        loop {
            let settled = self.shared.settled.notified();
            let pending = self.pending();
            if pending == 0 || tokio::time::timeout_at(deadline, settled).await.is_err() {
                return self.pending();
            }
        }
    }
}

impl Shared {
    fn is_behind(&self) -> bool {
        self.pending.load(Ordering::Relaxed) > self.options.max_pending / SLOW_DOWN_AT
    }

    async fn run_lane(self: Arc<Self>, actor: ActorAddress) {
        while let Some(batch) = self.next(&actor) {
            let turn = batch.first().map_or_else(tracing::Span::none, |first| first.turn.clone());
            let ids = batch.iter().map(|waiting| waiting.id).collect::<Vec<_>>();
            let bytes = batch.iter().map(|waiting| waiting.effect.bytes()).sum::<usize>();
            let delivery = pin!(self.deliver(&actor, batch).instrument(turn));
            // A panic in a backend would leave the lane without a task, and its effects waiting forever.
            if std::panic::AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
                ids.iter().for_each(|id| self.outbox.settle(*id, EffectStatus::Failed));
            }
            self.pending.fetch_sub(ids.len(), Ordering::Relaxed);
            self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.settled.notify_waiters();
            if !self.is_behind() {
                self.has_room.notify_one();
            }
        }
    }

    /// The next effect of a lane, with those behind it that the backend accepts in the same request. An empty lane
    /// ends.
    fn next(&self, actor: &ActorAddress) -> Option<Vec<WaitingEffect>> {
        let mut lanes = self.lock();
        let lane = lanes.get_mut(actor)?;
        let Some(first) = lane.pop_front() else {
            lanes.remove(actor);
            return None;
        };
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Some(next) = lane.front()
            && self.backend.takes_together(&batch[0].effect.request, &next.effect.request)
        {
            batch.extend(lane.pop_front());
        }
        Some(batch)
    }

    async fn deliver(&self, actor: &ActorAddress, mut batch: Vec<WaitingEffect>) {
        let backoff = Backoff::unbounded(self.options.retry_delay);
        for attempt in 1..=self.options.attempts.max(1) {
            let is_last = attempt == self.options.attempts.max(1);
            let effects = batch.iter().map(|waiting| &waiting.effect).collect::<Vec<_>>();
            let results = self.backend.deliver(actor, &effects).await;
            let tried = std::mem::take(&mut batch);
            for (waiting, tried) in tried.into_iter().zip(results) {
                batch.extend(self.settle(waiting, tried, is_last));
            }
            if batch.is_empty() {
                return;
            }
            tokio::time::sleep(backoff.after(attempt)).await;
        }
    }

    /// Records the result of one delivery. Returns the effect if it is to be retried.
    fn settle(&self, waiting: WaitingEffect, tried: Tried, is_last: bool) -> Option<WaitingEffect> {
        let WaitingEffect { id, ref effect, .. } = waiting;
        let Tried { attempts, result } = tried;
        self.outbox.attempted(id, attempts, result.as_ref().err().map(Error::to_string));
        match result {
            Ok(()) => {
                self.outbox.settle(id, EffectStatus::Sent);
                if let Some(line) = &effect.delivered_line {
                    tracing::info!(target: "agent", "{}", printable(line));
                }
                None
            }
            Err(error) if is_last || !error.is_retryable() => {
                self.give_up(id, effect, &error);
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

    fn lock(&self) -> MutexGuard<'_, HashMap<ActorAddress, VecDeque<WaitingEffect>>> {
        self.lanes.lock()
    }
}

#[cfg(test)]
mod tests;
