//! Agreement with the other hosts of the app: all have the same record, in the state that they share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Steward;
use crate::record::Record;
use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_model::backend::{self, SharedWriteError};
use daca_runtime::component::Rollout;

/// The delay before another attempt to take over a version from another host.
const TAKE_OVER_AGAIN: Duration = Duration::from_secs(5);
/// The interval at which a host without a state store looks for one.
const LOOK_FOR_STORE: Duration = Duration::from_secs(60);

impl Steward {
    /// Writes a record to the shared state, with the versions that it needs.
    pub(super) async fn publish(&mut self, record: &Record) -> Result<(), SharedWriteError> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        for version in record.in_use() {
            if let Ok(Some(stored)) = self.load_own(&version).await {
                shared.put(&version, &stored).await?;
            }
        }
        match shared.write(record, self.etag.as_deref()).await {
            // It may have been written, with only the answer lost.
            Err(SharedWriteError::Failed(error)) => match shared.read().await {
                Ok(Some((now, _))) if now == *record => {}
                _ => return Err(error.into()),
            },
            written => written?,
        }
        for version in self.record.versions.keys().filter(|version| !record.versions.contains_key(*version)) {
            if let Err(error) = shared.remove(version).await {
                tracing::warn!(agent_type = %self.agent.name, "version {} was not removed: {error}", short(version));
            }
        }
        // The next poll finds the etag; until then a change gets a conflict.
        self.etag = shared.read().await.ok().flatten().filter(|(now, _)| now == record).map(|(_, etag)| etag);
        Ok(())
    }

    pub(super) async fn look_at_shared(&mut self) {
        let absent = self.absent.take_if(|(_, looked_at)| looked_at.elapsed() >= LOOK_FOR_STORE);
        let was_absent = absent.is_some();
        self.shared = self.shared.take().or(absent.map(|(shared, _)| shared));
        if self.shared.is_none() {
            return;
        }
        let is_settled = self.view.borrow().is_settled;
        match self.agree().await {
            Ok(()) => {
                if was_absent {
                    tracing::info!(agent_type = %self.agent.name, "deployments reach all hosts again");
                }
                self.complaint = None;
                if !is_settled {
                    self.settled();
                }
            }
            Err(_still_none) if was_absent => self.go_alone(),
            Err(error) if error.is_passing() => tracing::debug!(agent_type = %self.agent.name, "{error}"),
            Err(error) if !is_settled => {
                tracing::warn!(
                    code = ErrorCode::SharedStateMissing.as_str(),
                    agent_type = %self.agent.name,
                    "deployments reach only this host, because the hosts share no state: {error}. Name a state store of the sidecar as state-store in [dapr]."
                );
                self.go_alone();
                self.settled();
            }
            Err(error) if self.complaint.as_ref() != Some(&error.to_string()) => {
                tracing::error!(code = ErrorCode::SharedStateUnavailable.as_str(), agent_type = %self.agent.name, "{error}");
                self.complaint = Some(error.to_string());
            }
            Err(_said_already) => {}
        }
    }

    fn go_alone(&mut self) {
        self.absent = self.shared.take().map(|shared| (shared, Instant::now()));
    }

    /// Takes over the shared record; if there is none, publishes this host's record.
    pub(super) async fn agree(&mut self) -> Result<(), backend::Error> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        let Some((record, etag)) = shared.read().await? else {
            self.etag = None;
            let record = self.record.clone();
            return match self.publish(&record).await {
                // Another host was faster: the next poll finds its record.
                Ok(()) | Err(SharedWriteError::Conflict) => Ok(()),
                Err(SharedWriteError::Failed(error)) => Err(error),
            };
        };
        // The etag does not tell whether the record is the same: one that was lost and written again may get an earlier
        // etag.
        let is_new = record != *self.record;
        let is_time = self.not_taken_over.is_some_and(|at| at.elapsed() >= TAKE_OVER_AGAIN);
        if is_new || is_time {
            self.mind_shape(record.first_label.as_deref());
            match self.rollout(&record).await {
                Ok(rollout) => self.take_over(record, rollout).await,
                // Its bytes cannot be read now.
                Err(error) if error.is_passing() => return Err(backend::Error::Unavailable(error.message)),
                Err(error) => {
                    tracing::error!(
                        code = error.code.as_str(),
                        agent_type = %self.agent.name,
                        "the version that another host deployed cannot serve here: {}",
                        error.message
                    );
                    self.not_taken_over = Some(Instant::now());
                    // Changes are based on it all the same: a rollback may lead to a version that this host has.
                    self.record = Arc::new(record);
                    self.show();
                }
            }
        }
        self.etag = Some(etag);
        Ok(())
    }

    /// Has turns check the schema of state from now on. A version that others have and this host lacks may migrate
    /// actors that move here later; the version here must not mistake their state for an empty one.
    fn mind_shape(&self, first_label: Option<&str>) {
        let now = self.serving.now();
        let (Some(first_label), None) = (first_label, &now.first_label) else { return };
        self.serving.replace(Rollout { first_label: Some(first_label.into()), ..Rollout::clone(&now) });
    }

    async fn take_over(&mut self, record: Record, rollout: Rollout) {
        if record.serving != self.record.serving || record.canary != self.record.canary {
            tracing::info!(
                agent_type = %self.agent.name,
                "version {} serves, as another host has it{}",
                record.name(&record.serving),
                record.canary.as_ref().map_or(String::new(), |canary| {
                    format!("; version {} serves {} % of the actors", short(&canary.version), canary.share)
                })
            );
        }
        if let Err(error) = self.keep(&record, self.file_here.clone()).await {
            tracing::error!(code = error.code.as_str(), agent_type = %self.agent.name, "{}", error.message);
        }
        self.serve(record, rollout).await;
    }
}
