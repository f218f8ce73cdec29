//! The record of an agent type on this host: in memory, and in the data folder, where it is written with each change and
//! looked for while the host runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{DeploymentController, VersionRuntime};
use crate::Error;
use crate::library::{FileState, LocalRecord, Missing};
use crate::record::Record;
use crate::type_folder::TypeFolder;
use daca_base::ErrorCode;

/// The interval at which the record and the versions in use are looked for on disk.
pub(super) const FILES_INTERVAL: Duration = Duration::from_secs(1);

/// The current record, and where it is kept.
pub(super) struct RecordKeeper {
    agent_type: Arc<str>,
    folder: TypeFolder,
    /// The record that changes are based on.
    pub(super) record: Arc<Record>,
    /// The content of the manifest's file that this host saw last.
    pub(super) file_here: Option<String>,
    on_disk: OnDisk,
}

/// What this host's disk should have.
#[derive(Default)]
struct OnDisk {
    /// The record that was written last, with the state of its file.
    written: Option<(Arc<Record>, FileState)>,
    /// What is missing of it.
    missing: Option<Missing>,
}

impl RecordKeeper {
    pub(super) fn new(
        agent_type: Arc<str>,
        folder: TypeFolder,
        record: Record,
        file_here: Option<String>,
    ) -> RecordKeeper {
        RecordKeeper { agent_type, folder, record: Arc::new(record), file_here, on_disk: OnDisk::default() }
    }

    /// Writes a record to the data folder, without making it the current one.
    pub(super) async fn write(&mut self, record: &Record, file_here: Option<String>) -> Result<(), Error> {
        let record = Arc::new(record.clone());
        // Whether it is on disk is unknown until the write is confirmed.
        self.on_disk = OnDisk::default();
        let state = self.folder.write_record(LocalRecord { file_here, record: record.clone() }).await?;
        self.on_disk.written = Some((record, state));
        Ok(())
    }

    /// Makes a record the current one.
    pub(super) fn set(&mut self, record: Record) {
        self.record = Arc::new(record);
    }

    /// Looks whether this host's disk still has what the next start needs. Each loss is logged once. The versions in
    /// `left_out` were missing at the start already, and have been reported then.
    async fn look_at_files(&mut self, left_out: &BTreeSet<String>) {
        let Some((record, seen)) = self.on_disk.written.clone() else { return self.write_again().await };
        let needed = record.in_use().difference(left_out).cloned().collect();
        // After a panic, which is in the log, nothing is known.
        let Ok(found) = self.folder.find_missing(record.clone(), seen, needed).await else { return };
        let missing = match found {
            Ok(state) => {
                self.on_disk.written = Some((record, state));
                None
            }
            Err(missing) => Some(missing),
        };
        let agent_type = &*self.agent_type;
        match &missing {
            Some(Missing::RecordFile(reason)) => {
                tracing::warn!(
                    agent_type,
                    code = ErrorCode::VersionsMissing.as_str(),
                    "the record was removed, and is written again: {reason}"
                );
                return self.write_again().await;
            }
            Some(lost) if missing != self.on_disk.missing => tracing::error!(
                agent_type,
                code = ErrorCode::VersionsMissing.as_str(),
                "what was deployed is no longer in the data folder: {}",
                lost.reason()
            ),
            None if self.on_disk.missing.is_some() => {
                tracing::info!(agent_type, "what was deployed is in the data folder again");
            }
            _ => {}
        }
        self.on_disk.missing = missing;
    }

    /// Writes the current record again: its file was removed, or the last write failed and may have left another one.
    async fn write_again(&mut self) {
        let (record, file_here) = (self.record.clone(), self.file_here.clone());
        if let Err(error) = self.write(&record, file_here).await {
            tracing::debug!(
                agent_type = &*self.agent_type,
                "the record was not written again: {}",
                error.message
            );
        }
    }
}

impl<R: VersionRuntime> DeploymentController<R> {
    /// Looks whether the next start would find what serves.
    pub(super) async fn look_at_files(&mut self) {
        self.keeper.look_at_files(&self.versions.left_out).await;
        // The other hosts' versions are in the state that they share.
        let is_kept = self.keeper.on_disk.missing.is_none() || self.replica.shared().is_some();
        self.view.send_if_modified(|view| std::mem::replace(&mut view.is_kept, is_kept) != is_kept);
    }

    /// Refuses a change of this host alone that the next start would not find. Hosts with shared state agree there.
    pub(super) async fn check_kept(&mut self) -> Result<(), Error> {
        self.look_at_files().await;
        match &self.keeper.on_disk.missing {
            Some(missing @ Missing::Record(_)) if self.replica.shared().is_none() => {
                Err(Error::record_missing(missing))
            }
            _ => Ok(()),
        }
    }
}
