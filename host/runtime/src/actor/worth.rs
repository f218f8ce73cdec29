//! What an idle thing is worth: GreedyDual-Size (Cao and Irani, 1997).
//!
//! A thing's worth is what it costs to make again, for each byte that it takes, on top of the worth of what was given up
//! last. So among things that became idle together, the one that costs least for its bytes goes first; and what is not
//! used any more goes in the end, whatever it costs, because all that becomes idle later is worth more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Costs are counted in nanoseconds for so many bytes.
const PER_BYTES: u64 = 1024 * 1024;

/// The place of an idle thing in a list of them: its worth, and a number that no other one of the list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) worth: u64,
    pub(super) number: u64,
}

/// The worth of the last thing that was given up, from which new ones are counted.
#[derive(Debug, Default)]
pub(super) struct Worth {
    last_evicted: AtomicU64,
}

impl Worth {
    /// The worth of something that becomes idle now.
    pub(super) fn of(&self, cost: Duration, bytes: u64) -> u64 {
        let cost = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        let for_its_bytes = cost.saturating_mul(PER_BYTES) / bytes.max(1);
        self.last_evicted.load(Ordering::Relaxed).saturating_add(for_its_bytes)
    }

    /// Something of this worth was given up.
    pub(super) fn note_evicted(&self, worth: u64) {
        self.last_evicted.fetch_max(worth, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const RUST: (Duration, u64) = (Duration::from_micros(20), 112 * KIB);
    const JAVASCRIPT: (Duration, u64) = (Duration::from_millis(2), 2_350 * KIB);
    const PYTHON: (Duration, u64) = (Duration::from_millis(10), 6_350 * KIB);

    #[test]
    fn what_costs_least_for_its_bytes_goes_first_and_nothing_stays_for_ever() {
        let worth = Worth::default();
        let of = |(cost, bytes)| worth.of(cost, bytes);
        assert!(of(RUST) < of(JAVASCRIPT) && of(JAVASCRIPT) < of(PYTHON));
        // A Python actor that nobody calls, while JavaScript ones come and go.
        let forgotten = of(PYTHON);
        let outlived = std::iter::from_fn(|| {
            let other = of(JAVASCRIPT);
            worth.note_evicted(other);
            (other < forgotten).then_some(())
        });
        let outlived = outlived.count();
        assert!((1..100).contains(&outlived), "{outlived} generations");
    }
}
