//! Whether the folders and files of the versions are still there.
//!
//! A host does not read them again while it runs, so it would keep serving without a sign when they are removed, moved
//! or replaced. The next start would then miss what was deployed. So the files that it needs are looked at, and nothing
//! is written into another folder of the same name.

use std::collections::BTreeSet;
use std::io::{Error as IoError, ErrorKind, Result as IoResult};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{Error, Library};
use crate::record::Record;
use crate::watch::read_bounded;

/// The maximum size in bytes of a file that names the serving version.
const MAX_NOTE: u64 = 1_024;

/// Device and inode of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FolderId(u64, u64);

impl FolderId {
    pub(super) fn of(folder: &Path) -> Option<FolderId> {
        std::fs::metadata(folder).ok().map(|found| FolderId(found.dev(), found.ino()))
    }
}

/// What tells a file from one that replaced or changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds of the last change of the content.
    modified: (i64, i64),
}

impl FileState {
    pub(super) fn of(path: &Path) -> IoResult<FileState> {
        let found = std::fs::metadata(path)?;
        Ok(FileState {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// What a start would miss. The text is for the log: it has paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Everything, or the record is another one: no change can be kept.
    Record(String),
    /// The record's file alone: the host writes it again.
    RecordFile(String),
    /// The file of a version that serves. A deployment of another version, or of the same bytes, mends that.
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

impl Library {
    /// Looks for the stored record, and for the files of the versions in `needed`. `seen` is the state of the record's
    /// file as it was written or found last; the result has the present one.
    pub(crate) fn find_missing(
        &self,
        agent_type: &str,
        record: &Record,
        seen: FileState,
        needed: &BTreeSet<String>,
    ) -> Result<FileState, Missing> {
        let path = self.record_path(agent_type);
        let at = |path: &Path, reason: &str| format!("{}: {reason}", path.display());
        let found = FileState::of(&path).map_err(|error| {
            let reason = at(&path, &error.to_string());
            let is_removed = error.kind() == ErrorKind::NotFound && self.check_folders().is_ok();
            if is_removed { Missing::RecordFile(reason) } else { Missing::Record(reason) }
        })?;
        // A copy of the same content does as well.
        if found != seen {
            match self.read_record(agent_type) {
                Ok(Some(local)) if *local.record == *record => {}
                Ok(_) => return Err(Missing::Record(at(&path, "it was replaced by another record"))),
                Err(error) => return Err(Missing::Record(error.message)),
            }
        }
        for digest in needed {
            let path = self.version_path(agent_type, digest);
            let bytes = record.versions.get(digest).map(|known| known.bytes);
            match std::fs::metadata(&path) {
                Ok(found) if bytes.is_none_or(|bytes| bytes == found.len()) => {}
                Ok(_) => return Err(Missing::Version(at(&path, "its size has changed"))),
                Err(error) => return Err(Missing::Version(at(&path, &error.to_string()))),
            }
        }
        // A copy of the folder takes the place of the first one.
        *self.folder_id.lock() = FolderId::of(&self.folder);
        Ok(found)
    }

    /// The record that was here, if it is gone. Called at a start that has found none.
    pub(crate) fn find_lost(&self, agent_type: &str) -> Result<Option<Lost>, Error> {
        let note = self.note_path(agent_type);
        let digest = match read_bounded(&note, MAX_NOTE) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::unreadable(&note, error)),
        };
        let folder = self.folder_of(agent_type);
        let is_folder = !folder.exists();
        let missing = if is_folder { folder } else { self.record_path(agent_type) };
        Ok(Some(Lost { digest, note, missing, is_folder }))
    }

    /// Returns `true` if the file of this version is there, whatever it contains.
    pub(crate) fn has(&self, agent_type: &str, digest: &str) -> bool {
        self.version_path(agent_type, digest).exists()
    }

    /// Writes the digest that serves beside the folder of the versions.
    pub(super) fn note_serving(&self, agent_type: &str, digest: &str) -> Result<(), Error> {
        let note = self.note_path(agent_type);
        let is_noted = read_bounded(&note, MAX_NOTE).is_ok_and(|bytes| bytes == digest.as_bytes());
        if is_noted { Ok(()) } else { self.write(&note, digest.as_bytes()) }
    }

    /// Fails if the folders are not those of the start: they were removed or renamed, or their disk was unmounted. The
    /// next start would not find files in a new folder of the same name.
    pub(super) fn check_folders(&self) -> IoResult<()> {
        let gone = |what: &str| {
            Err(IoError::new(ErrorKind::NotFound, format!("the {what} from the start no longer exists")))
        };
        if self.data_id.is_some() && FolderId::of(&self.data) != self.data_id {
            return gone("data folder");
        }
        let folder_id = *self.folder_id.lock();
        if folder_id.is_some() && FolderId::of(&self.folder) != folder_id {
            return gone("folder of the deployed versions");
        }
        Ok(())
    }

    fn note_path(&self, agent_type: &str) -> PathBuf {
        self.data.join("serving").join(agent_type)
    }
}
