//! How long the whole process did not run: it was stopped, or its part of a processor was used up.
//!
//! The thread that ticks for the guests wakes every few milliseconds. When it wakes much too late, then so did everybody else, and
//! a turn that was to end by the clock meanwhile has not had the time that its deadline stands for. A machine that sleeps needs
//! none of this: the monotonic clock sleeps with it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How late the thread must be. On a machine that is merely busy it is some ten milliseconds late.
const NOTABLE: Duration = Duration::from_millis(50);

/// Sums up the time in which the process did not run.
#[derive(Debug)]
pub(super) struct Stalls {
    /// Between two ticks.
    period: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    tick: Instant,
    total: Duration,
}

impl Stalls {
    pub(super) fn new(period: Duration) -> Stalls {
        Stalls { period, seen: Mutex::new(Seen { tick: Instant::now(), total: Duration::ZERO }) }
    }

    /// Called by the thread that ticks.
    pub(super) fn tick(&self) {
        let mut seen = self.seen();
        let now = Instant::now();
        let late = self.late(&seen, now);
        seen.total += late;
        seen.tick = now;
    }

    /// All stalls until now, also one from which the thread that ticks has not yet awoken.
    pub(super) fn total(&self) -> Duration {
        let seen = self.seen();
        seen.total + self.late(&seen, Instant::now())
    }

    fn late(&self, seen: &Seen, now: Instant) -> Duration {
        let late = now.saturating_duration_since(seen.tick).saturating_sub(self.period);
        if late < NOTABLE { Duration::ZERO } else { late }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
