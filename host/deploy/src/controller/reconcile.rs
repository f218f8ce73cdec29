//! Reconciliation with the other hosts of the app: all have the same record, in the state that they share.

use std::sync::Arc;

use super::{DeploymentController, PublishError, VersionRuntime};
use crate::Error;
use crate::record::Record;
use crate::shared::SharedError;
use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_base::telemetry::printable;
use daca_model::backend;
use daca_runtime::component::TrafficSplit;

impl<R: VersionRuntime> DeploymentController<R> {
    /// Looks for changes of other hosts.
    pub(super) async fn poll_shared(&mut self) {
        let was_detached = self.replica.reattach_if_due();
        if self.replica.shared().is_none() {
            return;
        }
        match self.reconcile().await {
            Ok(()) => {
                if was_detached {
                    tracing::info!(agent_type = %self.agent_type, "deployments reach all hosts again");
                }
                self.replica.clear_logged_error();
                if !self.is_synced() {
                    self.mark_synced();
                }
            }
            // There is a state store, so the host stays attached. What it has keeps serving, and nothing is changed
            // here.
            Err(error @ (SharedError::TooNew(_) | SharedError::VersionLacking(_))) => {
                self.replica.log_once(error);
                if !self.is_synced() {
                    self.mark_synced();
                }
            }
            Err(_) if was_detached => self.replica.run_standalone(),
            Err(error) if error.is_retryable() => {
                tracing::debug!(agent_type = %self.agent_type, "{error}");
            }
            Err(error) if !self.is_synced() => {
                tracing::warn!(
                    code = ErrorCode::SharedStateMissing.as_str(),
                    agent_type = %self.agent_type,
                    "deployments reach only this host, because the hosts share no state: {error}. Name a state store that they share in the manifest."
                );
                self.replica.run_standalone();
                self.mark_synced();
            }
            Err(error) => self.replica.log_once(error),
        }
    }

    /// Takes over the shared record; if there is none, publishes this host's record.
    pub(super) async fn reconcile(&mut self) -> Result<(), SharedError> {
        let Some(shared) = self.replica.shared().cloned() else { return Ok(()) };
        let Some((record, etag)) = shared.read().await? else {
            self.replica.set_etag(None);
            let record = self.keeper.record.clone();
            return match self.replica.publish(&record, &record, &self.versions.left_out).await {
                // Another host was faster: the next poll finds its record.
                Ok(()) | Err(PublishError::Conflict) => Ok(()),
                Err(PublishError::Failed(error)) => Err(error),
            };
        };
        // The etag does not tell whether the record is the same: one that was lost and written again may get an earlier
        // etag.
        let is_new = record != *self.keeper.record;
        if is_new || self.replica.is_takeover_due() {
            self.versions.enable_schema_check(record.first_label.as_deref());
            match self.versions.split(&record, Some(&shared)).await {
                Ok(split) => self.take_over(record, split).await,
                // Its bytes cannot be read now.
                Err(error) if error.is_retryable() => {
                    return Err(backend::Error::Unavailable(error.message).into());
                }
                Err(error) => self.keep_serving(record, &error),
            }
        }
        self.replica.set_etag(Some(etag));
        Ok(())
    }

    async fn take_over(&mut self, record: Record, split: TrafficSplit<R::Version>) {
        let current = &self.keeper.record;
        if record.serving != current.serving || record.canary != current.canary {
            tracing::info!(
                agent_type = %self.agent_type,
                "version {} serves, as another host has it{}",
                record.name(&record.serving),
                record.canary.as_ref().map_or(String::new(), |canary| {
                    format!("; version {} serves {} % of the actors", short(&canary.version), canary.share)
                })
            );
        }
        let file_here = self.keeper.file_here.clone();
        if let Err(error) = self.keeper.write(&record, file_here).await {
            tracing::error!(code = error.code.as_str(), agent_type = %self.agent_type, "{}", error.message);
        }
        self.serve(record, split).await;
    }

    /// Keeps the versions that serve here, because that of a record cannot. Changes are based on the record all the
    /// same: a rollback may lead to a version that this host has.
    fn keep_serving(&mut self, record: Record, error: &Error) {
        tracing::error!(
            code = error.code.as_str(),
            agent_type = %self.agent_type,
            "the version that another host deployed cannot serve here: {}",
            printable(&error.message)
        );
        self.replica.takeover_failed();
        self.keeper.record = Arc::new(record);
        self.show();
    }
}
