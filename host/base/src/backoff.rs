//! The waits between the attempts at something that may succeed later: events, effects, reminders.
//!
//! Each of them decides itself when to stop, and what else ends a wait.

use std::time::Duration;

/// The number of doublings, after which the wait stays as it is.
const MAX_DOUBLINGS: u32 = 31;

/// Exponential backoff: each wait is twice as long as the one before, up to a maximum.
///
/// Without jitter: the manifest promises these waits, and few hosts retry against one service.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// A backoff that begins with a wait of `first`, and never waits for more than `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest }
    }

    /// A backoff without a maximum, for a bounded number of attempts.
    pub const fn unbounded(first: Duration) -> Backoff {
        Backoff::new(first, Duration::MAX)
    }

    /// The wait after an attempt that failed. The first attempt is number 1.
    pub fn after(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(MAX_DOUBLINGS);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait that overflowed would be short, and the retries a flood.
    #[test]
    fn a_wait_doubles_up_to_its_maximum() {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(2));
        let waits = [1, 2, 3, 4, u32::MAX].map(|attempt| backoff.after(attempt).as_millis());
        assert_eq!(waits, [500, 1_000, 2_000, 2_000, 2_000]);
        assert_eq!(Backoff::unbounded(Duration::MAX).after(u32::MAX), Duration::MAX);
    }
}
