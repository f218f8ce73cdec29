//! How slow this machine is beside what else runs on it. What must come right within a time is given as much more of it as
//! the servers got less of the processors: a starved machine fails nothing, and a loss fails on every machine.

use std::convert::Infallible;
use std::hint::spin_loop;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::history::{History, HistoryEvent};

/// How often it is measured.
const INTERVAL: Duration = Duration::from_secs(2);
/// The processor time of a measurement: some slices of the scheduler, and a hundredth of one processor in all.
const BURST: Duration = Duration::from_millis(20);
/// Slower than this is as slow, so that every wait ends.
const SLOWEST: u32 = 400;
/// In percent of the time that the work itself would take. Less is not worth a line.
const WORTH_A_LINE: u32 = 125;

/// A clock that goes as the servers get on.
#[derive(Debug)]
pub(crate) struct Machine(Mutex<Gone>);

#[derive(Debug)]
struct Gone {
    /// The time of this clock when it was last set.
    time: Duration,
    set: Instant,
    percent: u32,
}

impl Machine {
    pub(crate) fn new() -> Machine {
        Machine(Mutex::new(Gone { time: Duration::ZERO, set: Instant::now(), percent: 100 }))
    }

    /// The time since the beginning, without that of which the servers were starved.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.lock().now()
    }

    /// Measures until it is dropped, and writes down when the machine is slow.
    pub(crate) async fn measure(&self, history: &History) -> anyhow::Result<Infallible> {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let measured = tokio::task::spawn_blocking(slowness).await.context("measuring the machine")?;
            let percent = self.note(measured);
            if percent >= WORTH_A_LINE {
                history.note(HistoryEvent::Slow { percent });
            }
        }
    }

    /// Sets the pace, and answers it. One measurement alone says little.
    fn note(&self, measured: u32) -> u32 {
        let mut gone = self.0.lock();
        let percent = u32::midpoint(gone.percent, measured.clamp(100, SLOWEST));
        *gone = Gone { time: gone.now(), set: Instant::now(), percent };
        percent
    }
}

impl Gone {
    fn now(&self) -> Duration {
        self.time + self.set.elapsed().mul_f64(100.0 / f64::from(self.percent))
    }
}

/// How long a burst of work takes, in percent of its processor time.
fn slowness() -> u32 {
    let (start, used) = (Instant::now(), thread_time());
    let longest = BURST * SLOWEST / 100;
    while thread_time().saturating_sub(used) < BURST && start.elapsed() < longest {
        (0..1_000).for_each(|_| spin_loop());
    }
    let percent = start.elapsed().as_secs_f64() / thread_time().saturating_sub(used).as_secs_f64() * 100.0;
    // A float beyond the range becomes its end.
    percent as u32
}

/// The processor time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_as_much_slower_as_the_machine_is_within_bounds() {
        let gone = |percent| {
            let set = Instant::now().checked_sub(Duration::from_secs(60)).unwrap_or_else(Instant::now);
            let before = set.elapsed();
            (Gone { time: Duration::from_secs(1), set, percent }.now().as_secs(), before)
        };
        let (quick, passed) = gone(100);
        assert!(quick > passed.as_secs());
        let (slow, _) = gone(SLOWEST);
        assert!(slow <= 1 + passed.as_secs() / 2, "{slow} of {passed:?}");
        let machine = Machine::new();
        assert_eq!((machine.note(300), machine.note(u32::MAX), machine.note(0)), (200, 300, 200));
    }

    #[test]
    fn a_burst_takes_at_least_its_processor_time() {
        assert!(slowness() >= 90);
    }
}
