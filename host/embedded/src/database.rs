//! How the state file is opened as a redb database, and what its errors and panics mean.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use redb::Database;
use redb::backends::FileBackend;

use super::transaction::{EXPIRIES, STATE, USAGE, WAKEUPS};
use daca_base::{ErrorCode, Explained, Explanation};
use daca_model::backend::Error;

/// The bytes of the file that are cached in memory.
const PAGE_CACHE: usize = 64 * 1024 * 1024;

/// The bytes of state that one actor of an agent type may have.
pub(super) type Quotas = HashMap<Arc<str>, u64>;

/// `None` while the writer reopens the file.
pub(super) type SharedDatabase = Arc<RwLock<Option<Arc<Database>>>>;

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0} is in use by another host")]
    InUse(PathBuf),
    /// The folder cannot be created or written.
    #[error("{path}: {reason}")]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        reason: String,
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
            OpenError::Unwritable { .. } => (
                ErrorCode::DataUnwritable,
                "make the folder writable for this user and check that the disk is not full, or name another with --data DIR",
            ),
            OpenError::Damaged { .. } => {
                (ErrorCode::DataDamaged, "move the file away to start empty, or put a backup in its place")
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// Opens a file, with its tables.
pub(super) fn open_database(path: &Path, file: File) -> Result<Database, OpenError> {
    let reason = |error: String| OpenError::Damaged { path: path.to_owned(), reason: error };
    let database = FileBackend::new(file)
        .and_then(|file| Database::builder().set_cache_size(PAGE_CACHE).create_with_backend(file))
        .map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if !matches!(
                    error.kind(),
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ) =>
            {
                OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() }
            }
            other => reason(other.to_string()),
        })?;
    // Tables must exist before the first read.
    let make_tables = || -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(STATE)?;
        transaction.open_table(EXPIRIES)?;
        transaction.open_table(USAGE)?;
        transaction.open_table(WAKEUPS)?;
        Ok(transaction.commit()?)
    };
    make_tables().map_err(|error| match error {
        redb::Error::Io(error) => OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() },
        other => reason(other.to_string()),
    })?;
    Ok(database)
}

/// An error of redb, as a turn meets it.
pub(super) fn unavailable(error: redb::Error) -> Error {
    Error::Unavailable(format!("state file: {error}"))
}

/// A panic of redb, which it has on some kinds of damage, as a turn meets it.
pub(super) fn damaged(panic: &str) -> Error {
    Error::Unavailable(format!("state file: it is damaged: {panic}"))
}
