//! Delivery of effects: after the commit, in order for each actor and target, retried for a while, then given up with an
//! error in the log.
//!
//! Each actor with effects has its [`EffectLog`] here, and a lane for each target that effects wait for ([`lanes`]).

mod inspect;
mod lanes;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::ActorAddress;
use super::effect_log::{self, DeadLetter, EffectLog, LoggedEffect, Staged, StoredLog};
use daca_model::backend::{Backend, Effect, EffectTarget, Error, Outbox, TurnCommit};

/// The fraction of the permitted waiting effects beyond which callers are slowed down.
const SLOW_DOWN_AT: usize = 10;
/// The longest delay of a caller.
const MAX_SLOWDOWN: Duration = Duration::from_secs(1);
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
    lanes: HashMap<EffectTarget, VecDeque<WaitingEffect>>,
}

/// An effect in its lane.
struct WaitingEffect {
    /// Its number in the outbox.
    id: u64,
    logged: Arc<LoggedEffect>,
    /// The turn that requested it, for the log lines of its delivery.
    turn: tracing::Span,
}

impl WaitingEffect {
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
        self.send(actor, outgoing, self.waiting(actor, &unknown));
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
    pub(super) fn given_up(&self, actor: &ActorAddress) -> Vec<DeadLetter> {
        let logs = self.shared.lock();
        logs.outgoing.get(actor).map(|outgoing| outgoing.log.given_up()).unwrap_or_default()
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
        let new = self.waiting(actor, staged.new_effects());
        let mut logs = self.shared.lock();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        outgoing.log.committed(staged);
        self.send(actor, outgoing, new);
    }

    /// Returns `true` if the store has effects that have left, and this claim knows it.
    pub(super) fn is_outdated(&self, claim: &LogClaim) -> bool {
        let logs = self.shared.lock();
        logs.is_held_by(claim)
            && logs.outgoing.get(&claim.actor).is_some_and(|outgoing| outgoing.log.is_outdated())
    }

    /// Counts effects that wait from now on.
    fn waiting(&self, actor: &ActorAddress, effects: &[Arc<LoggedEffect>]) -> Vec<WaitingEffect> {
        let turn = tracing::Span::current();
        let bytes = effects.iter().map(|logged| logged.effect.bytes()).sum::<usize>();
        self.shared.pending.fetch_add(effects.len(), Ordering::Relaxed);
        self.shared.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = effects.iter().map(|logged| WaitingEffect {
            id: *logged.number.get_or_init(|| self.shared.outbox.add(actor, &logged.effect)),
            logged: logged.clone(),
            turn: turn.clone(),
        });
        waiting.collect()
    }

    /// Puts effects into their lanes.
    fn send(&self, actor: &ActorAddress, outgoing: &mut Outgoing, effects: Vec<WaitingEffect>) {
        for waiting in effects {
            let target = waiting.effect().request.target();
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
        while let Some((since, _)) = self.left.front()
            && since.elapsed() > REMEMBERED
            && let Some((_, actor)) = self.left.pop_front()
        {
            self.remove_if_unused(&actor, true);
            // Its effects still wait. An actor that is active again is remembered when that ends.
            if self.outgoing.get(&actor).is_some_and(|outgoing| outgoing.claim.strong_count() == 0) {
                self.left.push_back((Instant::now(), actor));
            }
        }
    }
}

impl Shared {
    fn is_behind(&self) -> bool {
        self.pending.load(Ordering::Relaxed) > self.options.max_pending / SLOW_DOWN_AT
    }

    fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock()
    }
}

#[cfg(test)]
mod tests;
