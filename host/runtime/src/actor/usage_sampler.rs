//! Looks at all actors, for clients that ask repeatedly what actors use (`daca top`): each look finds the use since an
//! earlier look.
//!
//! An answer shows only a few of the actors, so a client cannot compute by itself what the actors of its next answer
//! have used in between. Several clients may ask, at any time. So the host keeps the moments of the last two looks that
//! are at least [`INTERVAL`] apart, and each activation its totals at these. The cost is the looker's: a turn only adds
//! to its counters.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

/// The least time for which a look says what was used.
const INTERVAL: Duration = Duration::from_secs(1);

/// What an activation has used.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    /// Nanoseconds of a processor.
    pub(super) processor: u64,
    pub(super) turns: u64,
    /// Bytes of the log.
    pub(super) logged: u64,
}

impl Totals {
    fn since(self, before: Totals) -> Totals {
        Totals {
            processor: self.processor.saturating_sub(before.processor),
            turns: self.turns.saturating_sub(before.turns),
            logged: self.logged.saturating_sub(before.logged),
        }
    }
}

/// The totals of an activation at the last two looks. One that has begun since then had used nothing.
#[derive(Debug, Default)]
pub(super) struct PastTotals {
    last: Totals,
    earlier: Totals,
}

impl PastTotals {
    /// What was used since the earlier look, now that the totals are these.
    pub(super) fn look(&mut self, look: &Look<'_>, now: Totals) -> Totals {
        if look.is_kept {
            self.earlier = std::mem::replace(&mut self.last, now);
        }
        now.since(self.earlier)
    }
}

/// The moments of the last two looks, since an arbitrary one.
#[derive(Debug, Default)]
pub(super) struct UsageSampler(Mutex<Moments>);

#[derive(Debug, Default)]
struct Moments {
    last: Duration,
    earlier: Duration,
}

impl UsageSampler {
    /// Begins a look. No other one begins before it ends.
    pub(super) fn begin(&self, now: Duration) -> Look<'_> {
        let mut moments = self.0.lock();
        let is_kept = now.saturating_sub(moments.last) >= INTERVAL;
        if is_kept {
            moments.earlier = std::mem::replace(&mut moments.last, now);
        }
        Look { since: moments.earlier, is_kept, _moments: moments }
    }
}

/// A look at all actors, each once.
#[derive(Debug)]
pub(super) struct Look<'a> {
    /// The moment of the look that it compares with.
    pub(super) since: Duration,
    /// Later ones compare with this one.
    is_kept: bool,
    _moments: MutexGuard<'a, Moments>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moment since which a look counts, and the processor time, of an actor that has had as many milliseconds as have
    /// passed.
    fn at(sampler: &UsageSampler, past: &mut PastTotals, ms: u64) -> (u64, u64) {
        let look = sampler.begin(Duration::from_millis(ms));
        let used = past.look(&look, Totals { processor: ms, ..Totals::default() });
        (u64::try_from(look.since.as_millis()).expect("a small number"), used.processor)
    }

    #[test]
    fn a_look_finds_what_was_used_in_the_last_second_or_more_however_many_look() {
        let (sampler, mut past) = (UsageSampler::default(), PastTotals::default());
        assert_eq!(at(&sampler, &mut past, 5_000), (0, 5_000));
        assert_eq!(at(&sampler, &mut past, 5_900), (0, 5_900), "a second has not passed since the last one");
        assert_eq!(at(&sampler, &mut past, 6_000), (5_000, 1_000));
        assert_eq!(at(&sampler, &mut past, 6_001), (5_000, 1_001));
        assert_eq!(at(&sampler, &mut past, 9_000), (6_000, 3_000));
        // It has begun since then.
        assert_eq!(at(&sampler, &mut PastTotals::default(), 9_500), (6_000, 9_500));
    }
}
