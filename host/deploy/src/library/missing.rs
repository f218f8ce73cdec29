//! The files of versions that are no longer where they were.

use std::path::PathBuf;

/// Files that the next start would miss. The text is for the log: it has paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Everything, or the record is another one: no change can be kept.
    Record(String),
    /// The record's file alone: the host writes it again.
    RecordFile(String),
    /// The file of a version that serves, or its signature. A deployment of another version, or of the same bytes, mends
    /// that.
    Version(String),
}

impl Missing {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Missing::Record(reason) | Missing::RecordFile(reason) | Missing::Version(reason) => reason,
        }
    }
}

/// A record that was here, and is gone.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The digest of the version that served.
    pub(crate) digest: String,
    /// The file that says so.
    pub(crate) note: PathBuf,
    /// The missing folder or file.
    pub(crate) missing: PathBuf,
    /// `true` if the whole folder is missing, and not the record alone, which people may remove on purpose.
    pub(crate) is_folder: bool,
}
