//! Delivery of effects: after the commit, in order for each actor and target, retried for a while ([`policy`]), then
//! given up with an error in the log.
//!
//! Each actor with effects has its log here ([`logs`]), and a lane for each target that effects wait for ([`lanes`]).

mod ends;
mod inspect;
mod lane;
mod lanes;
mod lines;
mod logs;
mod new_lanes;
mod policy;
mod removal_schedule;
mod shared;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use daca_base::shares::{HeldBack, SharePermit, SharedPool, SharedRate};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use self::ends::Removals;
use self::lane::{Lane, WaitingEffect};
use self::logs::{Logs, Outgoing};
pub(super) use self::new_lanes::NewLanes;
pub use self::policy::{DeliveryOptions, RetryPolicy};
use self::shared::{Backlogs, Drain, HostParts, Pools, Shared};
use super::ActorAddress;
use super::effect_log::{self, DeadLetter, LoggedEffect, Staged, StoredLog};
use super::work_queue::WorkQueue;
use daca_base::memory::MemoryBudget;
use daca_base::task::lasting;
use daca_model::backend::{Backend, Effect, Error, Outbox, TurnCommit};

/// The longest delay of a caller.
const MAX_SLOWDOWN: Duration = Duration::from_secs(1);

/// A cheap handle to all effects that wait for delivery.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
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
    /// There are dead letters of which the agent is to be told. `None` if they have not been read.
    pub(super) has_untold: Option<bool>,
}

impl Drop for LogClaim {
    fn drop(&mut self) {
        let mut logs = self.shared.lock();
        if logs.is_held_by(&self.actor, &self.token) {
            logs.release(&self.actor);
        }
    }
}

impl Deliveries {
    /// Starts without waiting effects.
    pub fn new(backend: Arc<dyn Backend>, outbox: Arc<Outbox>, options: DeliveryOptions) -> Deliveries {
        let shared = Shared {
            pools: Pools::new(&options),
            backlogs: Backlogs::new(&options.weights),
            backend,
            outbox,
            options,
            logs: Mutex::default(),
            settled: Notify::new(),
            drain: Drain::default(),
            burials: WorkQueue::default(),
            removals: Removals::default(),
            host: HostParts::default(),
        };
        Deliveries { shared: Arc::new(shared) }
    }

    /// Effects that wait from now on count against this budget. Only the first one that is set is used.
    pub(super) fn set_memory_budget(&self, memory: &MemoryBudget) {
        self.shared.host.memory.set(memory.clone()).ok(); // set before
    }

    /// Effects lead to turns, each of which needs a permit of this pool. Only the first one that is set is used.
    pub(super) fn set_turn_pool(&self, turns: &SharedPool) {
        self.shared.host.turns.set(turns.clone()).ok(); // set before
    }

    /// Lines about effects count for what the types may log, by this rate. Only the first one that is set is used.
    pub(super) fn set_log_rate(&self, rate: &SharedRate) {
        self.shared.host.log_rate.set(rate.clone()).ok(); // set before
    }

    /// The number of effects that wait for delivery.
    pub fn pending(&self) -> usize {
        self.shared.pools.pending.used()
    }

    /// Refuses if more effects wait than `times` the bounds allow this type. Its calls are then refused until the backlog
    /// is shorter.
    pub(super) fn check(&self, agent_type: &str, times: usize) -> Result<(), HeldBack> {
        let Pools { pending, pending_bytes, .. } = &self.shared.pools;
        pending.check(agent_type, times)?;
        pending_bytes.check(agent_type, times)
    }

    /// Delays the caller of a type, for a moment at most, while many of its effects wait for delivery. A caller that is
    /// faster than the delivery is slowed down before it is refused.
    pub(super) async fn slow_down(&self, agent_type: &str) {
        if !self.shared.is_behind(agent_type) {
            return;
        }
        let has_room = &self.shared.backlogs.of(agent_type).has_room;
        let deadline = Instant::now() + MAX_SLOWDOWN;
        while self.shared.is_behind(agent_type) {
            if tokio::time::timeout_at(deadline, has_room.notified()).await.is_err() {
                break;
            }
        }
        // One delivered effect may make room for more than one call.
        if !self.shared.is_behind(agent_type) {
            has_room.notify_one();
        }
    }

    /// Reserves memory for an in-doubt commit of so many bytes, if available.
    pub(super) fn room_for_in_doubt(&self, actor: &ActorAddress, bytes: usize) -> Option<SharePermit> {
        let kibibytes = bytes / 1024 + 1;
        // More than there can be would count as all of it.
        let in_doubt = &self.shared.pools.in_doubt;
        let fits = kibibytes <= in_doubt.capacity();
        fits.then(|| in_doubt.try_now(&actor.agent_type, kibibytes)).flatten()
    }

    /// What the types share.
    pub(super) fn pools(&self) -> [SharedPool; 3] {
        let Pools { pending, pending_bytes, in_doubt } = &self.shared.pools;
        [pending.clone(), pending_bytes.clone(), in_doubt.clone()]
    }

    /// Makes sure that the log in memory is that of the store, and reads it if nobody here knows it yet. Effects that
    /// another host has left are then sent.
    pub(super) async fn claim<'a>(
        &self,
        actor: &ActorAddress,
        claim: &'a mut Option<LogClaim>,
    ) -> Result<&'a mut LogClaim, Error> {
        let held = claim.take().filter(|held| self.shared.lock().is_held_by(&held.actor, &held.token));
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
            has_untold: None,
        };
        let mut logs = self.shared.lock();
        logs.remove_old();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        outgoing.claim = Arc::downgrade(&claim.token);
        let unknown = outgoing.log.reload(stored);
        self.shared.resume_done(&actor.agent_type, outgoing);
        let mut waiting = self.waiting(actor, &unknown, turns_of(actor));
        outgoing.count_earlier(&mut waiting);
        let begun = self.send(actor, outgoing, waiting);
        logs.note_burials(actor);
        drop(logs);
        // They go on in a task.
        drop(NewLanes::of(&self.shared, &actor.agent_type, begun));
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
        let new = effect_log::logged(effects, self.shared.backend.clock().unix_ms())?;
        let mut logs = self.shared.lock();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        outgoing.stages();
        Ok(outgoing.log.stage(new, buried, commit))
    }

    /// The effects of an actor that were given up and are not among its dead letters yet.
    pub(super) fn given_up(&self, actor: &ActorAddress) -> Vec<DeadLetter> {
        let logs = self.shared.lock();
        logs.outgoing.get(actor).map(|outgoing| outgoing.log.given_up()).unwrap_or_default()
    }

    /// The actors with effects that were given up: they are to become dead letters, in a turn of the host.
    pub(super) fn burials(&self) -> &WorkQueue {
        &self.shared.burials
    }

    /// The number of lanes: actors and targets with effects that are being delivered or wait for another try.
    pub fn lanes(&self) -> usize {
        self.shared.lock().outgoing.values().map(|outgoing| outgoing.lanes.len()).sum()
    }

    /// Takes over the effects of a committed turn. Returns the lanes that begin with them.
    pub(super) fn committed(&self, actor: &ActorAddress, staged: Staged) -> Option<NewLanes> {
        let rest = self.shared.leave_now(actor, staged.new_effects());
        let left = staged.new_effects().len().saturating_sub(rest.len());
        let new = self.waiting(actor, &rest, |_| Span::current());
        let (has_buried, is_unfinished) = (staged.buried() > 0, staged.is_unfinished());
        let mut logs = self.shared.lock();
        let Logs { outgoing, ended: listed, .. } = &mut *logs;
        let outgoing = outgoing.entry(actor.clone()).or_default();
        outgoing.log.committed(staged);
        outgoing.has_committed();
        if left > 0 {
            outgoing.log.forget_sent();
        }
        let begun = self.send(actor, outgoing, new);
        self.shared.note_ends(outgoing, listed, (actor, left));
        self.shared.note_rest(outgoing, listed, actor, is_unfinished);
        if has_buried {
            logs.note_burials(actor);
        }
        drop(logs);
        NewLanes::of(&self.shared, &actor.agent_type, begun)
    }

    /// Returns `true` if the store has effects that have left, and this claim knows it.
    pub(super) fn is_outdated(&self, claim: &LogClaim) -> bool {
        let logs = self.shared.lock();
        logs.is_held_by(&claim.actor, &claim.token)
            && logs.outgoing.get(&claim.actor).is_some_and(|outgoing| outgoing.log.is_outdated())
    }

    /// Counts effects that wait from now on. Their log lines have the span of `turn`.
    fn waiting(
        &self,
        actor: &ActorAddress,
        effects: &[Arc<LoggedEffect>],
        mut turn: impl FnMut(&Effect) -> Span,
    ) -> Vec<WaitingEffect> {
        if effects.is_empty() {
            return Vec::new();
        }
        let policy = self.shared.options.of_actor(actor);
        let clock = self.shared.backend.clock();
        let (now, monotonic) = (clock.unix_ms(), clock.monotonic());
        let Pools { pending, pending_bytes, .. } = &self.shared.pools;
        let agent_type = &*actor.agent_type;
        let waiting = effects.iter().map(|logged| WaitingEffect {
            id: *logged.number.get_or_init(|| self.shared.outbox.add(actor, &logged.effect)),
            logged: logged.clone(),
            turn: turn(&logged.effect),
            failures: 0,
            earlier: 0,
            expires: policy.expires(logged.age(now), monotonic),
            _counted: [
                pending.charge(agent_type, 1),
                pending_bytes.charge(agent_type, logged.effect.bytes()),
            ],
            _reserved: self.shared.reserve(actor, logged.effect.bytes()),
        });
        waiting.collect()
    }

    /// Puts effects into their lanes. Returns the lanes that begin, to be run once the logs are not locked any more.
    fn send(
        &self,
        actor: &ActorAddress,
        outgoing: &mut Outgoing,
        effects: Vec<WaitingEffect>,
    ) -> Vec<BoxFuture<'static, ()>> {
        let mut begun = Vec::<BoxFuture<'static, ()>>::new();
        if effects.is_empty() {
            return begun;
        }
        let policy = self.shared.options.of_actor(actor);
        for waiting in effects {
            let key = policy.lane(&waiting.effect().request);
            if let Some(lane) = outgoing.lanes.get_mut(&key) {
                let backlog = self.shared.backlogs.of(&actor.agent_type);
                backlog.held_up.fetch_add(usize::from(lane.is_held_up), Ordering::Relaxed);
                lane.effects.push_back(waiting);
                continue;
            }
            outgoing.lanes.insert(key.clone(), Lane::of(waiting));
            let (shared, actor) = (self.shared.clone(), actor.clone());
            // A panic must not end the lanes that run beside it, or the turn in which it begins.
            let run = async move {
                lasting("a lane of effects", || shared.clone().run_lane(actor.clone(), key.clone())).await;
            };
            begun.push(Box::pin(run));
        }
        begun
    }

    /// Waits until all effects have left that can, or until `deadline`: those that wait for another attempt get it at
    /// once, and are not waited for if it fails, because they lie in their actors' state. Returns the number of effects
    /// that still wait.
    pub async fn drain(&self, deadline: Instant) -> usize {
        self.shared.hurry();
        loop {
            let settled = self.shared.settled.notified();
            let is_done = self.pending() <= self.shared.backlogs.held_up();
            if is_done || tokio::time::timeout_at(deadline, settled).await.is_err() {
                return self.pending();
            }
        }
    }

    /// Waits until no effect waits any more, however often it is tried, or until `deadline`. Returns the number of
    /// effects that still wait.
    #[cfg(test)]
    pub(crate) async fn flush(&self, deadline: Instant) -> usize {
        loop {
            let settled = self.shared.settled.notified();
            let pending = self.pending();
            if pending == 0 || tokio::time::timeout_at(deadline, settled).await.is_err() {
                return self.pending();
            }
        }
    }
}

/// The spans of the turns that requested an actor's effects, maybe on another host: not that of the turn which reads them.
fn turns_of(actor: &ActorAddress) -> impl FnMut(&Effect) -> Span {
    let mut last = None::<(String, Span)>;
    move |effect| match &last {
        Some((turn, span)) if *turn == effect.turn() => span.clone(),
        _ => {
            let (agent_type, turn) = (&actor.agent_type, effect.turn());
            let span = tracing::info_span!("turn", %agent_type, actor_id = &*actor.id, turn);
            last = Some((turn.to_owned(), span.clone()));
            span
        }
    }
}

#[cfg(test)]
mod tests;
