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
        let (record, seen) = match self.on_disk.written.clone() {
            Some((record, seen)) => (record, Some(seen)),
            // The last write failed, and may have left another record, or none.
            None => (self.record.clone(), None),
        };
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
        let is_other = seen.is_none() && matches!(missing, Some(Missing::Record(_)));
        if is_other && !self.folder.is_gone().await {
            return self.write_again().await;
        }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::library::{Library, Stored};
    use crate::record::{Origin, Source, VersionMetadata, now};
    use daca_base::digest::digest;
    use daca_base::json::UnknownFields;

    async fn keeper(data: &Path) -> anyhow::Result<RecordKeeper> {
        let folder = TypeFolder::new(Library::new(data, None), "A".into());
        let version = digest(b"v1");
        folder.store(&version, Stored { wasm: "v1".into(), signature: None }).await?;
        let metadata = VersionMetadata {
            label: "1".into(),
            bytes: 2,
            deployed_at: now(),
            source: Source::Manifest.into(),
            initiated_by: "tester".into(),
            migrates: false,
            last_revision: 1,
            file: None,
            unknown: UnknownFields::default(),
        };
        let origin = Origin { source: Source::Api, initiated_by: "tester".into() };
        let record = Record::first(version, metadata, None, &origin);
        let mut keeper = RecordKeeper::new("A".into(), folder, record.clone(), None);
        keeper.write(&record, None).await?;
        Ok(keeper)
    }

    /// The folder may vanish while the record is being written, so that nobody knows what is on disk.
    #[tokio::test]
    async fn a_folder_that_vanishes_during_a_write_is_missed_until_a_copy_is_there() -> anyhow::Result<()> {
        let data = TempDir::new()?;
        let mut keeper = keeper(data.path()).await?;
        let (versions, away) = (data.path().join("versions"), data.path().join("away"));
        std::fs::rename(&versions, &away)?;
        let record = Record::clone(&keeper.record);
        assert!(keeper.write(&record, None).await.is_err());
        let rules = Arc::new(crate::controller::tests::support::rules());
        let none_left_out = BTreeSet::new();
        for _ in 0..2 {
            keeper.look_at_files(&none_left_out, &rules).await;
            assert!(matches!(keeper.missing(), Some(Missing::Record(_))), "{:?}", keeper.missing());
        }
        std::fs::create_dir_all(versions.join("A"))?;
        for entry in std::fs::read_dir(away.join("A"))? {
            let entry = entry?;
            std::fs::copy(entry.path(), versions.join("A").join(entry.file_name()))?;
        }
        keeper.look_at_files(&none_left_out, &rules).await;
        assert_eq!(keeper.missing(), None);
        keeper.write(&record, None).await?;
        Ok(())
    }
}
