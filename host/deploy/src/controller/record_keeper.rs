//! The record of an agent type on this host: in memory, and in the data folder, where it is written with each change and
//! looked for while the host runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Error;
use crate::library::Missing;
use crate::record::{LocalRecord, Record};
use crate::type_folder::TypeFolder;
use crate::watch::Stamp;
use daca_base::ErrorCode;
use daca_manifest::DeployRules;

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

/// The files that this host's disk should have.
#[derive(Default)]
struct OnDisk {
    /// The record that was written last, with the state of its file.
    written: Option<(Arc<Record>, Stamp)>,
    /// The missing ones.
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

    /// Checks whether this host's disk still has the files that the next start needs. Each loss is logged once. The
    /// versions in `left_out` were already missing at the start, and were reported then.
    pub(super) async fn look_at_files(&mut self, left_out: &BTreeSet<String>, rules: &Arc<DeployRules>) {
        let Some((record, seen)) = self.on_disk.written.clone() else { return self.write_again().await };
        let needed = record.in_use().difference(left_out).cloned().collect();
        // After a panic, which is in the log, nothing is known.
        let found = self.folder.find_missing(record.clone(), seen, needed, rules.clone()).await;
        let Ok(found) = found else { return };
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
                "deployed versions are missing in the data folder: {}",
                lost.reason()
            ),
            None if self.on_disk.missing.is_some() => {
                tracing::info!(agent_type, "the deployed versions are in the data folder again");
            }
            _ => {}
        }
        self.on_disk.missing = missing;
    }

    /// The files that were missing on this host's disk at the last check.
    pub(super) fn missing(&self) -> Option<&Missing> {
        self.on_disk.missing.as_ref()
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
