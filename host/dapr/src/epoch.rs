//! Ownership epochs: the periods in which this host certainly owned its actors.
//!
//! An epoch ends when the sidecar is lost, gives up this host's actors, or has not been heard of for so long that it
//! may have done so. The actors may have been active elsewhere in between, so cached knowledge of them is no longer
//! valid. The last case is detected by whoever asks, not only by the task that watches the sidecar: a stalled host may
//! serve a call before that task wakes.
//!
//! The monotonic clock stands still while the machine is suspended, and the actors may be active elsewhere when it wakes.
//! So the time is that of a [`Clock`], which counts that as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use daca_base::clock::{Clock, millis};

/// A sidecar that finds the host unhealthy hosts no actors until its next check, which is at least this much later. It
/// cannot tell the host which of them are active elsewhere in the meantime: it sends nothing to a host that it finds
/// unhealthy (`pkg/channel/http/http_channel.go`).
pub(super) const MIN_ABSENCE: Duration = Duration::from_secs(1);

/// Counts the ownership epochs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Epoch(Arc<Inner>);

struct Inner {
    number: AtomicU64,
    clock: Clock,
    start: SystemTime,
    /// When the sidecar was last checked, in milliseconds since the start, plus one; 0 before the first check.
    looked: AtomicU64,
    /// The check that was followed by too long a gap, when that was last noticed.
    missed: AtomicU64,
}

impl Default for Epoch {
    fn default() -> Epoch {
        Epoch::with_clock(Clock::of_process().clone())
    }
}

impl Epoch {
    pub(super) fn with_clock(clock: Clock) -> Epoch {
        let [number, looked, missed] = [0, 0, 0].map(AtomicU64::new);
        let start = clock.now();
        Epoch(Arc::new(Inner { number, clock, start, looked, missed }))
    }

    /// The current epoch.
    pub(super) fn now(&self) -> u64 {
        self.end_if_stale();
        self.0.number.load(Ordering::Acquire)
    }

    /// Begins a new epoch: the sidecar was lost, or gave up the actors.
    pub(super) fn begin(&self) {
        self.0.number.fetch_add(1, Ordering::Release);
    }

    /// Records a check of the sidecar. Ends the epoch if the previous check was too long ago: what happened since is
    /// unknown.
    pub(super) fn looked(&self) {
        let now = self.milliseconds();
        let before = self.0.looked.swap(now, Ordering::AcqRel);
        if is_stale(before, now) {
            self.begin();
        }
    }

    fn end_if_stale(&self) {
        let looked = self.0.looked.load(Ordering::Acquire);
        if is_stale(looked, self.milliseconds()) && self.0.missed.swap(looked, Ordering::AcqRel) != looked {
            self.begin();
        }
    }

    /// The time since the start in milliseconds, plus one.
    pub(super) fn milliseconds(&self) -> u64 {
        let passed = self.0.clock.now().duration_since(self.0.start).unwrap_or_default();
        millis(passed).saturating_add(1)
    }
}

fn is_stale(looked: u64, now: u64) -> bool {
    looked > 0 && Duration::from_millis(now.saturating_sub(looked)) > MIN_ABSENCE
}

#[cfg(test)]
mod tests {
    use daca_base::clock::moved::Machine;

    use super::*;

    const MORE_THAN_A_SECOND: Duration = Duration::from_millis(1_001);

    #[test]
    fn who_asks_after_a_standstill_is_told_of_a_new_era_before_the_sidecar_is_looked_at() {
        // The host alone stands still, or its whole machine sleeps.
        for stand_still in [Machine::pass, Machine::sleep] {
            let machine = Machine::at(1_000_000_000_000);
            let epoch = Epoch::with_clock(machine.clock());
            stand_still(&machine, MORE_THAN_A_SECOND);
            assert_eq!(epoch.now(), 0, "it was never looked at");
            epoch.looked();
            stand_still(&machine, MIN_ABSENCE);
            let first = epoch.now();
            stand_still(&machine, MORE_THAN_A_SECOND);
            let second = epoch.now();
            assert!(second > first, "nobody knows what happened meanwhile");
            assert_eq!(epoch.now(), second, "it is the same standstill");
            stand_still(&machine, MORE_THAN_A_SECOND);
            epoch.looked();
            assert!(epoch.now() > second, "it went on after somebody had asked");
        }
    }

    /// That proves nothing about the sidecar.
    #[test]
    fn a_clock_that_is_set_back_ends_no_epoch() {
        let machine = Machine::at(1_000_000_000_000);
        let epoch = Epoch::with_clock(machine.clock());
        epoch.looked();
        machine.set_back(Duration::from_secs(3_600));
        epoch.looked();
        assert_eq!(epoch.now(), 0);
        machine.pass(MORE_THAN_A_SECOND);
        assert_eq!(epoch.now(), 1, "and does not stop the time");
    }
}
