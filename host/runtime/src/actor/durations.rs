//! The durations of the parts of a call, for one agent type: histograms that the metrics page shows.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

/// The upper bounds of the buckets in seconds: a turn without I/O takes some 0.1 ms, and a limit of the manifest ends
/// one after a minute or so.
const BUCKETS: [f64; 12] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];

/// The histograms of an agent type since the host started, in seconds.
#[derive(Debug)]
pub struct Durations {
    /// The time that a call or a wake-up waited for its turn.
    pub queue_wait: Histogram,
    /// The turns that the turn counters count.
    pub turn: Histogram,
    /// The start of an instance within a turn: its creation, a migration of the state, and the hook `activate`.
    pub activation: Histogram,
    /// The backend's transaction of a turn that changed something, whatever its result.
    pub commit: Histogram,
}

impl Durations {
    pub(super) fn new() -> Durations {
        let histogram = || Histogram::new(BUCKETS);
        Durations { queue_wait: histogram(), turn: histogram(), activation: histogram(), commit: histogram() }
    }
}

/// Adds a duration to a histogram.
pub(super) fn observe(histogram: &Histogram, duration: Duration) {
    histogram.observe(duration.as_secs_f64());
}
