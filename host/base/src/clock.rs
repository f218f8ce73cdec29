//! The time by which the host decides what is due, expired or old.
//!
//! Due times and expiries outlive the process, so they are wall time. But the wall clock may be set, and a machine may
//! sleep. So [`Clock::now`] is wall time that never goes back:
//! - The wall clock jumps forward (it was set, the machine slept, a virtual machine was paused): the jump counts as
//!   passed time. Everything that became due in the meantime is due at once.
//! - The wall clock is set back: time continues from where it was, at the pace of the monotonic clock, until the wall
//!   clock has caught up. Nothing is suspended, and nothing lives longer.
//!
//! A process that starts after its clock was set back starts with the earlier time. Earlier writes may then be in the
//! future; readers bound them by the requested duration, if it is known.
//!
//! Times for people are plain wall time ([`Clock::wall`]).
//!
//! A test gives the host a clock that stands still until it is moved ([`moved`]).

mod waits;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::waits::Waits;

/// The clock of this process.
static OF_PROCESS: LazyLock<Clock> = LazyLock::new(|| {
    let started = Instant::now();
    Clock::new(move || Reading { wall: SystemTime::now(), monotonic: started.elapsed() })
});

/// A reading of the machine's two clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The time of day, which may be set.
    pub wall: SystemTime,
    /// Runs evenly from an arbitrary start, and may stop while the machine sleeps.
    pub monotonic: Duration,
}

/// Wall time that never goes back. Cheap to clone; all clones are the same clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    read: Box<dyn Fn() -> Reading + Send + Sync>,
    /// How far the wall clock was ahead of the monotonic one at most, in nanoseconds. So far time is ahead of it.
    ahead: AtomicI64,
    /// Who waits for a clock that is moved. `None` for a clock that runs by itself.
    waits: Option<Arc<Waits>>,
}

impl Clock {
    /// A clock based on two others. A thread may be interrupted between the two readings, so the wall clock is to be read
    /// first: it then looks less far ahead than it is, and not farther.
    pub fn new(read: impl Fn() -> Reading + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(Inner { read: Box::new(read), ahead: AtomicI64::new(i64::MIN), waits: None }))
    }

    /// The clock of this process: everything that decides by time must agree on it.
    pub fn of_process() -> &'static Clock {
        &OF_PROCESS
    }

    /// The time. All threads ask for it, with each call several times, so it takes no lock.
    pub fn now(&self) -> SystemTime {
        let Reading { wall, monotonic } = (self.0.read)();
        let passed = i64::try_from(monotonic.as_nanos()).ok();
        let ahead = passed.and_then(|passed| nanos_of(wall)?.checked_sub(passed));
        // Of clocks that are centuries off each reading counts for itself.
        let (Some(passed), Some(ahead)) = (passed, ahead) else { return wall };
        let mut most = self.0.ahead.load(Ordering::Acquire);
        if ahead > most {
            most = self.0.ahead.fetch_max(ahead, Ordering::AcqRel).max(ahead);
        }
        time_of(passed.saturating_add(most)).unwrap_or(wall)
    }

    /// The time of the wall clock, which may be set: for times that people read.
    pub fn wall(&self) -> SystemTime {
        (self.0.read)().wall
    }

    /// The time that has passed since an arbitrary moment, whatever the wall clock shows: for what must not end because
    /// a clock is set.
    pub fn monotonic(&self) -> Duration {
        (self.0.read)().monotonic
    }

    /// Waits until so much time has passed. A clock that is moved has to be moved on; any other one runs by itself.
    pub async fn sleep(&self, time: Duration) {
        let Some(waits) = &self.0.waits else { return tokio::time::sleep(time).await };
        let Some(end) = self.now().checked_add(time) else { return std::future::pending().await };
        let wait = waits.add(end);
        // It may have been moved in the meantime.
        waits.end(self.now());
        wait.await.ok();
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(&self) -> u64 {
        unix_ms(self.now())
    }
}

/// The time, by the clock of this process.
pub fn now() -> SystemTime {
    OF_PROCESS.now()
}

/// Converts another program's wall time to the clock of this process.
pub fn of_wall(time: SystemTime) -> SystemTime {
    let ahead = now().duration_since(SystemTime::now()).unwrap_or_default();
    time.checked_add(ahead).unwrap_or(time)
}

/// A duration in milliseconds, saturating.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970. An earlier time is 1970.
pub fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Nanoseconds since 1970, which are negative before. `None` for a time that is centuries away.
fn nanos_of(time: SystemTime) -> Option<i64> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).ok(),
        Err(before) => i64::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    }
}

fn time_of(nanos: i64) -> Option<SystemTime> {
    let span = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) }
}

/// Clocks that stand still until they are moved: those of a machine on which time passes when a test says so.
///
/// Only readers of the machine's [`Clock`] see that time: due times and expiries, and waits by that clock. Waits of tokio,
/// such as time-outs, follow real time.
pub mod moved {
    use parking_lot::Mutex;

    use super::*;

    /// The two clocks of a machine. Cheap to clone; the clones are one machine.
    #[derive(Clone)]
    pub struct Machine {
        reading: Arc<Mutex<Reading>>,
        waits: Arc<Waits>,
    }

    impl Machine {
        /// A machine on which it is so many milliseconds after 1970.
        pub fn at(unix_ms: u64) -> Machine {
            let wall = UNIX_EPOCH + Duration::from_millis(unix_ms);
            let reading = Arc::new(Mutex::new(Reading { wall, monotonic: Duration::ZERO }));
            Machine { reading, waits: Arc::default() }
        }

        /// A host's clock on it. A second one is that of a process that starts later.
        pub fn clock(&self) -> Clock {
            let Machine { reading, waits } = self.clone();
            let read = Box::new(move || *reading.lock());
            Clock(Arc::new(Inner { read, ahead: AtomicI64::new(i64::MIN), waits: Some(waits) }))
        }

        /// What its wall clock shows.
        pub fn now(&self) -> SystemTime {
            self.reading.lock().wall
        }

        /// The number of waits ([`Clock::sleep`]) that have not ended.
        pub fn waiting(&self) -> usize {
            self.waits.len()
        }

        /// When the next wait ends.
        pub fn next_wait(&self) -> Option<SystemTime> {
            self.waits.next()
        }

        /// Time passes.
        pub fn pass(&self, time: Duration) {
            self.with(|reading| {
                reading.wall += time;
                reading.monotonic += time;
            });
        }

        /// The machine sleeps, or its clock is set forward.
        pub fn sleep(&self, time: Duration) {
            self.with(|reading| reading.wall += time);
        }

        /// The clock is set back.
        pub fn set_back(&self, time: Duration) {
            self.with(|reading| reading.wall -= time);
        }

        fn with(&self, change: impl FnOnce(&mut Reading)) {
            change(&mut self.reading.lock());
            self.waits.end(self.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moved::Machine;

    const START: u64 = 1_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_goes_on_whatever_happens_to_the_wall_clock() {
        let machine = Machine::at(START);
        let clock = machine.clock();
        let passed = |clock: &Clock| clock.unix_ms() - START;
        assert_eq!(passed(&clock), 0);
        machine.pass(SECOND);
        assert_eq!(passed(&clock), 1_000);
        machine.set_back(HOUR);
        assert_eq!(passed(&clock), 1_000, "set back: nothing has passed");
        machine.pass(SECOND);
        assert_eq!(passed(&clock), 2_000, "and it does not stand still");
        machine.sleep(HOUR);
        assert_eq!(passed(&clock), 2_000, "set right again: it was no hour");
        machine.sleep(HOUR);
        assert_eq!(passed(&clock), 2_000 + millis(HOUR), "forward: it was");
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_clock_is_moved_on() {
        let machine = Machine::at(START);
        let clock = machine.clock();
        let wait = tokio::spawn(async move { clock.sleep(HOUR).await });
        while machine.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(machine.next_wait(), Some(machine.now() + HOUR));
        machine.pass(HOUR - SECOND);
        assert_eq!(machine.waiting(), 1);
        machine.pass(SECOND);
        assert_eq!((machine.waiting(), machine.next_wait()), (0, None));
        wait.await.expect("it ends");
        machine.clock().sleep(Duration::ZERO).await;
    }

    #[test]
    fn times_and_durations_that_are_too_long_are_the_longest() {
        assert_eq!(millis(Duration::MAX), u64::MAX);
        assert_eq!(unix_ms(UNIX_EPOCH - SECOND), 0);
        let last = Clock::new(|| Reading { wall: UNIX_EPOCH, monotonic: Duration::MAX });
        assert_eq!((last.unix_ms(), last.unix_ms()), (0, 0));
    }
}
