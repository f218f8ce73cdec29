//! The host's budget of memory, as far as actors use it: what is idle is given up, and the resident size of the process
//! is measured, so that what no reservation knows counts, too.

use std::sync::{Arc, Weak};
use std::time::Duration;

use daca_base::memory::{Givers, MemoryBudget, MemoryKind, Reclaim, Reservation, machine};
use daca_model::CallError;
use tokio::time::Instant;

use super::Actors;
use super::services::Services;

/// The interval of measuring. Within it, what no reservation knows may grow unseen.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// The least time between two attempts to get below the budget, or to give memory back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);
/// The time between them, in times of what the last one took: while memory is given back, everybody who allocates waits,
/// and that should be fewer than one call in a hundred.
const GIVE_BACK_PAUSE: u32 = 300;
/// The longest time between them beyond the budget: calls are refused meanwhile for memory that nobody uses.
const MOST_PAUSE: Duration = Duration::from_secs(10);
/// The bytes beyond all reservations that are worth an attempt to give memory back.
const WORTH_GIVING_BACK: u64 = 32 * 1024 * 1024;
/// The payloads of waiting calls that are not reserved.
const SMALL_PAYLOAD: u64 = 1024;
/// Beyond this part of the budget, as a divisor, idle actors are deactivated: each takes some memory, even if it keeps
/// nothing.
const CROWDED: u64 = 4;

impl Reclaim for Services {
    fn reclaim(&self, givers: &Givers<'_>) -> bool {
        self.live.idle.evict_any(givers)
    }

    fn idle_bytes(&self, givers: &Givers<'_>) -> u64 {
        self.live.idle.bytes(givers)
    }
}

impl Services {
    /// Has the budget take from idle actors what others need.
    pub(super) fn share_memory(self: &Arc<Self>) {
        let idle: Weak<Services> = Arc::downgrade(self);
        self.engine.memory().reclaim_from(idle);
    }

    /// Reserves memory for the payload of a call of another actor, or of a wake-up. Those of other calls are parts of
    /// their bodies.
    pub(super) fn reserve_payload(
        &self,
        agent_type: &str,
        bytes: u64,
    ) -> Result<Option<Reservation>, CallError> {
        if bytes < SMALL_PAYLOAD {
            return Ok(None);
        }
        let mut reserved = self.engine.memory().reservation(MemoryKind::Queues, Some(agent_type));
        match reserved.grow_or_refuse(bytes) {
            Ok(()) => Ok(Some(reserved)),
            Err(_exhausted) => Err(CallError::MemoryExhausted),
        }
    }

    /// Returns `true` if active actors take a good part of the budget by their number alone, and those of this type more
    /// than its part of that, by its weight.
    pub(super) fn is_crowded(&self, agent_type: &str) -> bool {
        const KIND: MemoryKind = MemoryKind::Activations;
        let memory = self.engine.memory();
        memory.of_kind(KIND) > memory.limit() / CROWDED
            && memory.of_type(KIND, agent_type) > memory.share(agent_type) / CROWDED
    }
}

impl Actors {
    /// The host's budget of memory.
    pub fn memory(&self) -> &MemoryBudget {
        self.services.engine.memory()
    }

    /// Measures the process, gives up what is idle if it is beyond its budget, and gives memory that is free back to the
    /// system. Runs until it is dropped.
    pub async fn run_memory_watch(&self) {
        let mut watch = Watch::new(self.memory());
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            watch.warm.set(self.services.engine.warm_bytes());
            let Some(resident) = machine::resident() else { continue };
            self.memory().measured(resident);
            watch.look(self.memory(), resident).await;
        }
    }
}

/// What is known from earlier looks.
struct Watch {
    /// The reservation of the pool's warm slots.
    warm: Reservation,
    /// The least that the process had beyond all reservations since memory was last given back.
    rest: Option<u64>,
    given_back: Instant,
    /// When memory may be given back again.
    due: Instant,
}

impl Watch {
    fn new(memory: &MemoryBudget) -> Watch {
        let warm = memory.reservation(MemoryKind::WarmSlots, None);
        let given_back = Instant::now();
        Watch { warm, rest: None, given_back, due: given_back + GIVE_BACK_EVERY }
    }

    async fn look(&mut self, memory: &MemoryBudget, resident: u64) {
        let rest = resident.saturating_sub(memory.reserved());
        let least = self.rest.map_or(rest, |least| least.min(rest));
        self.rest = Some(least);
        let excess = memory.excess();
        let is_worth_it = excess > 0 || rest - least > WORTH_GIVING_BACK;
        let begun = Instant::now();
        let due = if excess > 0 { self.due.min(self.given_back + MOST_PAUSE) } else { self.due };
        if !is_worth_it || begun < due {
            return;
        }
        let budget = memory.clone();
        let give_back = move || {
            budget.evict(excess);
            machine::give_back();
        };
        // It ended, in one way or another.
        tokio::task::spawn_blocking(give_back).await.ok();
        let took = begun.elapsed();
        tracing::debug!("memory was given back within {took:?}");
        self.given_back = begun + took;
        self.due = self.given_back + took.saturating_mul(GIVE_BACK_PAUSE).max(GIVE_BACK_EVERY);
        if let Some(resident) = machine::resident() {
            memory.measured(resident);
            self.rest = Some(resident.saturating_sub(memory.reserved()));
        }
    }
}
