//! The state file in the file system: its permissions, and whether it is still the one at its path.
//!
//! A file that was removed, or whose disk was unmounted, can still be written by the process that has it open, but all
//! of that is lost in the end. So the file at the path is compared with the open one around each commit and each
//! second, by device and inode. No other file is ever used in its place while the host runs: actors and schedules in
//! memory belong to the original one.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use daca_base::ErrorCode;
use daca_base::files::PRIVATE;
use daca_model::backend::{Error, Readiness};

/// The file, and its problems.
pub(super) struct StateFile {
    path: PathBuf,
    identity: Identity,
    trouble: Mutex<Trouble>,
}

/// Device and inode: unique among open files.
type Identity = (u64, u64);

/// The problems. Each is logged when it begins, changes or ends.
#[derive(Default)]
struct Trouble {
    /// The file is not at its path.
    gone: Option<String>,
    /// The last write failed.
    disk: Option<String>,
}

impl StateFile {
    /// Opens the file, and creates it if it is missing.
    pub(super) fn open(path: &Path) -> io::Result<(StateFile, File)> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(PRIVATE).open(path)?;
        if let Some(folder) = path.parent() {
            // The directory entry of a new file is on disk, too.
            File::open(folder)?.sync_all()?;
        }
        let identity = identity(&file.metadata()?);
        Ok((StateFile { path: path.to_owned(), identity, trouble: Mutex::default() }, file))
    }

    /// Restricts the file to its owner, since it contains every conversation: a copied file, or one of an earlier
    /// version, may be open to all. A folder may be meant for others too, so that is only logged.
    pub(super) fn protect(&self) {
        if is_exposed(&self.path)
            && let Err(error) = std::fs::set_permissions(&self.path, Permissions::from_mode(PRIVATE))
        {
            tracing::warn!(
                code = ErrorCode::DataExposed.as_str(),
                "{}: other users of this machine may read or write the state of all actors, and that cannot be changed: {error}",
                self.path.display()
            );
        }
        if let Some(folder) = self.path.parent().filter(|folder| is_exposed(folder)) {
            tracing::warn!(
                code = ErrorCode::DataExposed.as_str(),
                "{}: other users of this machine may read or change the data folder: chmod 700",
                folder.display()
            );
        }
    }

    /// Reopens the same file after a disk error.
    pub(super) fn reopen(&self) -> Result<File, Error> {
        self.check()?;
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        file.map_err(|error| Error::Unavailable(format!("state file: {}: {error}", self.path.display())))
    }

    /// The path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the file at the path is not the open one: writes would not be durable. Blocks.
    pub(super) fn check(&self) -> Result<(), Error> {
        let gone = match std::fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => None,
            Ok(_) => Some("it was replaced by another file".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let mut trouble = self.trouble.lock();
        match &gone {
            Some(reason) if trouble.gone != gone => tracing::error!(
                code = ErrorCode::DataMissing.as_str(),
                "the state file is gone, and nothing can be saved: {}: {reason}",
                self.path.display()
            ),
            None if trouble.gone.is_some() => tracing::info!("the state file is there again"),
            _ => {}
        }
        trouble.gone = gone;
        match trouble.gone {
            // Callers see this: the path is only for the log.
            Some(_) => Err(Error::Unavailable("the state file is gone, and nothing can be saved".into())),
            None => Ok(()),
        }
    }

    /// Records the result of a write.
    pub(super) fn note(&self, written: Result<(), &Error>) {
        let mut trouble = self.trouble.lock();
        let disk = written.err().map(ToString::to_string);
        match &disk {
            Some(text) if trouble.disk != disk => {
                tracing::error!(
                    code = ErrorCode::StateUnavailable.as_str(),
                    "the state file could not be written: {text}"
                );
            }
            None if trouble.disk.is_some() => tracing::info!("the state file can be written again"),
            _ => {}
        }
        trouble.disk = disk;
    }

    /// Returns `true` if the last write failed.
    pub(super) fn failed(&self) -> bool {
        self.trouble.lock().disk.is_some()
    }

    /// Returns whether turns' writes are durable.
    pub(super) fn readiness(&self) -> Readiness {
        let trouble = self.trouble.lock();
        // Everybody may ask for this: paths and errors are only for the log.
        match *trouble {
            Trouble { gone: Some(_), .. } => Readiness::Waiting("the state file is gone"),
            Trouble { disk: Some(_), .. } => Readiness::Waiting("the state file cannot be written"),
            _ => Readiness::Ready,
        }
    }
}

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o077 != 0)
}
