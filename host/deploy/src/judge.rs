//! Canary analysis: compares a new version's failures with those of the version that it replaces.
//!
//! Turns count themselves ([`Counters`]); the analysis reads the counters periodically, so it costs a turn nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use daca_manifest::DeployRules;
use daca_runtime::component::{Counted, Counters};

/// Samples within one window.
const LOOKS: u32 = 20;
/// The minimum time between two samples.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The sampling interval.
pub(super) fn pause(window: Duration) -> Duration {
    (window / LOOKS).clamp(LEAST_PAUSE, LONGEST_PAUSE)
}

/// The turns of a version within a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    turns: u64,
    failed: u64,
}

impl Tally {
    fn between(before: Counted, after: Counted) -> Tally {
        Tally {
            turns: after.turns.saturating_sub(before.turns),
            failed: after.failed_turns.saturating_sub(before.failed_turns),
        }
    }

    /// Failed turns in percent; 0 if there were no turns.
    fn percent(self) -> f64 {
        if self.turns == 0 { 0.0 } else { self.failed as f64 * 100.0 / self.turns as f64 }
    }
}

/// The counters of a version over the last window.
pub(super) struct Watched {
    counters: Arc<Counters>,
    seen: VecDeque<(Instant, Counted)>,
}

impl Watched {
    pub(super) fn new(counters: Arc<Counters>, now: Instant) -> Watched {
        let seen = VecDeque::from([(now, counters.read())]);
        Watched { counters, seen }
    }

    pub(super) fn look(&mut self, now: Instant, window: Duration) -> Tally {
        let counted = self.counters.read();
        self.seen.push_back((now, counted));
        // One sample from before the window is kept, as the start of the window.
        while self.seen.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= window) {
            self.seen.pop_front();
        }
        self.seen.front().map_or(Tally::default(), |(_, first)| Tally::between(*first, counted))
    }
}

/// A version under analysis.
pub(super) struct Judged {
    /// Its digest.
    pub(super) version: String,
    new: Watched,
    /// The previous version's turns in the window before it was replaced; `None` while it serves beside the new one.
    replaced: Option<(Tally, Instant)>,
}

impl Judged {
    /// A canary. It is analysed as long as it serves a share.
    pub(super) fn canary(version: String, counters: Arc<Counters>, now: Instant) -> Judged {
        Judged { version, new: Watched::new(counters, now), replaced: None }
    }

    /// A version that has replaced another one, which had `before` in its last window. It is analysed for one window.
    pub(super) fn successor(version: String, counters: Arc<Counters>, before: Tally, now: Instant) -> Judged {
        Judged { version, new: Watched::new(counters, now), replaced: Some((before, now)) }
    }

    /// The reason to roll the version back, if there is one. `serving` has the turns of the serving version in the last
    /// window.
    pub(super) fn verdict(&mut self, rules: &DeployRules, serving: Tally, now: Instant) -> Option<String> {
        let new = self.new.look(now, rules.window);
        let old = self.replaced.map_or(serving, |(before, _)| before);
        let too_many = new.percent() > old.percent() + f64::from(rules.margin);
        (new.turns >= u64::from(rules.least_turns) && new.failed > 0 && too_many).then(|| {
            format!(
                "{} of {} turns failed ({:.0} %), and {} of {} of the previous version ({:.0} %); more than {} points above that are too many in a window of {:?}",
                new.failed,
                new.turns,
                new.percent(),
                old.failed,
                old.turns,
                old.percent(),
                rules.margin,
                rules.window
            )
        })
    }

    /// Returns `true` if the version has passed.
    pub(super) fn is_over(&self, rules: &DeployRules, now: Instant) -> bool {
        self.replaced.is_some_and(|(_, since)| now.saturating_duration_since(since) >= rules.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daca_manifest::CompileLimits;
    use daca_runtime::component::TurnEnd;

    const SECOND: Duration = Duration::from_secs(1);

    fn rules() -> DeployRules {
        let (signers, versions) = (Vec::new(), None);
        DeployRules {
            signers,
            window: 10 * SECOND,
            margin: 10,
            least_turns: 10,
            keep: 20,
            versions,
            versions_line: 1,
            compiling: CompileLimits { time: 30 * SECOND, memory: bytesize::ByteSize::mib(768) },
        }
    }

    fn count(counters: &Counters, well: u32, failed: u32) {
        (0..well).for_each(|_| counters.count(TurnEnd::Well));
        (0..failed).for_each(|_| counters.count(TurnEnd::Failed));
    }

    #[test]
    fn a_version_is_rolled_back_when_it_fails_more_often_than_the_margin_allows_and_not_before() {
        // Turns and failures of the new one, failures in percent of the old one, and whether it is rolled back.
        let cases = [
            (0, 9, 0, false),
            (0, 10, 0, true),
            (91, 9, 0, false),
            (89, 11, 0, true),
            (70, 30, 25, false),
            (60, 40, 25, true),
            (100, 0, 0, false),
        ];
        for (well, failed, old_percent, expected) in cases {
            let counters = Arc::new(Counters::default());
            let start = Instant::now();
            let mut judged = Judged::canary("v2".into(), counters.clone(), start);
            count(&counters, well, failed);
            let serving = Tally { turns: 100, failed: old_percent };
            let verdict = judged.verdict(&rules(), serving, start + SECOND);
            assert_eq!(verdict.is_some(), expected, "{well} well, {failed} failed: {verdict:?}");
        }
    }

    #[test]
    fn what_happened_before_the_window_counts_no_more() {
        let counters = Arc::new(Counters::default());
        let start = Instant::now();
        let mut judged = Judged::canary("v2".into(), counters.clone(), start);
        let serving = Tally { turns: 100, failed: 50 };
        count(&counters, 20, 12);
        assert_eq!(judged.verdict(&rules(), serving, start + SECOND), None);
        count(&counters, 20, 0);
        // The old one is better now, and the bad second is eleven seconds ago.
        let verdict = judged.verdict(&rules(), Tally { turns: 100, failed: 0 }, start + 12 * SECOND);
        assert_eq!(verdict, None);
    }

    #[test]
    fn a_successor_is_compared_with_its_predecessors_last_window_and_passes_after_one_window() {
        let counters = Arc::new(Counters::default());
        let start = Instant::now();
        let before = Tally { turns: 100, failed: 90 };
        let mut judged = Judged::successor("v2".into(), counters.clone(), before, start);
        count(&counters, 10, 90);
        assert_eq!(judged.verdict(&rules(), Tally::default(), start + SECOND), None);
        assert!(!judged.is_over(&rules(), start + 9 * SECOND));
        assert!(judged.is_over(&rules(), start + 10 * SECOND));
    }
}
