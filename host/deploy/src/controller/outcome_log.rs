//! The lines of the log about changes that were made.

use crate::record::{ChangeOutcome, EventKind, Record};
use daca_base::ErrorCode;

/// Logs what a change did. The texts are those of the record, which keeps only printable ones.
pub(super) fn log_outcome(agent_type: &str, change: &ChangeOutcome, record: &Record) {
    let version = record.name(&change.version);
    let event = record.history.back();
    let text = event.map(|event| &*event.text).unwrap_or_default();
    match change.outcome {
        EventKind::Deployed | EventKind::Promoted => tracing::info!(agent_type, "version {version} serves"),
        EventKind::Canary => {
            tracing::info!(agent_type, "version {version} serves {} % of the actors", change.share);
        }
        EventKind::RolledBack => {
            let gone = record.name(change.previous.as_deref().unwrap_or_default());
            tracing::warn!(
                agent_type,
                code = ErrorCode::RolledBack.as_str(),
                "version {gone} is rolled back {text}"
            );
        }
        EventKind::Refused => {
            let code = event.and_then(|event| event.code.as_deref()).unwrap_or_default();
            tracing::error!(
                agent_type,
                code,
                "version {version} is refused; the previous version keeps serving: {text}"
            );
        }
        EventKind::Pinned => tracing::info!(agent_type, "{text} is pinned to version {version}"),
        EventKind::Unpinned => tracing::info!(agent_type, "{text} is no longer pinned to version {version}"),
        EventKind::Unchanged => {}
    }
}
