//! The record of an agent type on this host: in memory, and in the data folder.

use std::sync::Arc;

use crate::Error;
use crate::library::LocalRecord;
use crate::record::Record;
use crate::type_folder::TypeFolder;

/// The current record, and where it is kept.
pub(super) struct RecordKeeper {
    pub(super) folder: TypeFolder,
    /// The record that changes are based on.
    pub(super) record: Arc<Record>,
    /// The content of the manifest's file that this host saw last.
    pub(super) file_here: Option<String>,
}

impl RecordKeeper {
    /// Writes a record to the data folder, without making it the current one.
    pub(super) async fn write(&self, record: &Record, file_here: Option<String>) -> Result<(), Error> {
        self.folder.write_record(LocalRecord { file_here, record: Arc::new(record.clone()) }).await
    }

    /// Makes a record the current one.
    pub(super) fn set(&mut self, record: Record) {
        self.record = Arc::new(record);
    }
}
