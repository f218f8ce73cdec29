//! What all handles to the waiting effects and all lanes share, with its counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use daca_base::memory::{MemoryBudget, MemoryKind, Reservation};
use daca_base::shares::{SharedPool, Weights};
use daca_model::ActorAddress;
use daca_model::backend::{Backend, Outbox};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

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
    /// The waiting effects, and their bytes.
    pub(super) pending: SharedPool,
    pub(super) pending_bytes: SharedPool,
    pub(super) backlogs: Backlogs,
    /// Notified when an effect does not wait any more, or a lane is held up.
    pub(super) settled: Notify,
    /// Ends the waits of all lanes that are held up.
    pub(super) hurry: Notify,
    pub(super) is_draining: AtomicBool,
    /// The actors with effects that were given up since anybody looked.
    pub(super) burials: WorkQueue,
    /// The memory for commits in doubt, in KiB: as much again as for effects.
    pub(super) in_doubt: SharedPool,
    /// The host's budget of memory, once there is one.
    pub(super) memory: OnceLock<MemoryBudget>,
    /// The places of its turns, once there are any.
    pub(super) turns: OnceLock<SharedPool>,
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
        let held_up = self.backlogs.of(agent_type).held_up.load(Ordering::Relaxed);
        let moves = self.pending.used_by(agent_type).saturating_sub(held_up);
        moves > self.options.max_pending / SLOW_DOWN_AT
    }

    /// Ends the waits of the lanes that are held up now. Only once: a drain tries each lane once more.
    pub(super) fn hurry(&self) {
        if self.is_draining.swap(true, Ordering::Relaxed) {
            return;
        }
        for (actor, outgoing) in &mut self.lock().outgoing {
            for lane in outgoing.lanes.values_mut() {
                lane.was_hurried |= lane.is_held_up;
                self.resume(&actor.agent_type, lane);
            }
        }
        self.hurry.notify_waiters();
    }

    /// Reserves memory for an effect of so many bytes. There is a bound of their own on all effects.
    pub(super) fn reserve(&self, actor: &ActorAddress, bytes: usize) -> Option<Reservation> {
        let mut reserved = self.memory.get()?.reservation(MemoryKind::Effects, Some(&*actor.agent_type));
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
                lane.wake.notify_one();
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
