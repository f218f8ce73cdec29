//! `daca restore`: makes a data folder from a backup. No host runs in it meanwhile.
//!
//! The whole file is read and compared with its digest first, so that nothing is written of one that was cut, altered or
//! made by a newer host. The folder is filled in a folder within it, and gets its parts at the end. That folder is
//! locked meanwhile: one that is there and not locked was left by a restore that was killed, and is used again.
//!
//! The state file is put in place first, and keeps its name in that folder, too, until all parts have theirs. So the
//! next restore knows the parts of one that was killed in between, and replaces them: no host starts while the folder is
//! there, and none has used them. What cannot be proven in this way is never replaced.

use std::ffi::OsStr;
use std::fs::{File, Metadata, TryLockError};
use std::io::{BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use daca_base::archive::{ArchiveError, ArchiveReader, Frame};
use daca_base::files::{create_private_folder, help_with_data, open_regular};
use daca_base::{ErrorCode, Explained, Explanation};
use daca_deploy::VersionsRestore;
use daca_embedded::{RestoredState, StateRestore};
use daca_model::backup::FrameKind;

use crate::Failure;

/// The folder within the data folder in which it is made.
const UNFINISHED: &str = "restore.unfinished";
/// The state file. It comes first: a start that finds it without the other parts misses versions, not state.
const STATE: &str = "state.redb";
/// The other parts of a data folder.
const OTHER_PARTS: [&str; 2] = ["serving", "versions"];

/// Why nothing was restored, besides the errors of the parts.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The backup.
    #[error("{path}: {reason}")]
    Backup {
        /// Its file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: ArchiveError,
    },
    /// The data folder is in use, or was.
    #[error("{folder} is not empty: it has {entry:?}")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// Something in it.
        entry: String,
    },
    /// Another restore into the data folder is under way.
    #[error("another restore into {0} is under way")]
    InUse(PathBuf),
    /// The data folder cannot be written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            Error::Backup { reason, .. } => return reason.explanation(),
            Error::NotEmpty { .. } => {
                (ErrorCode::DataNotEmpty, "name an empty folder, or one that does not exist, with --data DIR")
            }
            Error::InUse(_) => {
                (ErrorCode::DataInUse, "wait until it ends, or name another folder with --data DIR")
            }
            Error::Unwritable { path, reason } => {
                return Some(Explanation::new(ErrorCode::DataUnwritable, help_with_data(path, reason)));
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// Makes a data folder, which is empty or does not exist, from a backup. Returns a summary. Blocks.
pub fn run(backup: &Path, data: &Path) -> Result<String, Failure> {
    let unwritable = |reason| Error::Unwritable { path: data.to_owned(), reason };
    let existed = check_empty(data).inspect_err(|_| end_whole(data))?;
    read(backup, |_| Ok(()))?;
    create_private_folder(data).map_err(unwritable)?;
    let unfinished = data.join(UNFINISHED);
    let _lock = begin(&unfinished, data)?;
    let restored = fill(backup, &unfinished).and_then(|restored| {
        put_in_place(&unfinished, data).map_err(unwritable)?;
        Ok(restored)
    });
    let (state, (versions, agent_types)) = restored.inspect_err(|_| {
        // What was made of it is not whole.
        take_back(data, &unfinished).ok(); // if that fails, the next restore does it
        empty(&unfinished).and_then(|()| std::fs::remove_dir(&unfinished)).ok(); // the next restore does it again
        if !existed {
            std::fs::remove_dir(data).ok(); // fails if anybody has put something there
        }
    })?;
    let RestoredState { actors, values, wakeups, bytes } = state;
    Ok(format!(
        "{}: restored {} with {} and {wakeups} reminders and timers, {bytes} bytes; and {} of {}\n",
        data.display(),
        count(actors, "actor"),
        count(values, "value"),
        count(versions, "version"),
        count(agent_types, "agent type")
    ))
}

/// A number of things, such as `1 version` or `2 versions`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Makes the folder of a restore, or empties the one that a killed restore has left, and locks it: of two restores into
/// one data folder, only one succeeds here. No host starts while the folder is there.
fn begin(unfinished: &Path, data: &Path) -> Result<File, Error> {
    let unwritable = |reason| Error::Unwritable { path: unfinished.to_owned(), reason };
    let not_empty = || Error::NotEmpty { folder: data.to_owned(), entry: UNFINISHED.to_owned() };
    let made = std::fs::create_dir(unfinished);
    let is_new = made.is_ok();
    if let Err(error) = made
        && error.kind() != ErrorKind::AlreadyExists
    {
        return Err(unwritable(error));
    }
    // Not through a link, which may lead to a folder of somebody else.
    if !unfinished.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return Err(not_empty());
    }
    let lock = File::open(unfinished).map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::InUse(data.to_owned())),
        // Some file systems have no locks.
        Err(TryLockError::Error(_)) if is_new => {}
        Err(TryLockError::Error(_)) => return Err(not_empty()),
    }
    // The one that had the lock may have ended since, and has removed the folder or put its parts in place.
    let locked = lock.metadata().map_err(unwritable)?;
    let is_it = unfinished
        .symlink_metadata()
        .is_ok_and(|found| (found.dev(), found.ino()) == (locked.dev(), locked.ino()));
    if !is_it {
        return Err(Error::InUse(data.to_owned()));
    }
    // A host that has begun to use the folder meanwhile would not start again.
    check_empty(data).inspect_err(|_| {
        std::fs::remove_dir(unfinished).ok(); // fails if anything is in it
    })?;
    if unfinished.join(STATE).is_dir() {
        return Err(Error::NotEmpty { folder: unfinished.to_owned(), entry: STATE.to_owned() });
    }
    take_back(data, unfinished)?;
    empty(unfinished).map_err(unwritable)?;
    Ok(lock)
}

/// Takes back the parts that a restore has put in place which was killed, or has failed. The state file is the last one,
/// since it shows whose the others are.
fn take_back(data: &Path, unfinished: &Path) -> Result<(), Error> {
    if !is_replaceable(data, OsStr::new(STATE)) {
        return Ok(());
    }
    let unwritable = |reason| Error::Unwritable { path: data.to_owned(), reason };
    let state = data.join(STATE);
    // A host would have locked it.
    if let Err(TryLockError::WouldBlock) = File::open(&state).map_err(unwritable)?.try_lock() {
        return Err(Error::InUse(data.to_owned()));
    }
    for part in OTHER_PARTS {
        let placed = data.join(part);
        if placed.exists() && is_replaceable(data, OsStr::new(part)) {
            std::fs::rename(placed, unfinished.join(part)).map_err(unwritable)?;
        }
    }
    std::fs::remove_file(state).map_err(unwritable)
}

/// Removes the folder of a restore that was killed when all parts had their names. It is empty, and a host can start
/// once it is gone.
fn end_whole(data: &Path) {
    let unfinished = data.join(UNFINISHED);
    let is_free = File::open(&unfinished).is_ok_and(|folder| folder.try_lock().is_ok());
    if is_free {
        std::fs::remove_dir(unfinished).ok(); // fails if anything is in it
    }
}

/// Removes what a restore has made. Anything else stays, and later keeps the folder from being removed.
fn empty(unfinished: &Path) -> std::io::Result<()> {
    let state = std::fs::remove_file(unfinished.join(STATE));
    let others = OTHER_PARTS.map(|part| std::fs::remove_dir_all(unfinished.join(part)));
    for removed in std::iter::once(state).chain(others) {
        if let Err(error) = removed
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Fails if there is anything in the data folder but an unfinished restore, and the parts that it has put in place.
/// Returns `true` if the folder exists.
fn check_empty(data: &Path) -> Result<bool, Error> {
    let unwritable = |reason| Error::Unwritable { path: data.to_owned(), reason };
    let entries = match std::fs::read_dir(data) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(unwritable)?,
    };
    for entry in entries {
        let name = entry.map_err(unwritable)?.file_name();
        if name != UNFINISHED && !is_replaceable(data, &name) {
            let entry = name.to_string_lossy().into_owned();
            return Err(Error::NotEmpty { folder: data.to_owned(), entry });
        }
    }
    Ok(true)
}

/// Returns `true` for a part that a restore has put in place which was killed before the other ones were.
fn is_replaceable(data: &Path, name: &OsStr) -> bool {
    let unfinished = data.join(UNFINISHED);
    let state = |folder: &Path| folder.join(STATE).symlink_metadata().ok().filter(Metadata::is_file);
    let (Some(placed), Some(made)) = (state(data), state(&unfinished)) else { return false };
    let is_its_own = (placed.dev(), placed.ino()) == (made.dev(), made.ino());
    // A part that it still has is not the one in place.
    let is_other = OTHER_PARTS.iter().any(|part| name == *part && !unfinished.join(part).exists());
    is_its_own && (name == STATE || is_other)
}

/// Reads a backup to its end, and hands on each frame.
fn read(path: &Path, mut each: impl FnMut(Frame) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |reason| Error::Backup { path: path.to_owned(), reason };
    // It is read twice, which a pipe does not stand.
    let file = open_regular(path).map_err(|error| failed(ArchiveError::Unreadable(error)))?;
    let mut archive = ArchiveReader::new(BufReader::new(file)).map_err(failed)?;
    while let Some(frame) = archive.next_frame().map_err(failed)? {
        each(frame)?;
    }
    Ok(())
}

/// Makes the parts in a new folder. They are on disk when this returns.
fn fill(backup: &Path, folder: &Path) -> Result<(RestoredState, (u64, u64)), Failure> {
    let unwritable = |reason| Error::Unwritable { path: folder.to_owned(), reason };
    create_private_folder(folder).map_err(unwritable)?;
    let mut state = StateRestore::create(folder)?;
    let mut versions = VersionsRestore::new(folder);
    read(backup, |frame| {
        match FrameKind::of(frame.kind) {
            Some(FrameKind::State) => state.add_state(frame.bytes)?,
            Some(FrameKind::Wakeup) => state.add_wakeup(frame.bytes)?,
            Some(FrameKind::Version) => versions.add_version(&frame.bytes)?,
            Some(FrameKind::Record) => versions.add_record(&frame.bytes)?,
            None => {
                let reason = ArchiveError::Damaged("it contains something that no host has written");
                return Err(Error::Backup { path: backup.to_owned(), reason }.into());
            }
        }
        Ok(())
    })?;
    Ok((state.finish()?, versions.restored()))
}

fn put_in_place(unfinished: &Path, data: &Path) -> std::io::Result<()> {
    place_state(&unfinished.join(STATE), &data.join(STATE))?;
    for part in OTHER_PARTS {
        let made = unfinished.join(part);
        // A host that has never served anything has no versions.
        if made.exists() {
            std::fs::rename(made, data.join(part))?;
        }
    }
    // Its other name, if it has one.
    std::fs::remove_file(unfinished.join(STATE)).ok(); // if it stays, so does the folder
    std::fs::remove_dir(unfinished)?;
    File::open(data)?.sync_all()
}

/// Gives the state file its name, unless there is one: a host may have been started in the folder. Not by renaming, which
/// would replace it.
fn place_state(made: &Path, target: &Path) -> std::io::Result<()> {
    match std::fs::hard_link(made, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists || target.exists() => Err(error),
        // Some file systems have no links.
        Err(_) => std::fs::rename(made, target),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::run;

    /// Of the release that had backups first.
    #[test]
    fn a_backup_of_an_earlier_release_is_restored() {
        let backup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stored/56fc7f2/backup.daca");
        let folder = tempfile::TempDir::new().expect("a folder");
        let data = folder.path().join("data");
        let told = match run(&backup, &data) {
            Ok(told) => told,
            Err(error) => panic!("{error}"),
        };
        assert!(told.contains("2 actors with 2 values and 1 reminders"), "{told}");
        assert!(told.contains("3 versions of 1 agent type\n"), "{told}");
        for part in ["state.redb", "versions/Agent/record.json", "serving/Agent"] {
            assert!(data.join(part).is_file(), "{part}");
        }
    }
}
