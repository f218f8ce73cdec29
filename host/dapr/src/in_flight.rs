//! The number of requests that an output binding has in flight: only as many as it keeps up with.
//!
//! Effects of many actors are sent at the same time, and the sidecar would take them all at once. A binding that speaks HTTP
//! keeps two idle connections (`DefaultMaxIdleConnsPerHost` of Go's `net/http`), so further requests open connections of
//! their own, each with a TLS handshake, and close them again: several times the cost of the requests. And if the processors
//! are busy, more requests in flight are not faster.
//!
//! So a binding starts with two permits. As long as requests wait and take not much longer than the quickest did, more
//! in flight is faster, and each request that ends adds a permit. When they take longer, they only wait for each other,
//! and a permit is removed. A binding that answers after 100 ms has a hundred permits within a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The minimum number of permits of a binding.
const MIN_IN_FLIGHT: usize = 2;
/// The maximum number of permits of a binding.
const MAX_IN_FLIGHT: usize = 512;
/// How much longer than the quickest a request may take that does not wait for others.
const LONGER: u32 = 2;
/// The time for which the quickest request counts.
const REMEMBERED: Duration = Duration::from_secs(30);
/// A request that waits for this time gets an additional permit, whatever the others do: they may be waiting for
/// something that never comes.
const EXTRA_PERMIT_AFTER: Duration = Duration::from_secs(1);
/// The pause between two additional permits.
const EXTRA_PERMIT_INTERVAL: Duration = Duration::from_millis(5);

/// The bindings in use.
#[derive(Default)]
pub(super) struct InFlight {
    bindings: Mutex<HashMap<String, Arc<ConcurrencyLimit>>>,
}

impl InFlight {
    /// The permits of a binding. There are as many bindings as manifests permit.
    pub(super) fn of(&self, binding: &str) -> Arc<ConcurrencyLimit> {
        let mut bindings = self.bindings.lock();
        if let Some(places) = bindings.get(binding) {
            return places.clone();
        }
        bindings.entry(binding.to_owned()).or_default().clone()
    }
}

/// The permits of one binding.
pub(super) struct ConcurrencyLimit {
    free: Semaphore,
    size: Mutex<Size>,
}

impl Default for ConcurrencyLimit {
    fn default() -> ConcurrencyLimit {
        ConcurrencyLimit { free: Semaphore::new(MIN_IN_FLIGHT), size: Mutex::new(Size::new(Instant::now())) }
    }
}

impl ConcurrencyLimit {
    /// Waits for a permit, first in, first out.
    pub(super) async fn take(&self) -> InFlightPermit<'_> {
        if let Ok(permit) = self.free.try_acquire() {
            return self.place(Some(permit));
        }
        self.size.lock().waiting += 1;
        let _waits = Waits(self);
        let mut turn = std::pin::pin!(self.free.acquire());
        let mut wait = EXTRA_PERMIT_AFTER;
        loop {
            match tokio::time::timeout(wait, &mut turn).await {
                // It is never closed.
                Ok(permit) => return self.place(permit.ok()),
                Err(_) if self.size.lock().grow_for_long_wait(Instant::now()) => self.free.add_permits(1),
                Err(_) => wait = EXTRA_PERMIT_INTERVAL,
            }
        }
    }

    fn place<'a>(&'a self, permit: Option<SemaphorePermit<'a>>) -> InFlightPermit<'a> {
        InFlightPermit { places: self, permit, taken: Instant::now() }
    }
}

/// Counts a waiter, even if its future is dropped.
struct Waits<'a>(&'a ConcurrencyLimit);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.size.lock().waiting -= 1;
    }
}

/// A permit, from the beginning of a request to its end.
pub(super) struct InFlightPermit<'a> {
    places: &'a ConcurrencyLimit,
    permit: Option<SemaphorePermit<'a>>,
    taken: Instant,
}

impl Drop for InFlightPermit<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        match self.places.size.lock().ended(now - self.taken, now) {
            LimitChange::More => self.places.free.add_permits(1),
            LimitChange::Less => self.permit.take().into_iter().for_each(SemaphorePermit::forget),
            LimitChange::Nothing => {}
        }
    }
}

/// The number of permits.
struct Size {
    places: usize,
    waiting: usize,
    quickest: Quickest,
    /// When a permit was last added for a long wait.
    grown: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitChange {
    More,
    Less,
    Nothing,
}

impl Size {
    fn new(now: Instant) -> Size {
        Size { places: MIN_IN_FLIGHT, waiting: 0, quickest: Quickest::new(now), grown: now }
    }

    /// The consequence of a request that took this time.
    fn ended(&mut self, took: Duration, now: Instant) -> LimitChange {
        let quickest = self.quickest.with(took, now);
        let is_quick = took <= quickest * LONGER;
        if self.waiting > 0 && is_quick && self.places < MAX_IN_FLIGHT {
            self.places += 1;
            LimitChange::More
        } else if (self.waiting == 0 || !is_quick) && self.places > MIN_IN_FLIGHT {
            self.places -= 1;
            LimitChange::Less
        } else {
            LimitChange::Nothing
        }
    }

    fn grow_for_long_wait(&mut self, now: Instant) -> bool {
        let may = self.places < MAX_IN_FLIGHT && now - self.grown >= EXTRA_PERMIT_INTERVAL;
        if may {
            self.places += 1;
            self.grown = now;
        }
        may
    }
}

/// The shortest time of a recent request: of this period and of the one before it.
struct Quickest {
    before: Duration,
    now: Duration,
    since: Instant,
}

impl Quickest {
    fn new(now: Instant) -> Quickest {
        Quickest { before: Duration::MAX, now: Duration::MAX, since: now }
    }

    fn with(&mut self, took: Duration, now: Instant) -> Duration {
        if now - self.since >= REMEMBERED {
            (self.before, self.now, self.since) = (self.now, Duration::MAX, now);
        }
        self.now = self.now.min(took);
        self.now.min(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A binding that answers each request after 100 ms, whatever else is in flight, gets places; one whose requests wait for
    /// each other does not.
    #[test]
    fn places_are_for_what_is_faster_with_them() {
        let start = Instant::now();
        let mut far = Size { waiting: 1_000, ..Size::new(start) };
        for second in 0..10 {
            for _ in 0..far.places {
                far.ended(100 * MS, start + second * 100 * MS);
            }
        }
        assert_eq!(far.places, MAX_IN_FLIGHT);

        let mut busy = Size { waiting: 1_000, ..Size::new(start) };
        for number in 0..1_000 {
            let took = MS * u32::try_from(busy.places).expect("small");
            busy.ended(took, start + number * MS);
        }
        assert!(busy.places <= 5, "{}", busy.places);

        far.waiting = 0;
        while far.ended(100 * MS, start) == LimitChange::Less {}
        assert_eq!(far.places, MIN_IN_FLIGHT);
    }

    /// Nobody waits forever for those who wait forever.
    #[tokio::test]
    async fn a_binding_that_never_answers_does_not_keep_its_places_for_itself() {
        let places = ConcurrencyLimit::default();
        let (first, second) = (places.take().await, places.take().await);
        let third = tokio::time::timeout(60 * EXTRA_PERMIT_AFTER, places.take()).await;
        assert!(third.is_ok(), "it has no place");
        drop((first, second, third));
        assert_eq!(places.free.available_permits(), places.size.lock().places);
    }
}
