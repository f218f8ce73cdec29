//! The record of one actor that is active here: its queue, and the state that its turns share.
//!
//! An idle actor has no task, so it costs about 2 KiB in addition to its warm state, and no scheduling. Its warm state
//! is kept in the record while no task runs, and by the task while one does ([`super::activation`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use daca_base::shares::SharePermit;
use daca_model::ActorAddress;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{RwLock, Semaphore};
use tokio::time::Instant;

use super::agent::AgentRuntime;
use super::delivery::LogClaim;
use super::idle_entries::IdleEntries;
use super::lease::Lease;
use super::usage_sampler::{Look, PastTotals, Totals};
use super::warm_state::WarmState;
use super::work::Job;
use super::worth::Rank;
use crate::actor_use::ActorUse;
use crate::component::{LoadedVersion, TrafficSplit};

/// The bytes of a record, with its entries in the tables of the host.
const ACTIVATION: u64 = 2 * 1024;

/// The record of an active actor.
pub(super) struct Activation {
    pub(super) address: ActorAddress,
    pub(super) agent: Arc<AgentRuntime>,
    pub(super) lease: Lease,
    pub(super) nested: NestedTurns,
    /// Permits one commit at a time. A turn that does not wait for a nested one any more may commit beside it, and each
    /// writes the whole effect log.
    pub(super) commits: Semaphore,
    /// The claim to the actor's effect log between commits, with its ownership epoch. Turns nested in another one have
    /// it, too: what one commits, the other knows.
    effects: Mutex<Option<(u64, LogClaim)>>,
    /// The agent has run in this activation, for more than to be told of failed effects: its end runs the agent's hook.
    pub(super) has_begun: AtomicBool,
    /// The eviction that took its instance ([`KeptInstances::evicts`](super::kept_instances::KeptInstances::evicts)).
    pub(super) evicted: AtomicU64,
    /// What it has used of the host.
    pub(super) used: ActorUse,
    /// Its place among the active actors, and its memory.
    _held: (SharePermit, Reservation),
    inner: Mutex<Inner>,
}

/// The turns of an actor that are nested in another one of its turns.
#[derive(Default)]
pub(super) struct NestedTurns {
    /// The number of those that committed while the other one waited for them.
    pub(super) commits: Arc<AtomicU64>,
    /// Held by each of them, so that the next turn does not begin before they have ended.
    pub(super) running: Arc<RwLock<()>>,
}

/// The part that is only accessed under the record's lock.
pub(super) struct Inner {
    pub(super) queue: VecDeque<Job>,
    pub(super) phase: Phase,
    pub(super) warm: WarmState,
    /// Its entry in the list of idle activations.
    pub(super) idle_number: Option<u64>,
    /// Its entries among the memory of idle actors.
    pub(super) idle_entries: IdleEntries,
    /// The part of the host's budget of memory that the state has which it keeps between turns.
    pub(super) cached: Reservation,
    pub(super) idle_since: Instant,
    /// The last time at which it became idle after another job than the host's own.
    pub(super) used: Instant,
    pub(super) turns: u64,
    /// What it had used when somebody looked.
    past: PastTotals,
}

impl Inner {
    /// Returns `true` if so many jobs wait. Ends of the activation are not among them: nobody waits for one, and there is at
    /// most one behind each other job.
    pub(super) fn is_full(&self, limit: usize) -> bool {
        let jobs = || self.queue.iter().filter(|job| !job.work.is_end()).count();
        self.queue.len() >= limit && jobs() >= limit
    }
}

/// The owner of the queue.
pub(super) enum Phase {
    /// None: the queue is empty.
    Idle,
    /// A task processes it.
    Running(Running),
    /// Deactivated: this record accepts no more jobs, and the table removes it.
    Closed,
}

/// The running turn.
pub(super) struct Running {
    /// The reentrancy id of its call.
    pub(super) reentrancy_id: Option<Arc<str>>,
    /// It is the host's own, and no use of the actor.
    pub(super) is_of_host: bool,
    /// Its version, once that is chosen.
    loaded: Option<Arc<LoadedVersion>>,
}

impl Inner {
    /// Notes that this job begins.
    pub(super) fn begin(&mut self, job: &Job) {
        let reentrancy_id = job.context.reentrancy_id.clone();
        let is_of_host = job.work.is_of_host();
        self.phase = Phase::Running(Running { reentrancy_id, is_of_host, loaded: None });
        self.turns += u64::from(job.work.is_counted());
    }
}

/// The view of an activation in the admin API.
pub(super) struct Snapshot {
    pub(super) is_running: bool,
    pub(super) queued: usize,
    pub(super) has_instance: bool,
    pub(super) idle: Option<Duration>,
    /// The bytes of its instances, and of the state that it kept when it was idle.
    pub(super) memory: u64,
    /// What it has used since it began.
    pub(super) totals: Totals,
}

impl Activation {
    /// Nothing is known of the actor yet.
    pub(super) fn new(
        address: ActorAddress,
        agent: Arc<AgentRuntime>,
        counted: SharePermit,
        memory: &MemoryBudget,
    ) -> Arc<Activation> {
        let mut reserved = memory.reservation(MemoryKind::Activations, Some(&*address.agent_type));
        reserved.grow(ACTIVATION);
        let inner = Inner {
            queue: VecDeque::new(),
            phase: Phase::Idle,
            warm: WarmState::default(),
            idle_number: None,
            idle_entries: IdleEntries::default(),
            cached: reserved.beside(MemoryKind::StateCaches),
            idle_since: Instant::now(),
            used: Instant::now(),
            turns: 0,
            past: PastTotals::default(),
        };
        Arc::new(Activation {
            address,
            agent,
            lease: Lease::default(),
            nested: NestedTurns::default(),
            commits: Semaphore::new(1),
            effects: Mutex::new(None),
            has_begun: AtomicBool::new(false),
            evicted: AtomicU64::new(0),
            used: ActorUse::default(),
            _held: (counted, reserved),
            inner: Mutex::new(inner),
        })
    }

    /// Takes the claim to the effect log, for a commit that begins in this ownership epoch. It is not put back by a
    /// commit that fails: the stored log may then be another one.
    pub(super) fn take_effects(&self, epoch: u64) -> Option<LogClaim> {
        let claim = self.effects.lock().take();
        claim.filter(|(of, _)| *of == epoch).map(|(_, claim)| claim)
    }

    /// Keeps the claim to the effect log for the next commit.
    pub(super) fn keep_effects(&self, epoch: u64, claim: Option<LogClaim>) {
        let before = std::mem::replace(&mut *self.effects.lock(), claim.map(|claim| (epoch, claim)));
        drop(before);
    }

    /// Notes that there is no dead letter of which the agent is to be told.
    pub(super) fn has_told_all(&self) {
        if let Some((_, claim)) = &mut *self.effects.lock() {
            claim.has_untold = Some(false);
        }
    }

    /// Drops the claim to the effect log: another host may own the actor, and change it.
    pub(super) fn drop_effects(&self) {
        self.keep_effects(0, None);
    }

    /// Drops the instance of an idle activation, if this is the entry of it. Returns `false` if it has none, is in use, or
    /// was in use since that entry was made.
    pub(super) fn evict_instance(&self, of: Rank) -> bool {
        let mut inner = self.lock();
        if !matches!(inner.phase, Phase::Idle)
            || inner.idle_entries.instance.is_none_or(|(rank, _)| rank != of)
        {
            return false;
        }
        inner.idle_entries.instance = None;
        let instance = inner.warm.instance.take();
        drop(inner);
        instance.is_some()
    }

    /// Drops the state that an idle activation keeps, if this is the entry of it. Returns `false` if it has none, is in use,
    /// or was in use since that entry was made.
    pub(super) fn evict_cache(&self, of: Rank) -> bool {
        let mut inner = self.lock();
        if !matches!(inner.phase, Phase::Idle) || inner.idle_entries.cache != Some(of) {
            return false;
        }
        inner.idle_entries.cache = None;
        let state = inner.warm.take_state();
        let bytes = inner.cached.bytes();
        inner.cached.shrink(bytes);
        drop(inner);
        drop(state);
        bytes > 0
    }

    /// Drops the instance of an idle activation if it is not of the version that serves the actor now.
    pub(super) fn give_up_outdated_instance(&self, split: &TrafficSplit) {
        let mut inner = self.lock();
        let loaded = split.choose(&self.address.id);
        // A running turn has taken it out of the record; whether it is put back is decided afterwards.
        let instance = inner.warm.instance.take_if(|instance| !loaded.is_of(instance));
        drop(inner);
        drop(instance);
    }

    /// The version for a turn that begins now: that of the turn that waits for it, if any. Two versions must not write
    /// one actor's state at the same time.
    pub(super) fn version_for_turn(&self, split: &TrafficSplit) -> Arc<LoadedVersion> {
        let chosen = split.choose(&self.address.id);
        match &mut self.lock().phase {
            Phase::Running(running) => running.loaded.get_or_insert_with(|| chosen.clone()).clone(),
            Phase::Idle | Phase::Closed => chosen.clone(),
        }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        self.snapshot_of(&self.lock(), now)
    }

    /// The same, with what it has used since an earlier look.
    pub(super) fn look(&self, now: Instant, look: &Look<'_>) -> (Snapshot, Totals) {
        let mut inner = self.lock();
        let snapshot = self.snapshot_of(&inner, now);
        let lately = inner.past.look(look, snapshot.totals);
        (snapshot, lately)
    }

    fn snapshot_of(&self, inner: &Inner, now: Instant) -> Snapshot {
        let is_running = matches!(inner.phase, Phase::Running(_));
        Snapshot {
            is_running,
            queued: inner.queue.len(),
            has_instance: is_running || inner.warm.instance.is_some(),
            idle: (!is_running).then(|| now.saturating_duration_since(inner.idle_since)),
            memory: self.used.memory().saturating_add(inner.cached.bytes()),
            totals: Totals {
                processor: self.used.processor(),
                turns: inner.turns,
                logged: self.used.logged(),
            },
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}
