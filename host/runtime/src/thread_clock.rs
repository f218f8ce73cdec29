//! The processor time of the calling thread.
//!
//! Reading it is a system call, which may cost more than a small turn's whole share of it. The monotonic clock costs
//! almost nothing, and never shows less. So a stretch of work that is short by the monotonic clock counts with that
//! time. And a stretch begins with the last known value of the thread's clock, which is only a moment old, so at most
//! that moment is counted too much.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A moment: how old the reading of a thread's clock may be, and how long a stretch may be that counts by the monotonic
/// clock.
pub(crate) const MOMENT: Duration = Duration::from_millis(2);

/// Nanoseconds of a processor that the calling thread has had.
pub(crate) fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// The same as it was now or up to a moment ago.
pub(crate) fn thread_time_lately(now: Instant) -> u64 {
    thread_local! {
        static READ: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
    }
    match READ.get() {
        Some((at, time)) if now.saturating_duration_since(at) < MOMENT => time,
        _ => {
            let time = thread_time();
            READ.set(Some((now, time)));
            time
        }
    }
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A stretch of work of the calling thread.
#[derive(Debug)]
pub(crate) struct Stretch {
    began: Instant,
    /// The thread's clock then, or up to a moment before.
    thread: u64,
}

impl Stretch {
    /// Begins it now.
    pub(crate) fn begin(now: Instant) -> Stretch {
        Stretch { began: now, thread: thread_time_lately(now) }
    }

    /// Nanoseconds of a processor that the thread has had since then, until now. Called on the same thread.
    pub(crate) fn ran(&self, now: Instant) -> u64 {
        let by_the_clock = nanos(now.saturating_duration_since(self.began));
        if by_the_clock <= nanos(MOMENT) {
            return by_the_clock;
        }
        thread_time().saturating_sub(self.thread).min(by_the_clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_uses_no_time() {
        let stretch = Stretch::begin(Instant::now());
        std::thread::sleep(Duration::from_millis(200));
        assert!(stretch.ran(Instant::now()) < nanos(Duration::from_millis(100)), "{stretch:?}");
    }
}
