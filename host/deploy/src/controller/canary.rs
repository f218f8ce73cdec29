//! Canary analysis: compares a new version's failures with those of the version that it replaces.
//!
//! Turns count themselves ([`Counters`]); the analysis reads the counters periodically, so it costs a turn nothing.

mod window;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::runtime::Version;
use crate::record::Record;
use daca_manifest::DeployRules;
use daca_runtime::component::{Counters, TrafficSplit};
use window::{SlidingWindow, WindowStats};

/// Samples within one window.
const SAMPLES: u32 = 20;
/// The minimum time between two samples.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// The versions of an agent type that are under analysis.
pub(super) struct CanaryAnalysis {
    rules: Arc<DeployRules>,
    /// The version that serves, with which a canary is compared.
    serving: SlidingWindow,
    canary: Option<AnalysedVersion>,
    /// The serving version, for a window after it has replaced another one.
    successor: Option<AnalysedVersion>,
}

/// A version that fails too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// Its digest.
    pub(super) version: String,
    /// The numbers that say so, for people.
    pub(super) reason: String,
}

impl CanaryAnalysis {
    /// Continues with the record that a host starts with. A restart does not spare a version that has just replaced
    /// another one. The previous one's counters are lost.
    pub(super) fn new<V: Version>(
        rules: Arc<DeployRules>,
        record: &Record,
        split: &TrafficSplit<V>,
    ) -> CanaryAnalysis {
        let now = Instant::now();
        let serving = split.serving.counters.clone();
        let is_young = record.served_for(&record.serving) < rules.window;
        let successor = (is_young && record.previous_version().is_some()).then(|| {
            let version = record.serving.clone();
            AnalysedVersion::successor(version, serving.clone(), WindowStats::default(), now)
        });
        let canary = split.canary.as_ref().map(|(canary, _)| {
            AnalysedVersion::canary(canary.version.digest().to_owned(), canary.counters.clone(), now)
        });
        CanaryAnalysis { rules, serving: SlidingWindow::new(serving, now), canary, successor }
    }

    /// Returns `true` if a version that fails too often is rolled back.
    pub(super) fn rolls_back(&self) -> bool {
        self.rules.rolls_back
    }

    /// The sampling interval.
    pub(super) fn interval(&self) -> Duration {
        (self.rules.window / SAMPLES).clamp(MIN_INTERVAL, MAX_INTERVAL)
    }

    /// Begins with the versions of a record that serves from now on. `before` served until now, which may be behind the
    /// record.
    pub(super) fn follow<V: Version>(&mut self, before: &str, record: &Record, split: &TrafficSplit<V>) {
        let now = Instant::now();
        let canary = split.canary.as_ref().map(|(canary, _)| canary);
        let is_it = |analysed: &AnalysedVersion| {
            canary.is_some_and(|canary| canary.version.digest() == analysed.version)
        };
        drop(self.canary.take_if(|analysed| !is_it(analysed)));
        if let (Some(canary), None) = (canary, &self.canary) {
            let version = canary.version.digest().to_owned();
            self.canary = Some(AnalysedVersion::canary(version, canary.counters.clone(), now));
        }
        if record.serving != before {
            let last_window = self.serving.sample(now, self.rules.window);
            let counters = split.serving.counters.clone();
            // Not after a rollback: its target has nothing to be compared with.
            let is_successor = record.previous_version().is_some_and(|previous| previous == before);
            self.successor = is_successor.then(|| {
                AnalysedVersion::successor(record.serving.clone(), counters.clone(), last_window, now)
            });
            self.serving = SlidingWindow::new(counters, now);
        }
    }

    /// Takes a sample of each version. Returns the canary, and then the successor, that fails too often. Called each
    /// [`interval`](CanaryAnalysis::interval).
    pub(super) fn sample(&mut self) -> (Option<Failing>, Option<Failing>) {
        let now = Instant::now();
        let serving = self.serving.sample(now, self.rules.window);
        let rules = &self.rules;
        let failing = |analysed: &mut Option<AnalysedVersion>| {
            let it = analysed.as_mut()?;
            match it.verdict(rules, serving, now) {
                Verdict::Open => None,
                Verdict::Passed => {
                    *analysed = None;
                    None
                }
                Verdict::Failing(reason) => Some(Failing { version: it.version.clone(), reason }),
            }
        };
        (failing(&mut self.canary), failing(&mut self.successor))
    }

    /// Ends the analysis of the canary.
    pub(super) fn end_canary(&mut self) {
        self.canary = None;
    }

    /// Ends the analysis of the serving version.
    pub(super) fn end_successor(&mut self) {
        self.successor = None;
    }
}

/// The result of one look at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The analysis goes on.
    Open,
    /// It has passed.
    Passed,
    /// It fails too often, for this reason.
    Failing(String),
}

/// A version under analysis.
struct AnalysedVersion {
    /// Its digest.
    version: String,
    new: SlidingWindow,
    /// The previous version's turns in the window before it was replaced; `None` while it serves beside the new one.
    replaced: Option<(WindowStats, Instant)>,
}

impl AnalysedVersion {
    /// A canary. It is analysed as long as it serves a share.
    fn canary(version: String, counters: Arc<Counters>, now: Instant) -> AnalysedVersion {
        AnalysedVersion { version, new: SlidingWindow::new(counters, now), replaced: None }
    }

    /// A version that has replaced another one, which had `before` in its last window. It is analysed for one window.
    fn successor(
        version: String,
        counters: Arc<Counters>,
        before: WindowStats,
        now: Instant,
    ) -> AnalysedVersion {
        AnalysedVersion { version, new: SlidingWindow::new(counters, now), replaced: Some((before, now)) }
    }

    /// `serving` has the turns of the serving version in the last window.
    fn verdict(&mut self, rules: &DeployRules, serving: WindowStats, now: Instant) -> Verdict {
        let new = self.new.sample(now, rules.window);
        let old = self.replaced.map_or(serving, |(before, _)| before);
        let too_many = new.percent() > old.percent() + f64::from(rules.max_error_delta);
        if new.turns >= u64::from(rules.least_turns) && new.failed > 0 && too_many {
            return Verdict::Failing(reason(rules, new, old));
        }
        let is_over =
            self.replaced.is_some_and(|(_, since)| now.saturating_duration_since(since) >= rules.window);
        if is_over { Verdict::Passed } else { Verdict::Open }
    }
}

fn reason(rules: &DeployRules, new: WindowStats, old: WindowStats) -> String {
    format!(
        "{} of {} turns failed ({:.0} %), and {} of {} of the previous version ({:.0} %); more than {} points above that are too many in a window of {:?}",
        new.failed,
        new.turns,
        new.percent(),
        old.failed,
        old.turns,
        old.percent(),
        rules.max_error_delta,
        rules.window
    )
}

#[cfg(test)]
mod tests;
