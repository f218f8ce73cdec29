//! What it costs to make an instance of a version again: the reason to keep one, or not to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The part of the known cost by which a larger one raises it.
const RISE: u64 = 16;
/// Up to this, an instance is cheap: to make it again costs little beside the rest of a turn. It is 0.02 ms for Rust,
/// 2 ms for JavaScript, and 5 ms or more for Python.
const CHEAP: Duration = Duration::from_micros(200);

/// The measured cost of the activations of a version.
///
/// What counts is its processor time: to wait for the store is no cost of the instance, since an actor keeps its state
/// when its instance is dropped. Even that differs, by what the caches have. So the shortest one counts, and longer ones
/// raise it slowly, in case that the cost has changed.
#[derive(Debug, Default)]
pub struct ActivationCost {
    /// Nanoseconds; 0 is unknown.
    nanoseconds: AtomicU64,
}

impl ActivationCost {
    /// Notes the processor time of an activation.
    pub(super) fn observe(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let known = self.nanoseconds.load(Ordering::Relaxed);
        let raised = known.saturating_add(known / RISE + 1);
        let cost = if known == 0 { took } else { took.min(raised) };
        // Another thread may note one at the same time, and either may be lost.
        self.nanoseconds.store(cost, Ordering::Relaxed);
    }

    /// The cost. Zero before the first activation.
    pub fn read(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    /// Returns `true` if an instance can be made again whenever it is needed.
    pub fn is_cheap(&self) -> bool {
        self.read() <= CHEAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_waits_hardly_changes_the_cost() {
        let cost = ActivationCost::default();
        cost.observe(Duration::from_millis(10));
        assert!(!cost.is_cheap(), "the first one counts as it is");
        cost.observe(Duration::from_micros(30));
        assert_eq!(cost.read(), Duration::from_micros(30));
        cost.observe(Duration::from_secs(1));
        assert!(cost.read() < Duration::from_micros(33) && cost.is_cheap());
        for _ in 0..60 {
            cost.observe(Duration::from_millis(5));
        }
        assert!(!cost.is_cheap(), "what has become dear is found out");
        assert!(cost.read() <= Duration::from_millis(5));
    }
}
