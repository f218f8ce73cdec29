//! The state file that is made from a backup.
//!
//! A backup has the values, reminders and timers. What the file has besides, the index of expiries and each actor's
//! disk use, is made anew. Rows are written in batches, so that a backup may be larger than the memory; nobody uses the
//! file before [`StateRestore::finish`] has returned.

use std::path::{Path, PathBuf};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata as _};

use super::backup::Row;
use super::database::{OpenError, open_database};
use super::state_file::StateFile;
use super::transaction::{EXPIRY_BYTES, Tables, USAGE, WakeupRow, entry_bytes, expiry_of, is_counted};
use daca_base::{ErrorCode, Explained, Explanation};
use daca_model::{check_actor_id, check_agent_type};

/// The rows that are written in one transaction.
const BATCH_ROWS: usize = 10_000;
/// The bytes after which a transaction ends earlier.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Why the state cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The new file cannot be written.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A row that no host has written.
    #[error("{0}")]
    Row(&'static str),
}

impl Explained for RestoreError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        match self {
            RestoreError::File(error) => error.explanation(),
            RestoreError::Row(_) => {
                Some(Explanation::new(ErrorCode::BackupDamaged, "use another copy of it, or another backup"))
            }
        }
    }
}

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoredState {
    /// The actors that have any state.
    pub actors: u64,
    /// Values.
    pub values: u64,
    /// Reminders and timers.
    pub wakeups: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

/// A state file that is being made.
pub struct StateRestore {
    path: PathBuf,
    database: Database,
    /// What is written next: the frames of values (`false`) and of reminders and timers (`true`).
    waiting: Vec<(bool, Vec<u8>)>,
    waiting_bytes: usize,
    restored: RestoredState,
}

impl StateRestore {
    /// Creates the file `state.redb` in a folder that has none.
    pub fn create(folder: &Path) -> Result<StateRestore, RestoreError> {
        let path = folder.join("state.redb");
        let (_, opened) =
            StateFile::open(&path).map_err(|reason| OpenError::Unwritable { path: path.clone(), reason })?;
        let database = open_database(&path, opened)?;
        let restored = RestoredState::default();
        Ok(StateRestore { path, database, waiting: Vec::new(), waiting_bytes: 0, restored })
    }

    /// Adds a value.
    pub fn add_state(&mut self, frame: Vec<u8>) -> Result<(), RestoreError> {
        self.add(false, frame)
    }

    /// Adds a reminder or timer.
    pub fn add_wakeup(&mut self, frame: Vec<u8>) -> Result<(), RestoreError> {
        self.add(true, frame)
    }

    /// Writes the rest. The file is on disk and closed when this returns.
    pub fn finish(mut self) -> Result<RestoredState, RestoreError> {
        self.write_waiting()?;
        let StateRestore { path, database, restored, .. } = self;
        let count = || -> Result<u64, redb::Error> { Ok(database.begin_read()?.open_table(USAGE)?.len()?) };
        let actors = count().map_err(|error| unwritable(&path, error))?;
        database.close().map_err(|error| unwritable(&path, error.into()))?;
        Ok(RestoredState { actors, ..restored })
    }

    fn add(&mut self, is_wakeup: bool, frame: Vec<u8>) -> Result<(), RestoreError> {
        self.waiting_bytes += frame.len();
        self.waiting.push((is_wakeup, frame));
        if self.waiting.len() < BATCH_ROWS && self.waiting_bytes < BATCH_BYTES {
            return Ok(());
        }
        self.write_waiting()
    }

    fn write_waiting(&mut self) -> Result<(), RestoreError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let written = self.write(&waiting).map_err(|error| unwritable(&self.path, error))?;
        written.map_err(RestoreError::Row)
    }

    /// Writes rows in one transaction. The outer error is the file's; the inner one is that of a row.
    fn write(&mut self, rows: &[(bool, Vec<u8>)]) -> Result<Result<(), &'static str>, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_two_phase_commit(true);
        let mut tables = Tables::open(&transaction)?;
        for (is_wakeup, frame) in rows {
            let Some(row) = Row::read(*is_wakeup, frame).filter(is_valid) else {
                return Ok(Err("it contains a row that no host has written"));
            };
            if !tables.add(row)? {
                return Ok(Err("it contains a row twice"));
            }
            let count = if *is_wakeup { &mut self.restored.wakeups } else { &mut self.restored.values };
            *count += 1;
            self.restored.bytes += row.value.len() as u64;
        }
        drop(tables);
        transaction.commit()?;
        Ok(Ok(()))
    }
}

fn unwritable(path: &Path, error: redb::Error) -> RestoreError {
    let reason = match error {
        redb::Error::Io(error) => error,
        other => std::io::Error::other(other.to_string()),
    };
    OpenError::Unwritable { path: path.to_owned(), reason }.into()
}

/// Returns `true` if a host could have written the row.
fn is_valid(row: &Row<'_>) -> bool {
    let has_address = check_agent_type(row.agent_type).is_ok() && check_actor_id(row.id).is_ok();
    let has_value = match row.wakeup {
        Some(_) => WakeupRow::decode(row.value).is_ok(),
        None => row.value.len() >= EXPIRY_BYTES,
    };
    has_address && has_value
}

impl Tables<'_> {
    /// Adds a row, with its entries in the index and in the disk use. Returns `false` if it was there already.
    fn add(&mut self, row: Row<'_>) -> Result<bool, redb::Error> {
        let Row { wakeup, agent_type, id, key, value } = row;
        let (was_there, bytes) = match wakeup {
            Some(kind) => {
                let old = self.wakeups.open()?.insert((kind as u8, agent_type, id, key), value)?;
                (old.is_some(), value.len())
            }
            None => {
                let expiry = expiry_of(value);
                if expiry != 0 {
                    self.expiries.open()?.insert((expiry, agent_type, id, key), ())?;
                }
                let old = self.state.insert((agent_type, id, key), value)?;
                (old.is_some(), value.len() - EXPIRY_BYTES)
            }
        };
        if is_counted(wakeup, key) {
            let used = self.usage.get((agent_type, id))?.map_or(0, |used| used.value());
            self.usage.insert((agent_type, id), used + entry_bytes(key, bytes))?;
        }
        Ok(!was_there)
    }
}

#[cfg(test)]
mod tests;
