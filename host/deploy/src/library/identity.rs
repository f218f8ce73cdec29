//! What tells a folder or a file from another one that has taken its place.

use std::io::Result as IoResult;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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
