//! Delivery of effects: after the commit, in the order of each actor, tried again for a while, then given up aloud.
//!
//! Each actor whose effects wait has a lane, and each lane one task. A lane whose first effect cannot be delivered waits
//! with it, so that nothing overtakes; other lanes go on.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ActorAddress;
use crate::backend::{Backend, Effect, EffectStatus, Error, Outbox};
use crate::telemetry::printable;

/// How delivery is tried.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// Tries before an effect is given up.
    pub attempts: u32,
    /// The wait before the second try; each further wait is twice as long.
    pub retry_delay: Duration,
    /// Effects that may wait before calls are refused.
    pub max_pending: usize,
    /// Bytes of effects that may wait before calls are refused.
    pub max_pending_bytes: usize,
}

/// A cheap handle on everything that waits for delivery.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    outbox: Arc<Outbox>,
    options: DeliveryOptions,
    lanes: Mutex<HashMap<ActorAddress, VecDeque<Waiting>>>,
    pending: AtomicUsize,
    pending_bytes: AtomicUsize,
    settled: Notify,
}

/// An effect in its lane.
struct Waiting {
    id: u64,
    effect: Effect,
    /// The turn that asked for it, so that the log lines of its delivery say so.
    turn: tracing::Span,
}

impl Deliveries {
    /// Nothing waits yet.
    pub fn new(backend: Arc<dyn Backend>, outbox: Arc<Outbox>, options: DeliveryOptions) -> Deliveries {
        let shared = Shared {
            backend,
            outbox,
            options,
            lanes: Mutex::default(),
            pending: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            settled: Notify::new(),
        };
        Deliveries { shared: Arc::new(shared) }
    }

    /// Effects that wait for delivery.
    pub fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Does more wait than may, or than so many times as much? Then calls are refused until the backlog is shorter.
    pub(super) fn is_full(&self, times: usize) -> bool {
        let Shared { options, pending_bytes, .. } = &*self.shared;
        self.pending() >= options.max_pending.saturating_mul(times)
            || pending_bytes.load(Ordering::Relaxed) >= options.max_pending_bytes.saturating_mul(times)
    }

    /// Takes over the effects of a turn that has committed.
    pub(super) fn enqueue(&self, actor: &ActorAddress, turn_id: &str, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        let turn = tracing::Span::current();
        let bytes = effects.iter().map(|effect| effect.request.bytes()).sum::<usize>();
        self.shared.pending.fetch_add(effects.len(), Ordering::Relaxed);
        self.shared.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = effects.into_iter().map(|effect| Waiting {
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
        tokio::spawn(self.shared.clone().run_lane(actor.clone()));
    }

    /// Waits until nothing waits any more, or until `deadline`. Answers how many effects still wait.
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
    async fn run_lane(self: Arc<Self>, actor: ActorAddress) {
        while let Some(waiting) = self.next(&actor) {
            let turn = waiting.turn.clone();
            let bytes = waiting.effect.request.bytes();
            let id = waiting.id;
            let delivery = self.deliver(&actor, waiting).instrument(turn);
            // A panic in a backend would leave the lane without a task, and its effects waiting for ever.
            if std::panic::AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
                self.outbox.settle(id, EffectStatus::Failed);
            }
            self.pending.fetch_sub(1, Ordering::Relaxed);
            self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.settled.notify_waiters();
        }
    }

    /// The next effect of a lane; an empty lane ends.
    fn next(&self, actor: &ActorAddress) -> Option<Waiting> {
        let mut lanes = self.lock();
        let next = lanes.get_mut(actor)?.pop_front();
        if next.is_none() {
            lanes.remove(actor);
        }
        next
    }

    async fn deliver(&self, actor: &ActorAddress, waiting: Waiting) {
        let Waiting { id, effect, .. } = waiting;
        let mut wait = self.options.retry_delay;
        for attempt in 1..=self.options.attempts.max(1) {
            let error = match self.backend.deliver(actor, &effect.request).await {
                Ok(()) => {
                    self.outbox.attempted(id, None);
                    self.outbox.settle(id, EffectStatus::Sent);
                    if let Some(line) = &effect.delivered_line {
                        tracing::info!(target: "agent", "{}", printable(line));
                    }
                    return;
                }
                Err(error) => error,
            };
            self.outbox.attempted(id, Some(error.to_string()));
            let is_last = attempt == self.options.attempts.max(1) || !matches!(error, Error::Unavailable(_));
            if is_last {
                return self.give_up(id, &effect, &error);
            }
            tracing::debug!("effect {id}, attempt {attempt}: {error}");
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2);
        }
    }

    fn give_up(&self, id: u64, effect: &Effect, error: &Error) {
        self.outbox.settle(id, EffectStatus::Failed);
        let error = error.to_string();
        let error = printable(&error);
        if let Some(line) = &effect.undeliverable_line {
            tracing::error!(target: "agent", "{}: {error}", printable(line));
        }
        tracing::error!(code = "effect-given-up", "effect {id} is given up: {error}");
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ActorAddress, VecDeque<Waiting>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
