//! The turns of a version within the last window of time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use daca_runtime::component::{Counted, Counters};
use tokio::time::Instant;

/// The turns of a version within a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WindowStats {
    pub(super) turns: u64,
    pub(super) failed: u64,
}

impl WindowStats {
    fn between(before: Counted, after: Counted) -> WindowStats {
        WindowStats {
            turns: after.turns.saturating_sub(before.turns),
            failed: after.failed_turns.saturating_sub(before.failed_turns),
        }
    }

    /// Failed turns in percent; 0 if there were no turns.
    pub(super) fn percent(self) -> f64 {
        if self.turns == 0 { 0.0 } else { self.failed as f64 * 100.0 / self.turns as f64 }
    }
}

/// The samples of a version's counters over the last window.
pub(super) struct SlidingWindow {
    counters: Arc<Counters>,
    samples: VecDeque<(Instant, Counted)>,
}

impl SlidingWindow {
    pub(super) fn new(counters: Arc<Counters>, now: Instant) -> SlidingWindow {
        let samples = VecDeque::from([(now, counters.read())]);
        SlidingWindow { counters, samples }
    }

    pub(super) fn sample(&mut self, now: Instant, window: Duration) -> WindowStats {
        let counted = self.counters.read();
        self.samples.push_back((now, counted));
        // One sample from before the window is kept, as the start of the window.
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= window) {
            self.samples.pop_front();
        }
        self.samples
            .front()
            .map_or(WindowStats::default(), |(_, first)| WindowStats::between(*first, counted))
    }
}
