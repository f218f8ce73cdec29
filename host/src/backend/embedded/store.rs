//! The state file of the embedded backend: what a turn produced, in one transaction, on disk before anybody hears of it.
//!
//! The file is a redb database: a copy-on-write B-tree in one file, in pure Rust, whose commits are atomic and are on
//! disk when they return, with no log to replay after a crash. That order of commit and answer is what the host
//! promises, so durability is never relaxed. A commit costs two fsyncs (two phases: the one-phase commit trusts a
//! checksum that somebody who controls the data, as a guest does, could forge). To make many actors share them, one thread
//! writes: it takes all commits that wait, up to [`BATCH`], into one transaction, and answers them together.
//!
//! After an error of the disk (full, say) redb refuses further work on the open database. The writer then closes and
//! reopens it before the next commit, so that the host goes on when the disk does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::actor::ActorAddress;
use crate::backend::{
    Error, FiredWakeup, Registration, StateValue, StateWrite, TurnCommit, WakeupKey, WakeupKind,
};

/// Commits that share one transaction.
const BATCH: usize = 512;
/// Commits that wait for the writer; further ones wait for a place.
const WAITING: usize = 1_024;
/// Bytes of the file that are kept in memory.
const PAGE_CACHE: usize = 64 * 1024 * 1024;
/// How often expired values are removed from the file. Reads do not see them in any case.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// Expired values that are removed in one go, so that a purge never holds up the commits for long.
const PURGE_BATCH: usize = 10_000;

/// (agent type, actor id, key) → 8 bytes of expiry in Unix milliseconds (0 = never), then the value.
const STATE: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("state");
/// (expiry in Unix milliseconds, agent type, actor id, key): what there is to purge.
const EXPIRIES: TableDefinition<(u64, &str, &str, &str), ()> = TableDefinition::new("expiries");
/// (reminder or timer, agent type, actor id, name) → [`WakeupRow`] in JSON.
const WAKEUPS: TableDefinition<(u8, &str, &str, &str), &[u8]> = TableDefinition::new("wakeups");

/// A cheap handle on the state file.
#[derive(Clone)]
pub(super) struct Store {
    database: SharedDatabase,
    commits: mpsc::Sender<Request>,
}

/// None while the writer reopens the file.
type SharedDatabase = Arc<RwLock<Option<Arc<Database>>>>;

/// What there is to do for the writer.
enum Request {
    Commit(CommitRequest),
    /// Everything before it is on disk and the file is closed when the answer comes.
    Close(oneshot::Sender<()>),
}

struct CommitRequest {
    actor: ActorAddress,
    batch: CommitParts,
    done: oneshot::Sender<Result<Vec<ScheduleChange>, Error>>,
}

/// The part of a [`TurnCommit`] that lasts.
struct CommitParts {
    writes: BTreeMap<String, StateWrite>,
    wakeups: BTreeMap<WakeupKey, Option<Registration>>,
    handled: Option<FiredWakeup>,
    ends_timers: bool,
}

/// What a commit means for the clock: when a reminder or timer fires next, if ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScheduleChange {
    pub(super) actor: ActorAddress,
    pub(super) key: WakeupKey,
    pub(super) next: Option<Due>,
}

/// The next firing of a reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) token: u128,
}

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "error[data-in-use]: {0} is in use by another host\n  help: stop that host, or give this one a folder of its own with --data DIR"
    )]
    InUse(PathBuf),
    /// The folder cannot be made or written.
    #[error(
        "error[data-unwritable]: {path}: {reason}\n  help: make the folder writable for this user and check that the disk is not full, or name another with --data DIR"
    )]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The file is no state file, or it is damaged.
    #[error(
        "error[data-damaged]: {path}: {reason}\n  help: move the file away to start empty, or put a backup in its place"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What redb said.
        reason: String,
    },
}

impl Store {
    /// Opens the file in a folder, making both when they are missing, and starts the writer. The second part is every
    /// reminder and timer that is registered.
    pub(super) fn open(folder: &Path) -> Result<(Store, Vec<ScheduleChange>), OpenError> {
        let unwritable = |error: std::io::Error| OpenError::Unwritable {
            path: folder.to_owned(),
            reason: error.to_string(),
        };
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        let path = folder.join("state.redb");
        let database = open_database(&path)?;
        let scheduled = read_schedule(&database)
            .map_err(|error| OpenError::Damaged { path: path.clone(), reason: error.to_string() })?;
        let database = Arc::new(RwLock::new(Some(Arc::new(database))));
        let (commits, requests) = mpsc::channel(WAITING);
        let writer =
            Writer { path, database: database.clone(), last_purge: SystemTime::now(), last_token: 0 };
        std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || writer.run(requests))
            .map_err(unwritable)?;
        Ok((Store { database, commits }, scheduled))
    }

    /// Reads values of an actor. The file may have to be read, so it runs on a thread that may block.
    pub(super) async fn read(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let (actor, keys) = (actor.clone(), keys.to_vec());
        self.with_database(move |database| {
            let state = database.begin_read()?.open_table(STATE)?;
            let now = unix_ms(SystemTime::now());
            keys.iter()
                .map(|key| {
                    let row = state.get((&*actor.agent_type, &*actor.id, key.as_str()))?;
                    Ok(row.and_then(|row| decode_value(row.value(), now)))
                })
                .collect()
        })
        .await
    }

    /// The registration of a reminder or timer, with when it fires next.
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
        row.transpose()?.map(|row| row.into_registration()).transpose()
    }

    /// Makes a turn last. Returns when it is on disk.
    pub(super) async fn commit(
        &self,
        actor: &ActorAddress,
        commit: &TurnCommit,
    ) -> Result<Vec<ScheduleChange>, Error> {
        let (done, answer) = oneshot::channel();
        let batch = CommitParts {
            writes: commit.writes.clone(),
            wakeups: commit.wakeups.clone(),
            handled: commit.handled.clone(),
            ends_timers: commit.ends_timers,
        };
        let gone = |_| Error::Unavailable("the state file is closed".into());
        self.commits
            .send(Request::Commit(CommitRequest { actor: actor.clone(), batch, done }))
            .await
            .map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// Ends the writer. Commits that come later are refused.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commits.send(Request::Close(done)).await.is_ok() {
            let _ended_without_answer = closed.await;
        }
    }

    async fn with_database<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(database) = database else {
            return Err(Error::Unavailable(
                "the state file is being reopened after an error of the disk".into(),
            ));
        };
        tokio::task::spawn_blocking(move || read(&database).map_err(unavailable))
            .await
            .map_err(|error| Error::Unavailable(format!("the read of the state file ended early: {error}")))?
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    database: SharedDatabase,
    last_purge: SystemTime,
    last_token: u64,
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
        match self.commit(&batch) {
            Ok(changes) => {
                for (request, changes) in batch.into_iter().zip(changes) {
                    let _caller_may_be_gone = request.done.send(Ok(changes));
                }
            }
            Err(error) => {
                tracing::error!(code = "state-unavailable", "the state file could not be written: {error}");
                self.close();
                for request in batch {
                    let _caller_may_be_gone = request.done.send(Err(error.clone()));
                }
            }
        }
    }

    fn commit(&mut self, batch: &[CommitRequest]) -> Result<Vec<Vec<ScheduleChange>>, Error> {
        let database = self.open()?;
        let mut write = || {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            let now = SystemTime::now();
            let changes = batch
                .iter()
                .map(|request| apply(&transaction, request, unix_ms(now), &mut self.last_token))
                .collect::<Result<Vec<_>, redb::Error>>()?;
            if now.duration_since(self.last_purge).unwrap_or_default() >= PURGE_EVERY {
                purge(&transaction, unix_ms(now))?;
                self.last_purge = now;
            }
            transaction.commit()?;
            Ok(changes)
        };
        write().map_err(unavailable)
    }

    /// The open database; opens it again when an error closed it.
    fn open(&self) -> Result<Arc<Database>, Error> {
        let mut shared = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*shared {
            return Ok(database.clone());
        }
        let database =
            Arc::new(open_database(&self.path).map_err(|error| Error::Unavailable(error.to_string()))?);
        tracing::info!("the state file is open again");
        *shared = Some(database.clone());
        Ok(database)
    }

    /// Closes the database once the reads that run have ended.
    fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
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

fn open_database(path: &Path) -> Result<Database, OpenError> {
    let reason = |error: String| OpenError::Damaged { path: path.to_owned(), reason: error };
    let database =
        Database::builder().set_cache_size(PAGE_CACHE).create(path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(path.to_owned()),
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() != std::io::ErrorKind::InvalidData =>
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
        transaction.open_table(WAKEUPS)?;
        Ok(transaction.commit()?)
    };
    make_tables().map_err(|error| match error {
        redb::Error::Io(error) => OpenError::Unwritable { path: path.to_owned(), reason: error.to_string() },
        other => reason(other.to_string()),
    })?;
    Ok(database)
}

fn apply(
    transaction: &WriteTransaction,
    request: &CommitRequest,
    now: u64,
    last_token: &mut u64,
) -> Result<Vec<ScheduleChange>, redb::Error> {
    let CommitRequest { actor, batch, .. } = request;
    if !batch.writes.is_empty() {
        let mut state = transaction.open_table(STATE)?;
        let mut expiries = transaction.open_table(EXPIRIES)?;
        for (key, write) in &batch.writes {
            let at = (&*actor.agent_type, &*actor.id, key.as_str());
            let old = match write {
                StateWrite::Delete => state.remove(at)?,
                StateWrite::Set { value, ttl } => {
                    let expiry = ttl.map_or(0, |ttl| now.saturating_add(millis(ttl)));
                    if expiry != 0 {
                        expiries.insert((expiry, at.0, at.1, at.2), ())?;
                    }
                    state.insert(at, [&expiry.to_le_bytes()[..], value].concat().as_slice())?
                }
            };
            let old_expiry = old.map_or(0, |old| expiry_of(old.value()));
            if old_expiry != 0
                && !matches!(write, StateWrite::Set { ttl: Some(ttl), .. } if now.saturating_add(millis(*ttl)) == old_expiry)
            {
                expiries.remove((old_expiry, at.0, at.1, at.2))?;
            }
        }
    }
    if batch.handled.is_none() && batch.wakeups.is_empty() && !batch.ends_timers {
        return Ok(Vec::new());
    }
    let mut table = transaction.open_table(WAKEUPS)?;
    let mut changes = BTreeMap::new();
    if let Some(fired) = &batch.handled {
        let row = table.get(wakeup_key(actor, &fired.key))?.map(|row| row.value().to_vec());
        // Another registration under the same name is not this firing's to advance.
        if let Some(Ok(row)) = row.map(|row| WakeupRow::decode(&row))
            && row.due().token == fired.token
        {
            changes.insert(fired.key.clone(), row.after_firing(now));
        }
    }
    if batch.ends_timers {
        let timer = WakeupKind::Timer as u8;
        let first = (timer, &*actor.agent_type, &*actor.id, "");
        for row in table.range(first..)? {
            let (key, _) = row?;
            let (kind, agent_type, id, name) = key.value();
            if (kind, agent_type, id) != (timer, &*actor.agent_type, &*actor.id) {
                break;
            }
            changes.insert(WakeupKey { kind: WakeupKind::Timer, name: name.to_owned() }, None);
        }
    }
    for (key, registration) in &batch.wakeups {
        *last_token += 1;
        let row = registration.as_ref().map(|registration| WakeupRow::new(registration, now, *last_token));
        changes.insert(key.clone(), row);
    }
    for (key, row) in &changes {
        match row {
            Some(row) => table.insert(wakeup_key(actor, key), row.encode().as_slice())?,
            None => table.remove(wakeup_key(actor, key))?,
        };
    }
    let change = |(key, row): (WakeupKey, Option<WakeupRow>)| ScheduleChange {
        actor: actor.clone(),
        key,
        next: row.map(|row| row.due()),
    };
    Ok(changes.into_iter().map(change).collect())
}

fn purge(transaction: &WriteTransaction, now: u64) -> Result<(), redb::Error> {
    let mut expiries = transaction.open_table(EXPIRIES)?;
    let mut state = transaction.open_table(STATE)?;
    let mut expired = Vec::new();
    for row in expiries.range(..(now, "", "", ""))?.take(PURGE_BATCH) {
        let (key, _) = row?;
        let (expiry, agent_type, id, key) = key.value();
        expired.push((expiry, agent_type.to_owned(), id.to_owned(), key.to_owned()));
    }
    for (expiry, agent_type, id, key) in &expired {
        let at = (agent_type.as_str(), id.as_str(), key.as_str());
        expiries.remove((*expiry, at.0, at.1, at.2))?;
        let is_same = state.get(at)?.is_some_and(|row| expiry_of(row.value()) == *expiry);
        if is_same {
            state.remove(at)?;
        }
    }
    Ok(())
}

fn read_schedule(database: &Database) -> Result<Vec<ScheduleChange>, redb::Error> {
    let table = database.begin_read()?.open_table(WAKEUPS)?;
    let mut scheduled = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let (kind, agent_type, id, name) = key.value();
        let kind = if kind == WakeupKind::Reminder as u8 { WakeupKind::Reminder } else { WakeupKind::Timer };
        let Ok(row) = WakeupRow::decode(value.value()) else {
            tracing::error!(
                "the registration {name:?} of {agent_type}/{id} cannot be read and is left alone"
            );
            continue;
        };
        scheduled.push(ScheduleChange {
            actor: ActorAddress::unchecked(agent_type, id),
            key: WakeupKey { kind, name: name.to_owned() },
            next: Some(row.due()),
        });
    }
    Ok(scheduled)
}

/// A reminder or timer in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WakeupRow {
    /// Tells this registration from another of the same name; times the number of a run of the host makes it unique.
    registered_unix_ms: u64,
    sequence: u64,
    next_unix_ms: u64,
    ends_unix_ms: Option<u64>,
    due_ms: u64,
    period_ms: Option<u64>,
    ttl_ms: Option<u64>,
    data: String,
}

impl WakeupRow {
    fn new(registration: &Registration, now: u64, sequence: u64) -> WakeupRow {
        WakeupRow {
            registered_unix_ms: now,
            sequence,
            next_unix_ms: now.saturating_add(millis(registration.due)),
            ends_unix_ms: registration.ttl.map(|ttl| now.saturating_add(millis(ttl))),
            due_ms: millis(registration.due),
            period_ms: registration.period.map(millis),
            ttl_ms: registration.ttl.map(millis),
            data: base64::engine::general_purpose::STANDARD.encode(&registration.data),
        }
    }

    /// Registration and firing in one number: a firing may advance only what it fired for.
    fn due(&self) -> Due {
        let registration = u128::from(self.registered_unix_ms ^ (self.sequence << 42)) << 64;
        Due { at: self.next_unix_ms, token: registration | u128::from(self.next_unix_ms) }
    }

    /// What is left after a firing at `now`: firings that were missed are not made up for.
    fn after_firing(mut self, now: u64) -> Option<WakeupRow> {
        let period = self.period_ms?.max(1);
        let missed = now.saturating_sub(self.next_unix_ms) / period;
        self.next_unix_ms = self.next_unix_ms.saturating_add(period.saturating_mul(missed + 1));
        let ended = self.ends_unix_ms.is_some_and(|end| self.next_unix_ms > end);
        (!ended).then_some(self)
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn decode(bytes: &[u8]) -> Result<WakeupRow, Error> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::Other(format!("a registration cannot be read: {error}")))
    }

    fn into_registration(self) -> Result<(Registration, Due), Error> {
        let due = self.due();
        let data = base64::engine::general_purpose::STANDARD
            .decode(&self.data)
            .map_err(|error| Error::Other(format!("a registration cannot be read: {error}")))?;
        let registration = Registration {
            due: Duration::from_millis(self.due_ms),
            period: self.period_ms.map(Duration::from_millis),
            ttl: self.ttl_ms.map(Duration::from_millis),
            data: Bytes::from(data),
        };
        Ok((registration, due))
    }
}

fn wakeup_key<'a>(actor: &'a ActorAddress, key: &'a WakeupKey) -> (u8, &'a str, &'a str, &'a str) {
    (key.kind as u8, &actor.agent_type, &actor.id, &key.name)
}

fn expiry_of(row: &[u8]) -> u64 {
    row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn decode_value(row: &[u8], now: u64) -> Option<StateValue> {
    let (_, value) = row.split_first_chunk::<8>()?;
    let expiry = expiry_of(row);
    if expiry != 0 && expiry <= now {
        return None;
    }
    let expires_at = (expiry != 0).then(|| UNIX_EPOCH + Duration::from_millis(expiry));
    Some(StateValue { value: Bytes::copy_from_slice(value), expires_at })
}

fn unavailable(error: redb::Error) -> Error {
    Error::Unavailable(format!("state file: {error}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
