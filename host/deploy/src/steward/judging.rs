//! Automatic rollback: the versions under canary analysis, and the handling of a verdict.

use tokio::time::Instant;

use super::Steward;
use crate::judge::{Judged, Tally, Watched};
use crate::record::{Change, Origin, Record, Source};
use daca_runtime::component::Rollout;

impl Steward {
    pub(super) fn begin_to_judge(&mut self, next: &Record, rollout: &Rollout) {
        let now = Instant::now();
        // The version of the turns, which may be behind the record.
        let before = self.serving.now().serving.version.digest.clone();
        let window = self.preparation.rules.window;
        let canary = rollout.canary.as_ref().map(|(canary, _)| canary);
        let is_it = |judged: &Judged| canary.is_some_and(|canary| canary.version.digest == judged.version);
        drop(self.judged_canary.take_if(|judged| !is_it(judged)));
        if let (Some(canary), None) = (canary, &self.judged_canary) {
            let version = canary.version.digest.clone();
            self.judged_canary = Some(Judged::canary(version, canary.counters.clone(), now));
        }
        if next.serving != before {
            let tally = self.watched.look(now, window);
            let counters = rollout.serving.counters.clone();
            // Not after a rollback: its target has nothing to be compared with.
            self.judged_serving = (next.version_before() == Some(&before))
                .then(|| Judged::successor(next.serving.clone(), counters, tally, now));
        }
        if next.serving != before {
            self.watched = Watched::new(rollout.serving.counters.clone(), now);
        }
    }

    /// Rolls back versions that fail too often.
    pub(super) async fn judge(&mut self) {
        let rules = self.preparation.rules.clone();
        let now = Instant::now();
        let tally: Tally = self.watched.look(now, rules.window);
        let verdict = |judged: &mut Option<Judged>| {
            let it = judged.as_mut()?;
            let found = it.verdict(&rules, tally, now).map(|text| (it.version.clone(), text));
            if found.is_none() && it.is_over(&rules, now) {
                *judged = None;
            }
            found
        };
        let canary = verdict(&mut self.judged_canary);
        let serving = verdict(&mut self.judged_serving);
        if let Some((version, text)) = canary
            && !self.roll_back(version, text).await
        {
            self.judged_canary = None;
        }
        let Some((version, text)) = serving else { return };
        if let Some(beside) = self.record.canary.as_ref().map(|canary| canary.version.clone()) {
            let text =
                format!("version {}, beside which it served, is rolled back", self.record.name(&version));
            self.roll_back(beside, text).await;
        }
        if !self.roll_back(version, text).await {
            self.judged_serving = None;
        }
    }

    /// Returns `true` if it is done or will be retried.
    async fn roll_back(&mut self, version: String, text: String) -> bool {
        let change = Change::RollBack { force: true, text, only: Some(version.clone()) };
        let origin = Origin { source: Source::Host, by: "the host, by the rules in [deploy]".into() };
        let Err(error) = self.change(change, &origin, None, None, None).await else { return true };
        let (agent_type, code) = (&*self.agent.name, error.code.as_str());
        let is_there = self.record.serving == version
            || self.record.canary.as_ref().is_some_and(|canary| canary.version == version);
        match error.is_passing() {
            true if is_there => {
                tracing::warn!(agent_type, code, "it is rolled back later: {}", error.message);
                true
            }
            // Of several hosts with the same verdict, one is the first.
            _ if !is_there => {
                tracing::debug!(agent_type, code, "it was not rolled back: {}", error.message);
                false
            }
            _ => {
                tracing::error!(agent_type, code, "it was not rolled back: {}", error.message);
                false
            }
        }
    }
}
