//! How long a guest has run by itself, without the time in which it waits for the host.
//!
//! A guest that waits suspends its future, so the guest's own time is the time spent inside `poll`. wasmtime's epoch
//! clock goes on while a guest waits, and so cannot tell the two apart; it only makes the guest look at this clock.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The running time of one turn. Written by the task that polls, read by the guest's epoch callback within that poll.
#[derive(Debug)]
pub(super) struct RunningTime {
    origin: Instant,
    /// Nanoseconds of the polls that have ended.
    used: AtomicU64,
    /// When the present poll began, in nanoseconds since the origin.
    resumed: AtomicU64,
    /// Nanoseconds.
    budget: AtomicU64,
}

impl RunningTime {
    pub(super) fn new() -> RunningTime {
        let zero = || AtomicU64::new(0);
        RunningTime { origin: Instant::now(), used: zero(), resumed: zero(), budget: zero() }
    }

    /// Begins a turn.
    pub(super) fn restart(&self, budget: Duration) {
        self.used.store(0, Ordering::Relaxed);
        self.budget.store(nanos(budget), Ordering::Relaxed);
    }

    /// Has the guest used up its time? Asked from within a poll.
    pub(super) fn is_over(&self) -> bool {
        let this_poll = self.now().saturating_sub(self.resumed.load(Ordering::Relaxed));
        self.used.load(Ordering::Relaxed).saturating_add(this_poll) > self.budget.load(Ordering::Relaxed)
    }

    /// Runs a guest's future and counts the time of its polls.
    pub(super) async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let resumed = self.now();
            self.resumed.store(resumed, Ordering::Relaxed);
            let poll = future.as_mut().poll(context);
            self.used.fetch_add(self.now().saturating_sub(resumed), Ordering::Relaxed);
            poll
        })
        .await
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
