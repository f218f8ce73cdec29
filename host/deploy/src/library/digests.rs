//! The digests of files, each of which is read once as long as it does not change.
//!
//! The versions in use are looked at each second, and a mounted folder with every question about it. A file with the
//! same stamp (device, inode, size, times) has the same content, and is not read again.

use std::collections::HashMap;
use std::io::Result as IoResult;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::watch::Stamp;
use daca_base::digest::digest;
use daca_base::files::read_bounded;
use daca_model::MAX_COMPONENT;

/// The files that are remembered; beyond it all are forgotten. More than a mounted folder and the kept versions have.
const MAX_FILES: usize = 4_096;

/// The digests of files that have been read.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<HashMap<PathBuf, (Stamp, FileDigest)>>);

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileDigest {
    pub(super) digest: String,
    /// Its size.
    pub(super) bytes: u64,
}

impl Digests {
    /// The digest of a file. Blocks, and reads it if it may have changed since the last time.
    pub(super) fn of(&self, path: &Path) -> IoResult<FileDigest> {
        let stamp = Stamp::read(path)?;
        let known =
            self.0.lock().get(path).filter(|(seen, _)| *seen == stamp).map(|(_, known)| known.clone());
        if let Some(known) = known {
            return Ok(known);
        }
        let content = read_bounded(path, MAX_COMPONENT)?;
        let found = FileDigest { digest: digest(&content), bytes: content.len() as u64 };
        // One that was written meanwhile is read again the next time.
        if Stamp::of(path) == Some(stamp) {
            let mut files = self.0.lock();
            if files.len() >= MAX_FILES {
                files.clear();
            }
            files.insert(path.to_owned(), (stamp, found.clone()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes};

    use super::*;

    #[test]
    fn a_file_is_read_again_when_it_has_changed_and_only_then() -> anyhow::Result<()> {
        let folder = tempfile::TempDir::new()?;
        let path = folder.path().join("a.wasm");
        let digests = Digests::default();
        assert!(digests.of(&path).is_err());
        std::fs::write(&path, "one")?;
        assert_eq!(digests.of(&path)?, FileDigest { digest: digest(b"one"), bytes: 3 });
        // What is remembered is not read: here something that the file never had.
        let marked = FileDigest { digest: "marked".into(), bytes: 3 };
        if let Some((_, known)) = digests.0.lock().get_mut(&path) {
            *known = marked.clone();
        }
        assert_eq!(digests.of(&path)?, marked);
        // Another file of the same size and time in its place.
        let other = folder.path().join("b.wasm");
        std::fs::write(&other, "two")?;
        let modified = std::fs::metadata(&path)?.modified()?;
        File::options().write(true).open(&other)?.set_times(FileTimes::new().set_modified(modified))?;
        std::fs::rename(&other, &path)?;
        assert_eq!(digests.of(&path)?.digest, digest(b"two"));
        Ok(())
    }
}
