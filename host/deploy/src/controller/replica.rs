//! This host's end of the record that all hosts of the app share.
//!
//! Without a state store the host runs standalone: it is detached, and looks for one once a minute.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::record::Record;
use crate::shared::{SharedError, SharedType};
use crate::type_folder::TypeFolder;
use daca_base::digest::short;
use daca_model::backend::{self, SharedWriteError};

/// The delay before another attempt to take over a version from another host.
const TAKEOVER_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The interval at which a host without a state store looks for one.
const REATTACH_INTERVAL: Duration = Duration::from_secs(60);

/// Why a record was not published.
pub(super) enum PublishError {
    /// Another host wrote first.
    Conflict,
    /// It could not be written, or lacks a version.
    Failed(SharedError),
}

impl From<SharedError> for PublishError {
    fn from(error: SharedError) -> PublishError {
        PublishError::Failed(error)
    }
}

impl From<backend::Error> for PublishError {
    fn from(error: backend::Error) -> PublishError {
        PublishError::Failed(error.into())
    }
}

impl From<SharedWriteError> for PublishError {
    fn from(error: SharedWriteError) -> PublishError {
        match error {
            SharedWriteError::Conflict => PublishError::Conflict,
            SharedWriteError::Failed(error) => error.into(),
        }
    }
}

/// The connection of a controller to the shared record.
pub(super) struct Replica {
    agent_type: Arc<str>,
    folder: TypeFolder,
    /// `None` on a single host, and while this one is detached.
    shared: Option<SharedType>,
    /// The shared state while there is no store for it, and the time of the last attempt.
    detached: Option<(SharedType, Instant)>,
    /// The etag of the last shared record.
    etag: Option<String>,
    /// So that an error is logged once.
    last_logged_error: Option<String>,
    /// The time of the last failed attempt to serve the record's version. The previous version keeps serving.
    failed_takeover: Option<Instant>,
}

impl Replica {
    /// `is_complete` is `false` if a version of the first record could not be loaded: other hosts may have it.
    pub(super) fn new(
        agent_type: Arc<str>,
        folder: TypeFolder,
        shared: Option<SharedType>,
        is_complete: bool,
    ) -> Replica {
        Replica {
            agent_type,
            folder,
            shared,
            detached: None,
            etag: None,
            last_logged_error: None,
            failed_takeover: (!is_complete).then(Instant::now),
        }
    }

    /// The shared state, while this host is attached to it.
    pub(super) fn shared(&self) -> Option<&SharedType> {
        self.shared.as_ref()
    }

    /// Goes on without the other hosts.
    pub(super) fn run_standalone(&mut self) {
        self.detached = self.shared.take().map(|shared| (shared, Instant::now()));
    }

    /// Attaches a detached host for one attempt, if it is time for that. Returns `true` if it was detached.
    pub(super) fn reattach_if_due(&mut self) -> bool {
        let due = self.detached.take_if(|(_, looked_at)| looked_at.elapsed() >= REATTACH_INTERVAL);
        let was_detached = due.is_some();
        self.shared = self.shared.take().or(due.map(|(shared, _)| shared));
        was_detached
    }

    /// Writes a record to the shared state, with the versions that it needs, and removes the versions that only
    /// `current` had. Does nothing without other hosts. The versions in `left_out` may be lacking.
    pub(super) async fn publish(
        &mut self,
        current: &Record,
        next: &Record,
        left_out: &BTreeSet<String>,
    ) -> Result<(), PublishError> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        for version in next.in_use() {
            self.share(&shared, &version, left_out).await?;
        }
        match shared.write(next, self.etag.as_deref()).await {
            // It may have been written, with only the answer lost.
            Err(SharedWriteError::Failed(error)) => match shared.read().await {
                Ok(Some((now, _))) if now == *next => {}
                _ => return Err(error.into()),
            },
            written => written?,
        }
        for version in current.versions.keys().filter(|version| !next.versions.contains_key(*version)) {
            if let Err(error) = shared.remove(version).await {
                tracing::warn!(agent_type = %self.agent_type, "version {} was not removed: {error}", short(version));
            }
        }
        // The next poll finds the etag; until then a change gets a conflict.
        self.etag = shared.read().await.ok().flatten().filter(|(now, _)| now == next).map(|(_, etag)| etag);
        Ok(())
    }

    /// Makes the bytes of a version available to the other hosts. Without them they could not take over the record.
    async fn share(
        &self,
        shared: &SharedType,
        version: &str,
        left_out: &BTreeSet<String>,
    ) -> Result<(), PublishError> {
        let lacking = match self.folder.load(version).await {
            Ok(Some(stored)) => {
                shared.put(version, &stored).await?;
                return Ok(());
            }
            Ok(None) => Error::version_unknown(short(version)),
            Err(error) => error,
        };
        // Another host may have stored it.
        if left_out.contains(version) || shared.has(version).await? {
            return Ok(());
        }
        Err(SharedError::VersionLacking(lacking).into())
    }

    /// Notes the etag of the record that this host has: the next change is based on it.
    pub(super) fn set_etag(&mut self, etag: Option<String>) {
        self.etag = etag;
    }

    /// Notes that the record's version cannot serve here now.
    pub(super) fn takeover_failed(&mut self) {
        self.failed_takeover = Some(Instant::now());
    }

    /// Notes that all that the record needs serves here.
    pub(super) fn takeover_done(&mut self) {
        self.failed_takeover = None;
    }

    /// Returns `true` if it is time for another attempt to serve the record's version.
    pub(super) fn is_takeover_due(&self) -> bool {
        self.failed_takeover.is_some_and(|at| at.elapsed() >= TAKEOVER_RETRY_DELAY)
    }

    /// Logs an error of the shared state, unless it is the last one again.
    pub(super) fn log_once(&mut self, error: SharedError) {
        let code = Error::from(error.clone()).code.as_str();
        let text = error.to_string();
        if self.last_logged_error.as_ref() != Some(&text) {
            tracing::error!(code, agent_type = %self.agent_type, "{text}");
            self.last_logged_error = Some(text);
        }
    }

    /// The shared state was read: its next error is logged.
    pub(super) fn clear_logged_error(&mut self) {
        self.last_logged_error = None;
    }
}
