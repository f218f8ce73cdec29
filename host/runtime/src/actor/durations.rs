//! The durations of the parts of a call, for one agent type: histograms that the metrics page shows.
//!
//! Each turn adds to three of them, on every thread. Those of `prometheus-client` take a lock for each observation, so
//! these are counters instead. A reader may see an observation in a bucket before it is in the sum: pages of metrics
//! are only compared over minutes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets in microseconds: a turn without I/O takes some 0.1 ms, and a limit of the manifest
/// ends one after a minute or so.
const BOUNDS: [u64; 12] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 60_000_000];

/// The histograms of an agent type since the host started.
#[derive(Debug, Default)]
pub struct Durations {
    /// The time that a call or a wake-up waited for its turn.
    pub queue_wait: DurationHistogram,
    /// The turns that the turn counters count.
    pub turn: DurationHistogram,
    /// The start of an instance within a turn: its creation, a migration of the state, and the hook `activate`.
    pub activation: DurationHistogram,
    /// The backend's transaction of a turn that changed something, whatever its result.
    pub commit: DurationHistogram,
}

/// Durations in buckets.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// The durations of each bucket; the last one has no upper bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Their sum in nanoseconds, which is enough for 584 years.
    sum: AtomicU64,
}

/// The values of a [`DurationHistogram`] at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationCounts {
    /// For each bucket its upper bound in seconds, and the durations that are in it and in none before it. The last
    /// bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all durations in seconds.
    pub sum: f64,
}

impl DurationHistogram {
    /// Adds a duration.
    pub(super) fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < nanoseconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The values now, for the metrics page.
    pub fn read(&self) -> DurationCounts {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        DurationCounts {
            buckets: bounds.zip(counts).collect(),
            sum: self.sum.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let histogram = DurationHistogram::default();
        for micros in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let DurationCounts { buckets, sum } = histogram.read();
        let filled = buckets.iter().filter(|(_, count)| *count > 0).copied().collect::<Vec<_>>();
        assert_eq!(filled, [(0.0001, 2), (0.0005, 1), (60.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(buckets.len(), BOUNDS.len() + 1);
        assert!((sum - 120.000_202).abs() < 1e-6, "{sum}");
    }
}
