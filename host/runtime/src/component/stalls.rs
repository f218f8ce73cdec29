//! Stalls: the time for which the whole process did not run, because it was stopped or its share of a processor was
//! used up.
//!
//! The thread that ticks for the guests wakes every few milliseconds. If it wakes much too late, so did all other
//! threads, and a turn with a deadline in between did not get its full time. A sleeping machine is not a problem:
//! the monotonic clock sleeps with it.

use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

/// The minimum delay that counts as a stall. On a merely busy machine the thread is about ten milliseconds late.
const NOTABLE: Duration = Duration::from_millis(50);

/// Sums up the stalls.
#[derive(Debug)]
pub(super) struct Stalls {
    /// The time between two ticks.
    period: Duration,
    seen: Mutex<LastTick>,
}

#[derive(Debug)]
struct LastTick {
    tick: Instant,
    total: Duration,
}

impl Stalls {
    pub(super) fn new(period: Duration) -> Stalls {
        Stalls { period, seen: Mutex::new(LastTick { tick: Instant::now(), total: Duration::ZERO }) }
    }

    /// Called by the ticking thread.
    pub(super) fn tick(&self) {
        let mut seen = self.seen();
        let now = Instant::now();
        let late = self.late(&seen, now);
        seen.total += late;
        seen.tick = now;
    }

    /// The sum of all stalls until now, including one from which the ticking thread has not woken yet.
    pub(super) fn total(&self) -> Duration {
        let seen = self.seen();
        seen.total + self.late(&seen, Instant::now())
    }

    fn late(&self, seen: &LastTick, now: Instant) -> Duration {
        let late = now.saturating_duration_since(seen.tick).saturating_sub(self.period);
        if late < NOTABLE { Duration::ZERO } else { late }
    }

    fn seen(&self) -> MutexGuard<'_, LastTick> {
        self.seen.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_tick_is_counted_once_before_and_after_it_comes() {
        let stalls = Stalls::new(Duration::from_millis(5));
        std::thread::sleep(Duration::from_millis(200));
        let before = stalls.total();
        assert!(before >= Duration::from_millis(195), "{before:?}");
        stalls.tick();
        let after = stalls.total();
        assert!(after >= before, "{after:?} after {before:?}");
        stalls.tick();
        assert!(stalls.total() < after + before, "counted twice");
    }
}
