//! What all handles to the waiting effects and all lanes share, with its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use daca_base::shares::{SharedPool, SharedRate, Weights};
use daca_model::ActorAddress;
use daca_model::backend::{Backend, Outbox};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::ends::Removals;
use super::lane::Lane;
use super::logs::{Logs, Outgoing};
use super::policy::DeliveryOptions;
use crate::actor::work_queue::WorkQueue;

/// The fraction of the permitted waiting effects beyond which callers are slowed down.
const SLOW_DOWN_AT: usize = 10;
/// An effect is in memory as it is sent, and as it is stored.
const COPIES: usize = 2;
/// The bytes of an effect's entries besides that.
const ENTRY: usize = 512;

/// What the handles and the lanes share.
pub(super) struct Shared {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) options: DeliveryOptions,
    pub(super) logs: Mutex<Logs>,
    pub(super) pools: Pools,
    pub(super) backlogs: Backlogs,
    /// Notified when an effect does not wait any more, or a lane is held up.
    pub(super) settled: Notify,
    pub(super) drain: Drain,
    /// The actors with effects that were given up since anybody looked.
    pub(super) burials: WorkQueue,
    pub(super) removals: Removals,
    pub(super) host: HostParts,
}

/// What the types share.
pub(super) struct Pools {
    pub(super) pending: SharedPool,
    /// The bytes of the same effects.
    pub(super) pending_bytes: SharedPool,
    /// The memory for commits in doubt, in KiB: as much again as for effects.
    pub(super) in_doubt: SharedPool,
}

/// The end of the delivery.
#[derive(Default)]
pub(super) struct Drain {
    pub(super) has_begun: AtomicBool,
    /// Ends the waits of all lanes that are held up.
    pub(super) hurry: Notify,
}

/// What the host adds once it has it.
#[derive(Default)]
pub(super) struct HostParts {
    /// The budget of memory.
    pub(super) memory: OnceLock<MemoryBudget>,
    /// The places of its turns.
    pub(super) turns: OnceLock<SharedPool>,
    /// What its agents may log.
    pub(super) log_rate: OnceLock<SharedRate>,
}

/// The backlog of each agent type.
pub(super) struct Backlogs {
    of_types: BTreeMap<Arc<str>, Backlog>,
    /// That of types that the host does not know.
    of_others: Backlog,
}

/// The backlog of an agent type.
#[derive(Default)]
pub(super) struct Backlog {
    /// The effects of lanes that wait before their next attempt.
    pub(super) held_up: AtomicUsize,
    /// Wakes one of the delayed callers.
    pub(super) has_room: Notify,
}

impl Pools {
    pub(super) fn new(options: &DeliveryOptions) -> Pools {
        let pool = |name, capacity| SharedPool::new(name, capacity, &options.weights);
        Pools {
            pending: pool("pending effects", options.max_pending),
            pending_bytes: pool("bytes of pending effects", options.max_pending_bytes),
            in_doubt: pool("KiB of commits in doubt", options.max_pending_bytes / 1024),
        }
    }
}

impl Backlogs {
    pub(super) fn new(weights: &Weights) -> Backlogs {
        let of_types = weights.iter().map(|(name, _)| (name.clone(), Backlog::default()));
        Backlogs { of_types: of_types.collect(), of_others: Backlog::default() }
    }

    pub(super) fn of(&self, agent_type: &str) -> &Backlog {
        self.of_types.get(agent_type).unwrap_or(&self.of_others)
    }

    /// The effects of all lanes that wait before their next attempt.
    pub(super) fn held_up(&self) -> usize {
        let all = self.of_types.values().chain([&self.of_others]);
        all.map(|backlog| backlog.held_up.load(Ordering::Relaxed)).sum()
    }
}

impl Shared {
    /// Returns `true` if many effects of a type wait. Those that are held up do not count: callers cannot make them leave
    /// by waiting.
    pub(super) fn is_behind(&self, agent_type: &str) -> bool {
        let many = self.options.max_pending / SLOW_DOWN_AT;
        // Without the lock of the pool: most of the time few wait, of all types together.
        if self.pools.pending.used() <= many {
            return false;
        }
        let held_up = self.backlogs.of(agent_type).held_up.load(Ordering::Relaxed);
        let moves = self.pools.pending.used_by(agent_type).saturating_sub(held_up);
        moves > many
    }

    /// Ends the waits of the lanes that are held up now. Only once: a drain tries each lane once more.
    pub(super) fn hurry(&self) {
        if self.drain.has_begun.swap(true, Ordering::Relaxed) {
            return;
        }
        for (actor, outgoing) in &mut self.lock().outgoing {
            for lane in outgoing.lanes.values_mut() {
                lane.was_hurried |= lane.is_held_up;
                self.resume(&actor.agent_type, lane);
            }
        }
        self.drain.hurry.notify_waiters();
    }

    /// Reserves memory for an effect of so many bytes. There is a bound of their own on all effects.
    pub(super) fn reserve(&self, actor: &ActorAddress, bytes: usize) -> Option<Reservation> {
        let mut reserved = self.host.memory.get()?.reservation(MemoryKind::Effects, Some(&*actor.agent_type));
        reserved.grow((bytes.saturating_mul(COPIES) + ENTRY) as u64);
        Some(reserved)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Logs> {
        self.logs.lock()
    }

    /// Ends the waits of an actor's lanes for effects that another host has seen to.
    pub(super) fn resume_done(&self, agent_type: &str, outgoing: &mut Outgoing) {
        for lane in outgoing.lanes.values_mut() {
            if lane.is_held_up && lane.waits_for_nothing() {
                self.resume(agent_type, lane);
                if let Some(wake) = &lane.wake {
                    wake.notify_one();
                }
            }
        }
    }

    /// The wait of a lane is over.
    pub(super) fn resume(&self, agent_type: &str, lane: &mut Lane) {
        if std::mem::take(&mut lane.is_held_up) {
            self.backlogs.of(agent_type).held_up.fetch_sub(lane.effects.len(), Ordering::Relaxed);
        }
    }
}
