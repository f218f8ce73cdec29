//! Automatic rollback of the versions that fail too often.

use super::canary::Failing;
use super::{ChangeRequest, DeploymentController, VersionRuntime};
use crate::record::{Change, Origin, Source};
use daca_base::ErrorCode;

impl<R: VersionRuntime> DeploymentController<R> {
    /// Rolls back versions that fail too often.
    pub(super) async fn analyse(&mut self) {
        let (canary, successor) = self.analysis.sample();
        if let Some(Failing { version, reason }) = canary
            && !self.roll_back(version, reason).await
        {
            self.analysis.end_canary();
        }
        let Some(Failing { version, reason }) = successor else { return };
        let record = &self.keeper.record;
        if let Some(beside) = record.canary.as_ref().map(|canary| canary.version.clone()) {
            let text = format!("version {}, beside which it served, is rolled back", record.name(&version));
            self.roll_back(beside, text).await;
        }
        if !self.roll_back(version, reason).await {
            self.analysis.end_successor();
        }
    }

    /// Returns `true` if it is done or will be retried.
    async fn roll_back(&mut self, version: String, text: String) -> bool {
        if !self.analysis.rolls_back() {
            let (agent_type, code) = (&*self.agent_type, ErrorCode::DevNotRolledBack.as_str());
            let name = self.keeper.record.name(&version);
            tracing::warn!(agent_type, code, "{name} keeps serving, as the latest save: {text}");
            return false;
        }
        let change = Change::RollBack { force: true, text, only: Some(version.clone()) };
        let origin =
            Origin { source: Source::Host, initiated_by: "the host, by the rules in [deploy]".into() };
        let request = ChangeRequest::new(change, origin);
        let Err(error) = self.try_change(&request).await else { return true };
        let (agent_type, code) = (&*self.agent_type, error.code.as_str());
        let record = &self.keeper.record;
        let is_there = record.serving == version
            || record.canary.as_ref().is_some_and(|canary| canary.version == version);
        match error.is_retryable() {
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
