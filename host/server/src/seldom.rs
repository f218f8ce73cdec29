//! Rate limit for log lines that others can cause as often as they like: at most one a second, with the number of
//! omitted ones.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The minimum time between two lines.
const PAUSE: Duration = Duration::from_secs(1);

/// Limits lines of one kind.
#[derive(Default)]
pub(super) struct Seldom(Mutex<LastLine>);

#[derive(Default)]
struct LastLine {
    written: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Returns the number of lines omitted since the last one, if a line may be written now.
    pub(super) fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock();
        if state.written.is_some_and(|written| now.duration_since(written) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.written = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}
