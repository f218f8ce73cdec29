//! The handle of a deployment controller. It hides the channels between the controller and all others.

use std::collections::BTreeMap;
use std::sync::Arc;

use daca_runtime::component::{ComponentVersion, Counted, Counters};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Error;
use crate::library::Stored;
use crate::record::{Change, ChangeOutcome, FileSeen, Origin, Record};

/// Changes that wait for a deployment controller.
const MAX_COMMANDS: usize = 64;

/// A command for a deployment controller.
pub(super) enum ControllerCommand<V> {
    /// Returns the current record of all hosts, so that a change can be based on it.
    Look(oneshot::Sender<Result<Arc<Record>, Error>>),
    /// Makes a change.
    Change(Box<ChangeRequest<V>>, oneshot::Sender<Result<AppliedChange, Error>>),
}

/// A change that a deployment controller is asked for.
pub(crate) struct ChangeRequest<V = ComponentVersion> {
    pub(crate) change: Change,
    pub(crate) origin: Origin,
    /// The content of the manifest's file, if the change comes from there.
    pub(crate) file: Option<FileSeen>,
    /// The revision that the change is based on: it fails if another one was faster. `None` accepts any revision.
    pub(crate) base: Option<u64>,
    /// The new version, if there is one.
    pub(crate) new: Option<NewVersion<V>>,
    /// The bytes of a version that serves already, with its digest: its file may be missing or damaged.
    pub(crate) known: Option<(String, Stored)>,
}

impl<V> ChangeRequest<V> {
    /// A change of known versions, whatever it is based on.
    pub(crate) fn new(change: Change, origin: Origin) -> ChangeRequest<V> {
        ChangeRequest { change, origin, file: None, base: None, new: None, known: None }
    }
}

/// A version that has passed every check.
pub(crate) struct NewVersion<V = ComponentVersion> {
    pub(crate) version: Arc<V>,
    pub(crate) label: Arc<str>,
    /// Its bytes, which are stored before it serves.
    pub(crate) stored: Stored,
}

/// The result of a change request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppliedChange {
    pub(crate) outcome: ChangeOutcome,
    /// The revision of the record after it.
    pub(crate) revision: u64,
    /// The file of the version was missing or damaged, and was stored again.
    pub(crate) stored_again: bool,
}

/// The state of a deployment controller, for others.
#[derive(Clone)]
pub(super) struct View {
    pub(super) record: Arc<Record>,
    /// The version of the turns on this host: it differs from the record's as long as that one cannot be loaded.
    pub(super) serving: String,
    pub(super) counters: BTreeMap<String, Arc<Counters>>,
    /// The first synchronisation with the other hosts is done.
    pub(super) is_synced: bool,
    /// `true` if the next start would find the serving versions, here or at the other hosts.
    pub(super) is_kept: bool,
}

/// The other end of a [`ControllerHandle`].
pub(super) struct ControllerEnd<V> {
    pub(super) commands: mpsc::Receiver<ControllerCommand<V>>,
    pub(super) view: watch::Sender<View>,
}

/// Asks a deployment controller, and shows its state.
pub(crate) struct ControllerHandle<V = ComponentVersion> {
    commands: mpsc::Sender<ControllerCommand<V>>,
    view: watch::Receiver<View>,
}

impl<V> ControllerHandle<V> {
    pub(super) fn new(view: View) -> (ControllerHandle<V>, ControllerEnd<V>) {
        let (commands, receiver) = mpsc::channel(MAX_COMMANDS);
        let (sender, view) = watch::channel(view);
        (ControllerHandle { commands, view }, ControllerEnd { commands: receiver, view: sender })
    }

    /// Makes a change. On an error everything is unchanged.
    pub(crate) async fn change(&self, request: ChangeRequest<V>) -> Result<AppliedChange, Error> {
        let (answer, done) = oneshot::channel();
        self.send(ControllerCommand::Change(Box::new(request), answer))?;
        done.await.unwrap_or_else(|_controller_ended| Err(Error::shutting_down()))
    }

    /// The current record of all hosts.
    pub(crate) async fn look(&self) -> Result<Arc<Record>, Error> {
        let (answer, done) = oneshot::channel();
        self.send(ControllerCommand::Look(answer))?;
        done.await.unwrap_or_else(|_controller_ended| Err(Error::shutting_down()))
    }

    /// The record, as far as this host knows it.
    pub(crate) fn record(&self) -> Arc<Record> {
        self.view.borrow().record.clone()
    }

    /// The digest of the version that this host serves.
    pub(crate) fn serving(&self) -> String {
        self.view.borrow().serving.clone()
    }

    /// The record with the counters of each version since the host started, by digest.
    pub(crate) fn counted(&self) -> (Arc<Record>, BTreeMap<String, Counted>) {
        let View { record, counters, .. } = self.view.borrow().clone();
        let counted = counters.into_iter().map(|(version, counters)| (version, counters.read()));
        (record, counted.collect())
    }

    /// Returns `true` if the next start would find the serving versions, here or at the other hosts.
    pub(crate) fn is_kept(&self) -> bool {
        self.view.borrow().is_kept
    }

    /// Waits until the other hosts were asked for the first time, or the controller has ended.
    pub(crate) async fn synced(&self) {
        self.view.clone().wait_for(|view| view.is_synced).await.ok(); // it ends with the host
    }

    fn send(&self, command: ControllerCommand<V>) -> Result<(), Error> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => Error::busy(),
            TrySendError::Closed(_) => Error::shutting_down(),
        })
    }
}
