//! Live instances: how many the machine allows, and who gives one up.
//!
//! Each live instance costs memory mappings, and a process that exceeds `vm.max_map_count` aborts in malloc, so the number
//! is capped beforehand. At the cap, the instance that was idle for the longest time is dropped; its actor stays active
//! and gets another one with its next call, for some 30 µs.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::idle_list::IdleList;
use super::record::Activation;

/// Mappings of one live instance: two of its memory, and two of its fiber stack, which the pool has from the start (measured).
const MAPS_PER_INSTANCE: usize = 4;
/// Mappings that are left for everything else.
const MAPS_FOR_THE_REST: usize = 4_096;
/// Activations that are looked at together after a swap: their instances are dropped without a pause, for some 10 µs each.
const LOOKED_AT_TOGETHER: usize = 16;
/// Where the kernel's limit cannot be read, its default.
const DEFAULT_MAP_COUNT: usize = 65_530;

/// Live instances unless the manifest says otherwise: of small Rust guests they take some 600 MiB. An actor that has lost its
/// instance gets another one for less than a tenth of a millisecond.
pub const DEFAULT_LIVE_INSTANCES: usize = 8_192;

/// `vm.max_map_count` of this machine, or the kernel's default where it cannot be read.
pub fn map_count_limit() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(DEFAULT_MAP_COUNT)
}

/// The number of live instances that a number of mappings allows.
pub fn most_live_instances(map_count_limit: usize) -> usize {
    (map_count_limit.saturating_sub(MAPS_FOR_THE_REST) / MAPS_PER_INSTANCE).clamp(16, 50_000)
}

/// Gives out places for live instances.
pub(super) struct LiveInstances {
    places: Arc<Semaphore>,
    idle: IdleList,
    waiting: AtomicUsize,
    cap: usize,
}

impl LiveInstances {
    pub(super) fn new(cap: usize) -> LiveInstances {
        LiveInstances {
            places: Arc::new(Semaphore::new(cap)),
            idle: IdleList::default(),
            waiting: AtomicUsize::new(0),
            cap,
        }
    }

    /// A place for an instance. Takes it from the one that was idle longest, and waits only when every instance is in a
    /// turn. None when the host is gone.
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
        // One that became idle before `waiting` was raised was not given up by itself.
        self.evict_one();
        self.places.clone().acquire_owned().await.ok()
    }

    /// Drops the instance that was idle longest. False when none is idle.
    pub(super) fn evict_one(&self) -> bool {
        while let Some(activation) = self.idle.pop_oldest() {
            if activation.give_up_instance() {
                return true;
            }
        }
        false
    }

    /// Notes that an activation with an instance is idle now. Its number ends that with [`LiveInstances::busy`].
    pub(super) fn idle(&self, activation: &Arc<Activation>) -> u64 {
        self.idle.push(activation)
    }

    /// Is somebody waiting for a place? Then an instance that became idle is better dropped.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// The number of the activation that became idle last.
    pub(super) fn last_number(&self) -> u64 {
        self.idle.last_number()
    }

    /// A few of the activations that are idle with an instance, by their numbers.
    pub(super) fn some_idle(&self, numbers: RangeInclusive<u64>) -> Vec<(u64, Arc<Activation>)> {
        self.idle.some(numbers, LOOKED_AT_TOGETHER)
    }

    pub(super) fn busy(&self, number: u64) {
        self.idle.remove(number);
    }

    /// Instances that are live, and the most that may be.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.cap - self.places.available_permits(), self.cap)
    }
}

/// Counts a waiter for as long as it waits, also when its future is dropped.
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
