//! The time that a guest itself has run: without the time in which it waits for the host, and without the time in which its
//! thread did not run. It is not the guest's fault if the process is stopped or gets little of a processor.
//!
//! A guest that waits suspends its future, so the guest's own time is the time spent inside `poll`. wasmtime's epoch clock
//! continues while a guest waits, so it cannot tell the two apart; it only makes the guest check this clock.
//!
//! Within a poll, the thread's processor time counts, as [`crate::thread_clock`] measures it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::thread_clock::{MOMENT, nanos, thread_time, thread_time_lately};

/// The running time of one turn. Written by the task that polls, read by the guest's epoch callback within that poll.
#[derive(Debug)]
pub(super) struct RunningTime {
    origin: Instant,
    /// Nanoseconds of the polls that have ended.
    used: AtomicU64,
    /// When the present poll began, in nanoseconds since the origin.
    resumed: AtomicU64,
    /// The time of its thread's clock then, or up to a moment before, in nanoseconds.
    resumed_at: AtomicU64,
    /// Nanoseconds.
    budget: AtomicU64,
}

impl RunningTime {
    pub(super) fn new() -> RunningTime {
        let zero = || AtomicU64::new(0);
        RunningTime {
            origin: Instant::now(),
            used: zero(),
            resumed: zero(),
            resumed_at: zero(),
            budget: zero(),
        }
    }

    /// Begins a turn.
    pub(super) fn restart(&self, budget: Duration) {
        self.used.store(0, Ordering::Relaxed);
        self.budget.store(nanos(budget), Ordering::Relaxed);
    }

    /// Returns `true` if the guest has used up its time. Called within a poll.
    pub(super) fn is_over(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        let budget = self.budget.load(Ordering::Relaxed);
        let by_the_clock = self.since_resumed();
        used.saturating_add(by_the_clock) > budget && used.saturating_add(self.ran(by_the_clock)) > budget
    }

    /// What the turn has used so far. Called within a poll.
    pub(super) fn so_far(&self) -> Duration {
        let ran = self.ran_in_poll(self.since_resumed());
        Duration::from_nanos(self.used.load(Ordering::Relaxed).saturating_add(ran))
    }

    /// Runs a guest's future and counts the time of its polls.
    pub(super) async fn measure<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            self.resume();
            let poll = future.as_mut().poll(context);
            self.used.fetch_add(self.ran_in_poll(self.since_resumed()), Ordering::Relaxed);
            poll
        })
        .await
    }

    fn resume(&self) {
        let now = Instant::now();
        self.resumed_at.store(thread_time_lately(now), Ordering::Relaxed);
        self.resumed.store(nanos(now.saturating_duration_since(self.origin)), Ordering::Relaxed);
    }

    fn since_resumed(&self) -> u64 {
        nanos(self.origin.elapsed()).saturating_sub(self.resumed.load(Ordering::Relaxed))
    }

    /// The same, without a look at the thread's clock if the poll is short.
    fn ran_in_poll(&self, by_the_clock: u64) -> u64 {
        if by_the_clock > nanos(MOMENT) { self.ran(by_the_clock) } else { by_the_clock }
    }

    /// Nanoseconds for which the thread has run in the present poll, which is so long by the clock.
    fn ran(&self, by_the_clock: u64) -> u64 {
        thread_time().saturating_sub(self.resumed_at.load(Ordering::Relaxed)).min(by_the_clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses the processor for so long.
    fn work(time: Duration) {
        let until = thread_time() + nanos(time);
        while thread_time() < until {
            std::hint::black_box(0);
        }
    }

    #[tokio::test]
    async fn a_thread_that_does_not_run_uses_no_time_and_one_that_does_uses_it_up() {
        let time = RunningTime::new();
        time.restart(Duration::from_millis(100));
        // A thread that sleeps within a poll stands for one that is stopped: the scheduler leaves it out.
        time.measure(async {
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(200));
                assert!(!time.is_over());
            }
        })
        .await;
        time.measure(async { work(Duration::from_millis(60)) }).await;
        time.measure(async {
            assert!(!time.is_over(), "60 ms of 100 were used");
            work(Duration::from_millis(60));
            assert!(time.is_over(), "120 ms of 100 were used");
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_used_so_far_is_known_within_a_poll_and_waits_are_no_part_of_it() {
        let time = RunningTime::new();
        time.restart(Duration::from_secs(1));
        time.measure(async { work(Duration::from_millis(30)) }).await;
        time.measure(async {
            std::thread::sleep(Duration::from_millis(200));
            work(Duration::from_millis(30));
            let so_far = time.so_far();
            assert!(so_far >= Duration::from_millis(60) && so_far < Duration::from_millis(200), "{so_far:?}");
        })
        .await;
    }

    #[tokio::test]
    async fn many_short_polls_add_up() {
        let time = RunningTime::new();
        time.restart(Duration::from_millis(20));
        for _ in 0..50 {
            time.measure(async { work(Duration::from_millis(1)) }).await;
        }
        time.measure(async { assert!(time.is_over(), "50 ms of 20 were used") }).await;
    }
}
