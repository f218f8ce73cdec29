//! Rate limit for log lines that others can cause as often as they like: at most one in a period, with the number of
//! omitted ones.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Limits lines of one kind.
pub(super) struct LogLimit {
    /// The minimum time between two lines.
    period: Duration,
    last: Mutex<LastLine>,
}

#[derive(Default)]
struct LastLine {
    written: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    /// At most one line in each period.
    pub(super) fn every(period: Duration) -> LogLimit {
        LogLimit { period, last: Mutex::default() }
    }

    /// At most one line a second.
    pub(super) fn every_second() -> LogLimit {
        LogLimit::every(Duration::from_secs(1))
    }

    /// Returns the number of lines omitted since the last one, if a line may be written now.
    pub(super) fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        let mut last = self.last.lock();
        if last.written.is_some_and(|written| now.duration_since(written) < self.period) {
            last.left_out += 1;
            return None;
        }
        last.written = Some(now);
        Some(std::mem::take(&mut last.left_out))
    }
}
