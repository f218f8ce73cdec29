//! When a reminder or a timer fires.

use std::time::Duration;

use crate::rt::bindings::actor::daca::agent::types;

/// When a [reminder](crate::reminders) or a [timer](crate::timers) fires.
///
/// All times count from the end of the call that registers it, in whole milliseconds; a fraction is rounded up.
///
/// ```
/// use std::time::Duration;
/// use daca_sdk::Schedule;
///
/// let once = Schedule::after(Duration::from_secs(30));
/// let hourly_for_a_day = Schedule::after(Duration::ZERO)
///     .every(Duration::from_secs(60 * 60))
///     .for_at_most(Duration::from_secs(24 * 60 * 60));
/// # assert_eq!(once.due(), Duration::from_secs(30));
/// # assert_eq!(hourly_for_a_day.period(), Some(Duration::from_secs(3600)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    due_ms: u64,
    period_ms: Option<u64>,
    ttl_ms: Option<u64>,
}

impl Schedule {
    /// Fires once, after this time; [`Duration::ZERO`] means at once.
    pub fn after(due: Duration) -> Self {
        Self { due_ms: milliseconds(due), period_ms: None, ttl_ms: None }
    }

    /// Fires repeatedly, with this time from one firing to the next. The host rejects a period of zero.
    #[must_use]
    pub fn every(self, period: Duration) -> Self {
        Self { period_ms: Some(milliseconds(period)), ..self }
    }

    /// No longer fires after this time.
    #[must_use]
    pub fn for_at_most(self, ttl: Duration) -> Self {
        Self { ttl_ms: Some(milliseconds(ttl)), ..self }
    }

    /// The time to the first firing.
    pub fn due(&self) -> Duration {
        Duration::from_millis(self.due_ms)
    }

    /// The time from one firing to the next; `None` when it fires once.
    pub fn period(&self) -> Option<Duration> {
        self.period_ms.map(Duration::from_millis)
    }

    /// The time after which it no longer fires; `None` when there is no limit.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_ms.map(Duration::from_millis)
    }
}

/// Rounded up, so that a short time never becomes zero. The maximum is half a billion years.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

impl From<Schedule> for types::Schedule {
    fn from(Schedule { due_ms, period_ms, ttl_ms }: Schedule) -> Self {
        Self { due_ms, period_ms, ttl_ms }
    }
}

impl From<types::Schedule> for Schedule {
    fn from(types::Schedule { due_ms, period_ms, ttl_ms }: types::Schedule) -> Self {
        Self { due_ms, period_ms, ttl_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_millisecond_is_not_lost() {
        let schedule = Schedule::after(Duration::ZERO).every(Duration::from_nanos(1));
        assert_eq!(schedule.due_ms, 0);
        assert_eq!(schedule.period_ms, Some(1));
        assert_eq!(milliseconds(Duration::MAX), u64::MAX);
    }
}
