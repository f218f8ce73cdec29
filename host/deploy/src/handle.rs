//! The handle of an agent type's deployment controller, which alone changes the serving versions.

use std::sync::Arc;

use daca_manifest::AgentType;
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use super::record::{Change, Changed, FileSeen, Origin, Record};
use super::shared::Shared;
use super::steward::{Command, New, View, Wanted};

/// An agent type, for its deployments.
pub(super) struct TypeHandle {
    pub(super) agent: Arc<AgentType>,
    pub(super) shared: Option<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) view: watch::Receiver<View>,
    /// The digest of the last build of `daca dev`, which the file watcher ignores.
    pub(super) built: Mutex<Option<String>>,
}

impl TypeHandle {
    pub(super) fn record(&self) -> Arc<Record> {
        self.view.borrow().record.clone()
    }

    /// Returns `true` if this content of the file was deployed, by any host.
    pub(super) fn has_taken(&self, digest: &str) -> bool {
        self.record().file.as_ref().is_some_and(|seen| seen.digest == digest && !seen.refused)
    }

    pub(super) async fn change(
        &self,
        change: Change,
        origin: Origin,
        file: Option<FileSeen>,
        base: Option<u64>,
        new: Option<New>,
    ) -> Result<(Changed, u64), Error> {
        let (answer, done) = oneshot::channel();
        self.send(Command::Change(Box::new(Wanted { change, origin, file, base, new, answer })))?;
        done.await.unwrap_or_else(|_steward_has_ended| Err(Error::shutting_down()))
    }

    /// The current record of all hosts.
    pub(super) async fn look(&self) -> Result<Arc<Record>, Error> {
        let (answer, done) = oneshot::channel();
        self.send(Command::Look(answer))?;
        done.await.unwrap_or_else(|_steward_has_ended| Err(Error::shutting_down()))
    }

    pub(super) fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Error::busy(),
            TrySendError::Closed(_) => Error::shutting_down(),
        })
    }
}
