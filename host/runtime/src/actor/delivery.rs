//! Delivery of effects: after the commit, in order for each actor and target, retried for a while, then given up with an
//! error in the log.
//!
//! Each actor with effects has its [`EffectLog`] here, and a lane for each target that effects wait for. Each lane has
//! one task. If the first effect of a lane cannot be delivered, the lane waits with it, so that nothing overtakes; other
//! lanes continue.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ActorAddress;
use super::effect_log::{self, DeadLetter, EffectLog, GivenUp, LoggedEffect, Staged, StoredLog};
use daca_base::ErrorCode;
use daca_base::backoff::Backoff;
use daca_base::clock::Clock;
use daca_base::telemetry::printable;
use daca_model::backend::{Backend, Effect, EffectStatus, EffectTarget, Error, Outbox, TurnCommit};

/// The fraction of the permitted waiting effects beyond which callers are slowed down.
const SLOW_DOWN_AT: usize = 10;
/// The longest delay of a caller.
const MAX_SLOWDOWN: Duration = Duration::from_secs(1);
/// The maximum number of effects in one request.
const MAX_BATCH: usize = 100;
/// The bytes of the reason in a dead letter.
const MAX_REASON: usize = 1_024;
/// The time for which the log of an actor that is not active any more is remembered. Its stored log may name effects that
/// have left, which would otherwise be sent again with its next activation: the host's reminder causes that earlier.
const REMEMBERED: Duration = Duration::from_secs(180);

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
    logs: Mutex<Logs>,
    pending: AtomicUsize,
    pending_bytes: AtomicUsize,
    settled: Notify,
    has_given_up: Notify,
    /// Wakes one of the delayed callers.
    has_room: Notify,
    /// The memory for commits in doubt, in KiB: as much again as for effects.
    in_doubt: Arc<Semaphore>,
}

/// The actors with effects.
#[derive(Default)]
struct Logs {
    outgoing: HashMap<ActorAddress, Outgoing>,
    /// Actors with effects that were given up since anybody looked.
    given_up: BTreeSet<ActorAddress>,
    /// Actors that are not active any more, and since when: their entries are removed after [`REMEMBERED`].
    left: VecDeque<(Instant, ActorAddress)>,
}

/// The effects of one actor.
#[derive(Default)]
struct Outgoing {
    log: EffectLog,
    /// The claim of the activation that knows the log.
    claim: Weak<()>,
    lanes: HashMap<EffectTarget, VecDeque<Waiting>>,
}

/// An effect in its lane.
struct Waiting {
    /// Its number in the outbox.
    id: u64,
    logged: Arc<LoggedEffect>,
    /// The turn that requested it, for the log lines of its delivery.
    turn: tracing::Span,
}

impl Waiting {
    fn effect(&self) -> &Effect {
        &self.logged.effect
    }
}

/// Shows that the effect log in memory is that of the store, as long as nobody else has a claim to it. An activation
/// holds it between its turns.
pub(super) struct LogClaim {
    shared: Arc<Shared>,
    actor: ActorAddress,
    token: Arc<()>,
    /// The host's reminder is registered.
    pub(super) has_reminder: bool,
    /// Effects were added since the reminder fired.
    pub(super) is_used: bool,
}

impl Drop for LogClaim {
    fn drop(&mut self) {
        let mut logs = self.shared.lock();
        if logs.is_held_by(self) {
            logs.release(&self.actor);
        }
    }
}

impl Deliveries {
    /// Starts without waiting effects.
    pub fn new(backend: Arc<dyn Backend>, outbox: Arc<Outbox>, options: DeliveryOptions) -> Deliveries {
        let room = (options.max_pending_bytes / 1024).min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            backend,
            outbox,
            options,
            logs: Mutex::default(),
            pending: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            settled: Notify::new(),
            has_given_up: Notify::new(),
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

    /// Makes sure that the log in memory is that of the store, and reads it if nobody here knows it yet. Effects that
    /// another host has left are then sent.
    pub(super) async fn claim<'a>(
        &self,
        actor: &ActorAddress,
        claim: &'a mut Option<LogClaim>,
    ) -> Result<&'a mut LogClaim, Error> {
        let held = claim.take().filter(|held| self.shared.lock().is_held_by(held));
        let held = match held {
            Some(held) => held,
            None => {
                let stored = StoredLog::read(&*self.shared.backend, actor).await?;
                self.take_over(actor, stored)
            }
        };
        Ok(claim.insert(held))
    }

    fn take_over(&self, actor: &ActorAddress, stored: StoredLog) -> LogClaim {
        let claim = LogClaim {
            shared: self.shared.clone(),
            actor: actor.clone(),
            token: Arc::new(()),
            has_reminder: false,
            is_used: false,
        };
        let mut logs = self.shared.lock();
        logs.remove_old();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        outgoing.claim = Arc::downgrade(&claim.token);
        let unknown = outgoing.log.reload(stored);
        self.send(actor, outgoing, unknown);
        drop(logs);
        claim
    }

    /// Adds the effects of a turn to its commit, and removes from the store those that have left.
    pub(super) fn stage(
        &self,
        actor: &ActorAddress,
        effects: Vec<Effect>,
        buried: &[DeadLetter],
        commit: &mut TurnCommit,
    ) -> Result<Staged, Error> {
        let new = effect_log::logged(effects)?;
        let mut logs = self.shared.lock();
        Ok(logs.outgoing.entry(actor.clone()).or_default().log.stage(new, buried, commit))
    }

    /// The effects of an actor that were given up and are not among its dead letters yet.
    pub(super) fn given_up(&self, actor: &ActorAddress) -> Result<Vec<DeadLetter>, Error> {
        let logs = self.shared.lock();
        logs.outgoing.get(actor).map_or(Ok(Vec::new()), |outgoing| outgoing.log.given_up())
    }

    /// The next actor with effects that were given up: they are to become dead letters, in a turn of the host. Waits
    /// until there is one.
    pub(super) async fn next_given_up(&self) -> ActorAddress {
        loop {
            let changed = self.shared.has_given_up.notified();
            if let Some(actor) = self.shared.lock().given_up.pop_first() {
                return actor;
            }
            changed.await;
        }
    }

    /// Sends the effects of a committed turn.
    pub(super) fn committed(&self, actor: &ActorAddress, staged: Staged) {
        let mut logs = self.shared.lock();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        let new = outgoing.log.committed(staged);
        self.send(actor, outgoing, new);
    }

    /// Returns `true` if the store has effects that have left, and this claim knows it.
    pub(super) fn is_outdated(&self, claim: &LogClaim) -> bool {
        let logs = self.shared.lock();
        logs.is_held_by(claim)
            && logs.outgoing.get(&claim.actor).is_some_and(|outgoing| outgoing.log.is_outdated())
    }

    /// Puts effects into their lanes.
    fn send(&self, actor: &ActorAddress, outgoing: &mut Outgoing, effects: Vec<Arc<LoggedEffect>>) {
        let turn = tracing::Span::current();
        let bytes = effects.iter().map(|logged| logged.effect.bytes()).sum::<usize>();
        self.shared.pending.fetch_add(effects.len(), Ordering::Relaxed);
        self.shared.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        for logged in effects {
            let target = logged.effect.request.target();
            let id = self.shared.outbox.add(actor, &logged.effect);
            let waiting = Waiting { id, logged, turn: turn.clone() };
            if let Some(lane) = outgoing.lanes.get_mut(&target) {
                lane.push_back(waiting);
                continue;
            }
            outgoing.lanes.insert(target.clone(), VecDeque::from([waiting]));
            tokio::spawn(Box::pin(self.shared.clone().run_lane(actor.clone(), target)));
        }
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

impl Logs {
    fn is_held_by(&self, claim: &LogClaim) -> bool {
        let outgoing = self.outgoing.get(&claim.actor);
        outgoing.is_some_and(|outgoing| std::ptr::eq(outgoing.claim.as_ptr(), Arc::as_ptr(&claim.token)))
    }

    /// The actor's activation has ended.
    fn release(&mut self, actor: &ActorAddress) {
        if let Some(outgoing) = self.outgoing.get_mut(actor) {
            outgoing.claim = Weak::new();
        }
        self.remove_if_unused(actor, false);
        if self.outgoing.contains_key(actor) {
            self.left.push_back((Instant::now(), actor.clone()));
        }
    }

    /// Removes the entry of an actor that is not active any more, if nothing waits, and nothing is to be remembered
    /// unless it is `old`.
    fn remove_if_unused(&mut self, actor: &ActorAddress, old: bool) {
        let is_unused = |outgoing: &Outgoing| {
            let is_active = outgoing.claim.strong_count() > 0;
            !is_active && outgoing.lanes.is_empty() && (old || outgoing.log.is_empty())
        };
        if self.outgoing.get(actor).is_some_and(is_unused) {
            self.outgoing.remove(actor);
        }
    }

    fn remove_old(&mut self) {
        while let Some((since, actor)) = self.left.front().cloned()
            && since.elapsed() > REMEMBERED
        {
            self.left.pop_front();
            self.remove_if_unused(&actor, true);
        }
    }
}

impl Shared {
    fn is_behind(&self) -> bool {
        self.pending.load(Ordering::Relaxed) > self.options.max_pending / SLOW_DOWN_AT
    }

    async fn run_lane(self: Arc<Self>, actor: ActorAddress, target: EffectTarget) {
        while let Some(batch) = self.next(&actor, &target) {
            let turn = batch.first().map_or_else(tracing::Span::none, |first| first.turn.clone());
            let sent = batch.iter().map(|waiting| (waiting.id, waiting.logged.clone())).collect::<Vec<_>>();
            let delivery = pin!(self.deliver(&actor, batch).instrument(turn));
            // A panic in a backend would leave the lane without a task, and its effects waiting forever.
            if std::panic::AssertUnwindSafe(delivery).catch_unwind().await.is_err() {
                for (id, logged) in &sent {
                    self.outbox.settle(*id, EffectStatus::Failed);
                    logged.give_up(given_up("the host failed unexpectedly", 1));
                }
            }
            if sent.iter().any(|(_, logged)| logged.is_given_up()) {
                self.lock().given_up.insert(actor.clone());
                self.has_given_up.notify_one();
            }
            sent.iter().for_each(|(_, logged)| self.settled(logged));
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
    fn next(&self, actor: &ActorAddress, target: &EffectTarget) -> Option<Vec<Waiting>> {
        let mut logs = self.lock();
        let outgoing = logs.outgoing.get_mut(actor)?;
        let lane = outgoing.lanes.get_mut(target)?;
        let Some(first) = self.pop(lane) else {
            outgoing.lanes.remove(target);
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
    fn pop(&self, lane: &mut VecDeque<Waiting>) -> Option<Waiting> {
        loop {
            let first = lane.pop_front()?;
            if !first.logged.is_done() {
                return Some(first);
            }
            self.outbox.forget(first.id);
            self.settled(&first.logged);
        }
    }

    async fn deliver(&self, actor: &ActorAddress, mut batch: Vec<Waiting>) {
        let backoff = Backoff::unbounded(self.options.retry_delay);
        for attempt in 1..=self.options.attempts.max(1) {
            let effects = batch.iter().map(Waiting::effect).collect::<Vec<_>>();
            let results = self.backend.deliver(actor, &effects).await;
            let tried = std::mem::take(&mut batch);
            for (waiting, result) in tried.into_iter().zip(results) {
                batch.extend(self.settle(waiting, result, attempt));
            }
            if batch.is_empty() {
                return;
            }
            tokio::time::sleep(backoff.after(attempt)).await;
        }
    }

    /// Records the result of an attempt, counted from 1. Returns the effect if it is to be retried.
    fn settle(&self, waiting: Waiting, result: Result<(), Error>, attempt: u32) -> Option<Waiting> {
        let is_last = attempt >= self.options.attempts.max(1);
        let (id, effect) = (waiting.id, waiting.effect());
        self.outbox.attempted(id, result.as_ref().err().map(Error::to_string));
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
                waiting.logged.give_up(given_up(&error.to_string(), attempt));
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

    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock()
    }
}

fn given_up(reason: &str, attempts: u32) -> GivenUp {
    let at_unix_ms = Clock::of_process().unix_ms();
    GivenUp { reason: reason[..reason.floor_char_boundary(MAX_REASON)].to_owned(), attempts, at_unix_ms }
}

#[cfg(test)]
mod tests;
