//! How the state file is opened as a redb database, and what its errors and panics mean.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use super::file_format::{self, FORMAT};
use super::state_file::StateFile;
use super::transaction::{EXPIRIES, STATE, USAGE, WAKEUPS};
use daca_base::files::help_with_data;
use daca_base::{ErrorCode, Explained, Explanation, panics};
use daca_model::backend::Error;

/// The bytes of the file that are cached in memory.
const PAGE_CACHE: usize = 64 * 1024 * 1024;

/// `None` while the writer reopens the file.
pub(super) type SharedDatabase = Arc<RwLock<Option<Arc<Database>>>>;

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another host")]
    InUse(PathBuf),
    /// A restore into the data folder runs, or was cut off.
    #[error("{0} is there: a backup is being restored into this folder, or was not restored to its end")]
    Unfinished(PathBuf),
    /// The folder cannot be created or written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Something else has the name of the state file.
    #[error("{path} is {kind}, and the state file has this name")]
    NotAFile {
        /// Its path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A newer host has written the file. Nothing in it was changed.
    #[error("{path} has format {format}, and this host knows formats up to {FORMAT}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The file is not a state file, or it is damaged.
    #[error("{path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// redb's error.
        reason: String,
    },
}

impl Explained for OpenError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            OpenError::InUse(_) => {
                (ErrorCode::DataInUse, "stop that host, or give this one a folder of its own with --data DIR")
            }
            OpenError::Unfinished(_) => (
                ErrorCode::RestoreUnfinished,
                "wait for the restore; if none runs, restore again into this folder, which replaces the unfinished one",
            ),
            OpenError::Unwritable { path, reason } => {
                return Some(Explanation::new(ErrorCode::DataUnwritable, help_with_data(path, reason)));
            }
            OpenError::NotAFile { .. } => (
                ErrorCode::DataUnwritable,
                "move it away, and put the state file in its place if there is one; or name another folder with --data DIR",
            ),
            OpenError::TooNew { .. } => (
                ErrorCode::DataTooNew,
                "start a host of the release that wrote it or a newer one, or restore a backup into a new folder",
            ),
            OpenError::Damaged { .. } => {
                (ErrorCode::DataDamaged, "move the file away to start empty, or put a backup in its place")
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// Opens a file, with its tables. Everything in it is compared with its checksums first, so that no actor is served a
/// value that is not the one that it has written. That reads the whole file.
pub(super) fn open_database(path: &Path, file: File) -> Result<Database, OpenError> {
    let file = FileBackend::new(file).map_err(|error| open_error(path, error.into()))?;
    open_backend(path, file, true)
}

/// The same for a file that this host has opened before: nothing is compared, since calls wait.
pub(super) fn reopen_database(path: &Path, file: File) -> Result<Database, OpenError> {
    let file = FileBackend::new(file).map_err(|error| open_error(path, error.into()))?;
    open_backend(path, file, false)
}

/// The same for any storage; `path` is its name. `check` compares everything with its checksums.
pub(super) fn open_backend(
    path: &Path,
    backend: impl StorageBackend,
    check: bool,
) -> Result<Database, OpenError> {
    let open = || -> Result<Result<Database, u32>, redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(PAGE_CACHE).set_check_integrity_on_open(check);
        let database = builder.create_with_backend(backend)?;
        // Tables must exist before the first read. In two phases, like all commits: after a damaged commit in one phase
        // redb would go back to the one before, and say nothing.
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        if let Some(newer) = file_format::note(&transaction)? {
            transaction.abort()?;
            return Ok(Err(newer));
        }
        transaction.open_table(STATE)?;
        transaction.open_table(EXPIRIES)?;
        transaction.open_table(USAGE)?;
        transaction.open_table(WAKEUPS)?;
        transaction.commit()?;
        Ok(Ok(database))
    };
    match panics::caught(ErrorCode::DataDamaged, open) {
        Ok(Ok(Ok(database))) => Ok(database),
        Ok(Ok(Err(format))) => Err(OpenError::TooNew { path: path.to_owned(), format }),
        Ok(Err(error)) => Err(open_error(path, error)),
        Err(panic) => Err(OpenError::Damaged { path: path.to_owned(), reason: panic }),
    }
}

/// Makes a new file, unless there is one. It gets its name once it is whole: redb refuses a file whose creation was cut
/// short, and the next start would report damage where nothing was ever lost.
pub(super) fn create_database(path: &Path) -> Result<(), OpenError> {
    if path.exists() {
        return Ok(());
    }
    let unwritable = |reason| OpenError::Unwritable { path: path.to_owned(), reason };
    let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
    // Of an earlier process with the same number.
    std::fs::remove_file(&unfinished).ok();
    let (_, opened) = StateFile::open(&unfinished).map_err(unwritable)?;
    let created = open_database(path, opened).and_then(|database| {
        database.close().map_err(|error| open_error(path, error.into()))?;
        std::fs::rename(&unfinished, path).map_err(unwritable)
    });
    created.inspect_err(|_| {
        // It is useless, and takes space.
        std::fs::remove_file(&unfinished).ok();
    })
}

/// What an error of redb means for a file that is being opened.
fn open_error(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse(path),
        redb::Error::Io(error)
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            OpenError::Unwritable { path, reason: error }
        }
        other => OpenError::Damaged { path, reason: other.to_string() },
    }
}

/// An error of redb, as a turn meets it.
pub(super) fn unavailable(error: redb::Error) -> Error {
    Error::Unavailable(format!("state file: {error}"))
}

/// A panic of redb, which it has on some kinds of damage, as a turn meets it.
pub(super) fn damaged(panic: &str) -> Error {
    Error::Unavailable(format!("state file: it is damaged: {panic}"))
}

#[cfg(test)]
mod tests {
    use daca_base::error_code::AnyCode;
    use redb::ReadableDatabase as _;
    use tempfile::TempDir;

    use super::*;
    use crate::file_format::{FORMATS, KEY};

    fn open(path: &Path) -> Result<Database, OpenError> {
        let (_, file) = StateFile::open(path).expect("a file");
        open_database(path, file)
    }

    fn note(database: &Database, format: Option<u32>) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        let mut formats = transaction.open_table(FORMATS)?;
        match format {
            Some(format) => formats.insert(KEY, format)?,
            None => formats.remove(KEY)?,
        };
        drop(formats);
        Ok(transaction.commit()?)
    }

    fn noted(database: &Database) -> Result<Option<u32>, redb::Error> {
        let formats = database.begin_read()?.open_table(FORMATS)?;
        Ok(formats.get(KEY)?.map(|format| format.value()))
    }

    /// The release before wrote no number.
    #[test]
    fn a_file_without_a_format_gets_the_first_and_one_of_a_newer_format_is_refused_and_left_alone() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("state.redb");
        let database = open(&path).expect("a new file");
        assert_eq!(noted(&database).expect("it is read"), Some(FORMAT));
        note(&database, None).expect("it is removed");
        drop(database);
        let database = open(&path).expect("it opens");
        assert_eq!(noted(&database).expect("it is read"), Some(FORMAT));
        note(&database, Some(FORMAT + 1)).expect("it is written");
        drop(database);
        for _ in 0..2 {
            let refused = open(&path).expect_err("it is of a newer host");
            let code = refused.explanation().map(|explanation| explanation.code);
            assert_eq!(code, Some(AnyCode::Known(ErrorCode::DataTooNew)), "{refused}");
        }
    }
}
