//! The state file of the embedded backend: the result of a turn, in one transaction, on disk before anybody learns of
//! it.
//!
//! The file is a redb database: a copy-on-write B-tree in one file, in pure Rust, whose commits are atomic and on disk
//! when they return, with no log to replay after a crash. The host promises this order of commit and answer, so
//! durability is never relaxed. A commit costs two fsyncs (two phases: the one-phase commit trusts a checksum that
//! somebody who controls the data, as a guest does, could forge). To share them among many actors, one thread writes:
//! it takes all commits that wait, or come while it writes, up to a number and a size, into one transaction, and answers
//! them together.
//!
//! The [`writer`](super::writer) alone changes the file, and [`database`](super::database) opens it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redb::{Database, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::backup::Snapshot;
use super::database::{self, OpenError, SharedDatabase, create_database, open_database, unavailable};
use super::state_file::StateFile;
use super::transaction::{
    self, Due, LastingParts, Quotas, STATE, ScheduleChange, WAKEUPS, WakeupRow, decode_value, wakeup_key,
};
use super::usage::TypeUsage;
use super::writer::{CommitRequest, Request, Writer};
use daca_base::clock::Clock;
use daca_base::files::{create_private_folder, kind_of};
use daca_base::shares::{SharedPool, Weights};
use daca_base::{ErrorCode, panics};
use daca_model::ActorAddress;
use daca_model::backend::{Error, Readiness, Registration, StateValue, TurnCommit, WakeupKey};

/// Commits that wait for the writer; further ones wait for a place.
const WAITING: usize = 1_024;
/// Their bytes.
const WAITING_BYTES: usize = 32 * 1024 * 1024;
/// What each commit counts at least, so that no more of them wait than [`WAITING`].
const MIN_BYTES: usize = WAITING_BYTES / WAITING;
/// The reads of actors' values at the same time. Each has a thread that may block, of 512 of the whole process, and holds
/// what it reads, up to a guest's memory. Most of the file is in memory, where a value takes some microseconds, and a disk
/// that has to be asked serves about as many requests at once.
const READS: usize = 16;
/// The interval at which the file is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A cheap handle to the state file.
#[derive(Clone)]
pub(super) struct Store {
    file: Arc<StateFile>,
    database: SharedDatabase,
    commits: mpsc::Sender<Request>,
    /// The bytes of the commits that wait.
    waiting: SharedPool,
    /// The reads of actors' values that run.
    reads: SharedPool,
    pub(super) usage: TypeUsage,
    pub(super) clock: Clock,
}

impl Store {
    /// Opens the file in a folder, creating both if they are missing, and starts the writer. `storage` bounds the bytes of
    /// all agent types. The second part of the result has every registered reminder and timer.
    pub(super) fn open(
        folder: &Path,
        quotas: Quotas,
        storage: Option<usize>,
        clock: Clock,
    ) -> Result<(Store, Vec<ScheduleChange>), OpenError> {
        let unwritable = |reason| OpenError::Unwritable { path: folder.to_owned(), reason };
        create_private_folder(folder).map_err(unwritable)?;
        let unfinished = folder.join("restore.unfinished");
        if unfinished.exists() {
            return Err(OpenError::Unfinished(unfinished));
        }
        let path = folder.join("state.redb");
        let damaged = |reason: String| OpenError::Damaged { path: path.clone(), reason };
        // Another part of the host writes there at each start, after this one.
        let was_used = folder.join("versions").exists();
        match std::fs::metadata(&path) {
            // To open a pipe or a device has effects.
            Ok(found) if !found.is_file() => {
                return Err(OpenError::NotAFile { path: path.clone(), kind: kind_of(found.file_type()) });
            }
            Ok(found) if was_used && found.len() == 0 => return Err(damaged("it is empty".into())),
            Err(_) if was_used => tracing::warn!(
                code = ErrorCode::StateMissing.as_str(),
                "{} is missing, though a host has used this folder: it starts without state, reminders and timers",
                path.display()
            ),
            _ => {}
        }
        create_database(&path)?;
        let (file, opened) =
            StateFile::open(&path).map_err(|reason| OpenError::Unwritable { path: path.clone(), reason })?;
        let weights = quotas.iter().map(|(name, quota)| (name.clone(), quota.weight)).collect::<Weights>();
        let shared = storage.map(|bytes| SharedPool::new("bytes on disk", bytes, &weights));
        let usage = TypeUsage::within(shared);
        let (database, scheduled) = panics::caught(ErrorCode::DataDamaged, || {
            let database = open_database(&path, opened)?;
            let scheduled = transaction::read_schedule(&database, clock.unix_ms())
                .map_err(|error| damaged(error.to_string()))?;
            let found = transaction::read_usage(&database, &usage);
            usage.add(found.map_err(|error| damaged(error.to_string()))?);
            Ok((database, scheduled))
        })
        .unwrap_or_else(|panic| Err(damaged(panic)))?;
        let database = Arc::new(RwLock::new(Some(Arc::new(database))));
        let (commits, requests) = mpsc::channel(WAITING);
        // Not before it is known to be a state file.
        file.protect();
        let file = Arc::new(file);
        let waiting = SharedPool::new("bytes of commits", WAITING_BYTES, &weights);
        let reads = SharedPool::new("state reads", READS, &weights);
        let writer = Writer::new(file.clone(), database.clone(), (quotas, usage.clone()), clock.clone());
        std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || writer.run(requests))
            .map_err(unwritable)?;
        Ok((Store { file, database, commits, waiting, reads, usage, clock }, scheduled))
    }

    /// Returns whether commits are durable.
    pub(super) fn readiness(&self) -> Readiness {
        self.file.readiness()
    }

    /// Watches the file until `shutdown`: whether it exists, and after a failed write, whether it can be written again.
    pub(super) async fn watch(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_some() {
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
        self.commit(&ActorAddress::unchecked("", ""), &Arc::default()).await.map(drop)
    }

    /// Reads values of an actor, up to the one with which they have more than `most_bytes` together. The file may have to be
    /// read, so it runs on a thread that may block, as soon as its agent type may have one more of those.
    pub(super) async fn read(
        &self,
        actor: &ActorAddress,
        keys: &[String],
        most_bytes: u64,
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let (actor, keys, clock) = (actor.clone(), keys.to_vec(), self.clock.clone());
        let permit = self.reads.acquire(&actor.agent_type, 1).await;
        self.with_database(move |database| {
            // The thread reads to its end even if nobody waits for it any more.
            let _permit = permit;
            let state = database.begin_read()?.open_table(STATE)?;
            let now = clock.unix_ms();
            let (mut values, mut bytes) = (Vec::with_capacity(keys.len()), 0_u64);
            for key in &keys {
                let row = state.get((&*actor.agent_type, &*actor.id, key.as_str()))?;
                let value = row.and_then(|row| decode_value(row.value(), now));
                bytes = bytes.saturating_add(value.as_ref().map_or(0, |value| value.value.len() as u64));
                values.push(value);
                if bytes > most_bytes {
                    break;
                }
            }
            Ok(values)
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
        let permit = self.reads.acquire(&actor.agent_type, 1).await;
        let row = self
            .with_database(move |database| {
                let _permit = permit;
                let table = database.begin_read()?.open_table(WAKEUPS)?;
                let row = table.get(wakeup_key(&actor, &key))?.map(|row| WakeupRow::decode(row.value()));
                Ok(row)
            })
            .await?;
        row.transpose()?.map(|row| row.into_registration(self.clock.unix_ms())).transpose()
    }

    /// What is committed at this instant, in a file that is as it was written.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, Error> {
        self.compare().await?;
        self.with_database(|database| Ok(Snapshot::new(database.begin_read()?))).await
    }

    /// Compares everything in the file with its checksums. A copy of what differs would have new ones, and pass for sound.
    async fn compare(&self) -> Result<(), Error> {
        let (done, compared) = oneshot::channel();
        let closed = || Error::Unavailable("the state file is closed".into());
        self.commits.send(Request::Compare(done)).await.map_err(|_| closed())?;
        compared.await.map_err(|_| closed())?
    }

    /// Makes a turn durable. Returns when it is on disk.
    pub(super) async fn commit(
        &self,
        actor: &ActorAddress,
        commit: &Arc<TurnCommit>,
    ) -> Result<Vec<ScheduleChange>, Error> {
        let bytes = bytes_of(commit);
        let _waits = self.waiting.acquire(&actor.agent_type, bytes.max(MIN_BYTES)).await;
        let (done, answer) = oneshot::channel();
        let turn = LastingParts(commit.clone());
        let gone = |_| Error::Unavailable("the state file is closed".into());
        self.commits
            .send(Request::Commit(CommitRequest { actor: actor.clone(), turn, bytes, done, _waits }))
            .await
            .map_err(|_| gone(()))?;
        let (result, _turn) = answer.await.map_err(|_| gone(()))?;
        result
    }

    /// What the agent types share of the bytes that wait to be written.
    pub(super) fn waiting(&self) -> &SharedPool {
        &self.waiting
    }

    /// What they share of the reads at the same time.
    pub(super) fn reads(&self) -> &SharedPool {
        &self.reads
    }

    /// Stops the writer. Later commits are refused.
    pub(super) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commits.send(Request::Close(done)).await.is_ok() {
            // It ended without an answer.
            closed.await.ok();
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
        let reading = tokio::task::spawn_blocking(move || {
            match panics::caught(ErrorCode::StateUnavailable, || read(&database)) {
                Ok(found) => found.map_err(unavailable),
                Err(panic) => Err(database::damaged(&panic)),
            }
        });
        reading
            .await
            .map_err(|error| Error::Unavailable(format!("the read of the state file ended early: {error}")))?
    }
}

/// The bytes of a commit, with the data of its reminders and timers.
fn bytes_of(commit: &TurnCommit) -> usize {
    let data = commit.wakeups.values().flatten().map(|registration| registration.data.len());
    usize::try_from(commit.bytes()).unwrap_or(usize::MAX).saturating_add(data.sum::<usize>())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use daca_model::backend::StateWrite;
    use tempfile::TempDir;

    use super::super::transaction::Quota;
    use super::*;

    fn actor(agent_type: &str) -> ActorAddress {
        ActorAddress::new(agent_type, "a").expect("an address")
    }

    fn open(folder: &TempDir) -> Store {
        let quotas = ["A", "B"].map(|name| (name.into(), Quota::UNLIMITED));
        let quotas = quotas.into_iter().collect::<Quotas>();
        let (store, _) =
            Store::open(folder.path(), quotas, None, Clock::of_process().clone()).expect("a state file");
        store
    }

    #[tokio::test]
    async fn the_reads_of_a_type_leave_some_for_its_neighbours() {
        let folder = TempDir::new().expect("a folder");
        let store = open(&folder);
        let hog = std::iter::from_fn(|| store.reads().try_now("A", 1)).collect::<Vec<_>>();
        assert_eq!(hog.len(), 14, "16 without the floor of B");
        let keys = ["key".to_owned()];
        let a = actor("A");
        let one_more = store.read(&a, &keys, u64::MAX);
        assert!(tokio::time::timeout(Duration::from_millis(20), one_more).await.is_err());
        assert!(matches!(store.read(&actor("B"), &keys, u64::MAX).await.as_deref(), Ok([None])));
        drop(hog);
        assert!(matches!(store.read(&actor("A"), &keys, u64::MAX).await.as_deref(), Ok([None])));
        assert_eq!(store.reads().used(), 0);
        store.close().await;
    }

    #[tokio::test]
    async fn a_read_ends_with_the_value_that_is_too_much() {
        let folder = TempDir::new().expect("a folder");
        let store = open(&folder);
        let keys = ["1", "2", "3"].map(str::to_owned);
        let write = || StateWrite::Set { value: Bytes::from_static(b"0123456789"), ttl: None };
        let writes = keys.iter().map(|key| (key.clone(), write())).collect();
        let commit = TurnCommit { writes, ..TurnCommit::default() };
        store.commit(&actor("A"), &commit.into()).await.expect("it is kept");
        for (most_bytes, expected) in [(0, 1), (10, 2), (19, 2), (20, 3), (30, 3)] {
            let read = store.read(&actor("A"), &keys, most_bytes).await.expect("the file is read");
            assert_eq!(read.iter().flatten().count(), expected, "{most_bytes}");
        }
        store.close().await;
    }
}
