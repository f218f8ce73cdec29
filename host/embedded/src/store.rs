//! The state file of the embedded backend: the result of a turn, in one transaction, on disk before anybody learns of
//! it.
//!
//! The file is a redb database: a copy-on-write B-tree in one file, in pure Rust, whose commits are atomic and on disk
//! when they return, with no log to replay after a crash. The host promises this order of commit and answer, so
//! durability is never relaxed. A commit costs two fsyncs (two phases: the one-phase commit trusts a checksum that
//! somebody who controls the data, as a guest does, could forge). To share them among many actors, one thread writes:
//! it takes all waiting commits, up to [`BATCH`], into one transaction, and answers them together.
//!
//! After a disk error (such as a full disk) redb refuses further work on the open database. The writer then closes and
//! reopens it before the next commit, so that the host recovers when the disk does. Writes into a file that is no
//! longer at its path ([`StateFile`]) are refused.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::state_file::StateFile;
use super::transaction::{
    self, Due, EXPIRIES, LastingParts, STATE, ScheduleChange, USAGE, WAKEUPS, WakeupRow, decode_value,
    wakeup_key,
};
use daca_base::ErrorCode;
use daca_base::clock::{Clock, millis};
use daca_base::files::create_private_folder;
use daca_model::ActorAddress;
use daca_model::backend::{Error, Readiness, Registration, StateValue, TurnCommit, WakeupKey};

/// Commits that share one transaction.
const BATCH: usize = 512;
/// Commits that wait for the writer; further ones wait for a slot.
const WAITING: usize = 1_024;
/// The bytes of the file that are cached in memory.
const PAGE_CACHE: usize = 64 * 1024 * 1024;
/// The interval at which expired values are removed from the file. Reads never see them.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// The interval at which the file is checked.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// A cheap handle to the state file.
#[derive(Clone)]
pub(super) struct Store {
    file: Arc<StateFile>,
    database: SharedDatabase,
    commits: mpsc::Sender<Request>,
    pub(super) clock: Clock,
}

/// The bytes of state that one actor of an agent type may have.
pub(super) type Quotas = HashMap<Arc<str>, u64>;

/// `None` while the writer reopens the file.
type SharedDatabase = Arc<RwLock<Option<Arc<Database>>>>;

/// A request to the writer.
enum Request {
    Commit(CommitRequest),
    /// Everything before it is on disk and the file is closed when the answer arrives.
    Close(oneshot::Sender<()>),
}

struct CommitRequest {
    actor: ActorAddress,
    turn: LastingParts,
    done: oneshot::Sender<Result<Vec<ScheduleChange>, Error>>,
}

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "error[{code}]: {0} is in use by another host\n  help: stop that host, or give this one a folder of its own with --data DIR",
        code = ErrorCode::DataInUse
    )]
    InUse(PathBuf),
    /// The folder cannot be created or written.
    #[error(
        "error[{code}]: {path}: {reason}\n  help: make the folder writable for this user and check that the disk is not full, or name another with --data DIR",
        code = ErrorCode::DataUnwritable
    )]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        reason: String,
    },
    /// The file is not a state file, or it is damaged.
    #[error(
        "error[{code}]: {path}: {reason}\n  help: move the file away to start empty, or put a backup in its place",
        code = ErrorCode::DataDamaged
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// redb's error.
        reason: String,
    },
}

impl Store {
    /// Opens the file in a folder, creating both if they are missing, and starts the writer. The second part of the
    /// result has every registered reminder and timer.
    pub(super) fn open(
        folder: &Path,
        quotas: Quotas,
        clock: Clock,
    ) -> Result<(Store, Vec<ScheduleChange>), OpenError> {
        let unwritable = |error: std::io::Error| OpenError::Unwritable {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        create_private_folder(folder).map_err(unwritable)?;
        let path = folder.join("state.redb");
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        let (file, opened) = StateFile::open(&path)
            .map_err(|error| OpenError::Unwritable { path: path.clone(), reason: error.to_string() })?;
        let (database, scheduled) = catch_panic(|| {
            let database = open_database(&path, opened)?;
            let scheduled = transaction::read_schedule(&database, clock.unix_ms())
                .map_err(|error| damaged(error.to_string()))?;
            Ok((database, scheduled))
        })
        .unwrap_or_else(|panic| Err(damaged(panic)))?;
        let database = Arc::new(RwLock::new(Some(Arc::new(database))));
        let (commits, requests) = mpsc::channel(WAITING);
        // Not before it is known to be a state file.
        file.protect();
        let file = Arc::new(file);
        let writer = Writer {
            file: file.clone(),
            database: database.clone(),
            quotas,
            last_purge: clock.unix_ms(),
            last_token: 0,
            clock: clock.clone(),
        };
        std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || writer.run(requests))
            .map_err(unwritable)?;
        Ok((Store { file, database, commits, clock }, scheduled))
    }

    /// Returns whether commits are durable.
    pub(super) fn readiness(&self) -> Readiness {
        self.file.readiness()
    }

    /// Watches the file until `shutdown`: whether it exists, and after a failed write, whether it can be written again.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_PERIOD)).await.is_some() {
            let file = self.file.clone();
            let is_there = tokio::task::spawn_blocking(move || file.check().is_ok()).await;
            if is_there.unwrap_or(false) && self.file.failed() {
                // The writer records the result.
                let _noted = self.write_nothing().await;
            }
        }
    }

    /// Reopens the file if it was closed after an error.
    async fn write_nothing(&self) -> Result<(), Error> {
        self.commit(&ActorAddress::unchecked("", ""), &TurnCommit::default()).await.map(drop)
    }

    /// Reads values of an actor. The file may have to be read, so it runs on a thread that may block.
    pub(super) async fn read(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let (actor, keys, clock) = (actor.clone(), keys.to_vec(), self.clock.clone());
        self.with_database(move |database| {
            let state = database.begin_read()?.open_table(STATE)?;
            let now = clock.unix_ms();
            keys.iter()
                .map(|key| {
                    let row = state.get((&*actor.agent_type, &*actor.id, key.as_str()))?;
                    Ok(row.and_then(|row| decode_value(row.value(), now)))
                })
                .collect()
        })
        .await
    }

    /// The registration of a reminder or timer, with its next firing.
    pub(super) async fn wakeup(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
    ) -> Result<Option<(Registration, Due)>, Error> {
        let (actor, key) = (actor.clone(), key.clone());
        let row = self
            .with_database(move |database| {
                let table = database.begin_read()?.open_table(WAKEUPS)?;
                let row = table.get(wakeup_key(&actor, &key))?.map(|row| WakeupRow::decode(row.value()));
                Ok(row)
            })
            .await?;
        row.transpose()?.map(|row| row.into_registration(self.clock.unix_ms())).transpose()
    }

    /// Makes a turn durable. Returns when it is on disk.
    pub(super) async fn commit(
        &self,
        actor: &ActorAddress,
        commit: &TurnCommit,
    ) -> Result<Vec<ScheduleChange>, Error> {
        let (done, answer) = oneshot::channel();
        let turn = LastingParts::of(commit);
        let gone = |_| Error::Unavailable("the state file is closed".into());
        self.commits
            .send(Request::Commit(CommitRequest { actor: actor.clone(), turn, done }))
            .await
            .map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Stops the writer. Later commits are refused.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commits.send(Request::Close(done)).await.is_ok() {
            let _ended_without_answer = closed.await;
        }
    }

    pub(super) async fn with_database<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let open = || self.database.read().clone();
        if open().is_none() {
            // Only the writer opens the file, with its next commit. A turn that cannot read would never get there.
            self.write_nothing().await?;
        }
        let Some(database) = open() else {
            return Err(Error::Unavailable(
                "the state file is being reopened after an error of the disk".into(),
            ));
        };
        tokio::task::spawn_blocking(move || read(&database).map_err(unavailable))
            .await
            .map_err(|error| Error::Unavailable(format!("the read of the state file ended early: {error}")))?
    }
}

/// The writing thread.
struct Writer {
    file: Arc<StateFile>,
    database: SharedDatabase,
    /// The bytes that an actor of each type may have.
    quotas: Quotas,
    /// Unix milliseconds.
    last_purge: u64,
    last_token: u64,
    clock: Clock,
}

impl Writer {
    /// Runs until the store is closed or every handle is gone.
    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut closed = None;
        while closed.is_none()
            && let Some(first) = requests.blocking_recv()
        {
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(request) = next.take() {
                match request {
                    Request::Commit(commit) => batch.push(commit),
                    Request::Close(done) => {
                        closed = Some(done);
                        break;
                    }
                }
                if batch.len() < BATCH {
                    next = requests.try_recv().ok();
                }
            }
            self.commit_and_answer(batch);
        }
        self.close();
        if let Some(done) = closed {
            let _nobody_waits = done.send(());
        }
    }

    fn commit_and_answer(&mut self, batch: Vec<CommitRequest>) {
        if batch.is_empty() {
            return;
        }
        let written = self.file.check().and_then(|()| self.commit_and_note(&batch));
        // Writes into a file that has been removed in the meantime are not durable.
        match written.and_then(|results| self.file.check().map(|()| results)) {
            Ok(results) => {
                for (request, result) in batch.into_iter().zip(results) {
                    let _caller_may_be_gone = request.done.send(result);
                }
            }
            Err(error) => {
                for request in batch {
                    let _caller_may_be_gone = request.done.send(Err(error.clone()));
                }
            }
        }
    }

    /// The error is the file's, which is then closed.
    fn commit_and_note(
        &mut self,
        batch: &[CommitRequest],
    ) -> Result<Vec<Result<Vec<ScheduleChange>, Error>>, Error> {
        let written = self.commit(batch);
        self.file.note(written.as_ref().map(drop));
        if written.is_err() {
            self.close();
        }
        written
    }

    /// The outer error is the file's, and nothing was written; an inner one rejects only one turn.
    fn commit(&mut self, batch: &[CommitRequest]) -> Result<Vec<Result<Vec<ScheduleChange>, Error>>, Error> {
        let database = self.open()?;
        let write = || {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            let now = self.clock.unix_ms();
            let mut results = Vec::with_capacity(batch.len());
            for CommitRequest { actor, turn, .. } in batch {
                let quota = self.quotas.get(&actor.agent_type).copied().unwrap_or(u64::MAX);
                results.push(transaction::apply(
                    &transaction,
                    actor,
                    turn,
                    quota,
                    now,
                    &mut self.last_token,
                )?);
            }
            if now.saturating_sub(self.last_purge) >= millis(PURGE_EVERY) {
                // If more of them are left, the next commit continues.
                if transaction::purge(&transaction, now)? {
                    self.last_purge = now;
                }
            }
            transaction.commit()?;
            Ok(results)
        };
        // A panic would end the only writing thread, and with it every write until a restart.
        match catch_panic(write) {
            Ok(results) => results.map_err(unavailable),
            Err(panic) => Err(Error::Unavailable(format!("state file: it is damaged: {panic}"))),
        }
    }

    /// The open database; reopens it after an error.
    fn open(&self) -> Result<Arc<Database>, Error> {
        let mut shared = self.database.write();
        if let Some(database) = &*shared {
            return Ok(database.clone());
        }
        let file = self.file.reopen()?;
        let database = open_database(self.file.path(), file);
        let database = Arc::new(database.map_err(|error| Error::Unavailable(error.to_string()))?);
        *shared = Some(database.clone());
        Ok(database)
    }

    /// Closes the database once the running reads have ended.
    fn close(&self) {
        let database = self.database.write().take();
        let Some(mut database) = database else { return };
        loop {
            match Arc::try_unwrap(database) {
                Ok(last) => {
                    if let Err(error) = last.close() {
                        tracing::warn!("closing the state file: {error}");
                    }
                    return;
                }
                Err(still_read) => database = still_read,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// redb panics on some kinds of damage. Its message is returned as text.
fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("its reader failed").to_owned()
    })
}

fn open_database(path: &Path, file: File) -> Result<Database, OpenError> {
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

fn unavailable(error: redb::Error) -> Error {
    Error::Unavailable(format!("state file: {error}"))
}
