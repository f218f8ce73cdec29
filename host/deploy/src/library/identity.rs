//! The identity of a folder, which tells it from another one in its place.

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
