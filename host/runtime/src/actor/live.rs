//! Live instances: the number that the machine allows, and the eviction of idle ones.
//!
//! Each live instance costs memory mappings, and a process that exceeds `vm.max_map_count` aborts in malloc, so the number
//! is capped beforehand. At the cap, an idle instance is dropped; its actor stays active and gets another one with its
//! next call, for what an activation costs ([`super::idle_memory`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::idle_memory::IdleMemory;

/// Mappings of one live instance: two for its memory, and two for its fiber stack, which the pool has from the start
/// (measured).
const MAPS_PER_INSTANCE: usize = 4;
/// Mappings that are reserved for everything else.
const MAPS_FOR_THE_REST: usize = 4_096;
/// The kernel's default, for when the limit cannot be read.
const DEFAULT_MAP_COUNT: usize = 65_530;

/// The default number of live instances, in turns and idle. The budget of memory may allow fewer, and of cheap ones fewer
/// are kept.
pub const DEFAULT_LIVE_INSTANCES: usize = 8_192;

/// `vm.max_map_count` of this machine, or the kernel's default if it cannot be read.
pub fn map_count_limit() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(DEFAULT_MAP_COUNT)
}

/// The number of live instances that a number of mappings allows.
pub fn most_live_instances(map_count_limit: usize) -> usize {
    (map_count_limit.saturating_sub(MAPS_FOR_THE_REST) / MAPS_PER_INSTANCE).clamp(16, 50_000)
}

/// Grants permits for live instances.
pub(super) struct LiveInstances {
    places: Arc<Semaphore>,
    /// The memory of idle actors.
    pub(super) idle: IdleMemory,
    waiting: AtomicUsize,
    cap: usize,
}

impl LiveInstances {
    pub(super) fn new(cap: usize) -> LiveInstances {
        LiveInstances {
            places: Arc::new(Semaphore::new(cap)),
            idle: IdleMemory::default(),
            waiting: AtomicUsize::new(0),
            cap,
        }
    }

    /// Acquires a permit for an instance. It evicts an idle one, and waits only if every instance is in a turn. `None` if
    /// the host is gone.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return Some(place);
            }
            if !self.evict_one() {
                break;
            }
        }
        let _waiting = Waiting::begin(&self.waiting);
        // One that became idle before `waiting` was incremented was not dropped by itself.
        self.evict_one();
        self.places.clone().acquire_owned().await.ok()
    }

    /// Drops an idle instance. Returns `false` if none is idle.
    pub(super) fn evict_one(&self) -> bool {
        self.idle.give_up_instance()
    }

    /// Returns `true` if somebody waits for a permit. An instance that becomes idle should then be dropped.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// The number of live instances, and the maximum.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.cap - self.places.available_permits(), self.cap)
    }
}

/// Counts a waiter while it waits, even if its future is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(counter: &'a AtomicUsize) -> Waiting<'a> {
        counter.fetch_add(1, Ordering::SeqCst);
        Waiting(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
