//! The writing thread of the state file: it takes waiting commits together into one transaction, in turn between the
//! agent types ([`lines`]).
//!
//! After a disk error (such as a full disk) redb refuses further work on the open database. The writer then closes and
//! reopens it before the next commit, so that the host recovers when the disk does. Writes into a file that is no
//! longer at its path ([`StateFile`]) are refused.

mod lines;

use std::sync::Arc;
use std::time::Duration;

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use self::lines::Lines;
use super::database::{Quota, Quotas, SharedDatabase, damaged, reopen_database, unavailable};
use super::fail_point::{FailPoint, FailPoints};
use super::state_file::StateFile;
use super::transaction::{self, LastingParts, ScheduleChange, Tables};
use super::usage::{Growth, TypeUsage};
use daca_base::clock::{Clock, millis};
use daca_base::shares::SharePermit;
use daca_base::{ErrorCode, panics};
use daca_model::ActorAddress;
use daca_model::backend::Error;

/// The interval at which expired values are removed from the file. Reads never see them.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// A request to the writer.
pub(super) enum Request {
    Commit(CommitRequest),
    /// Everything before it is on disk and the file is closed when the answer arrives.
    Close(oneshot::Sender<()>),
}

/// A turn to make durable, and the channel for its result.
pub(super) struct CommitRequest {
    pub(super) actor: ActorAddress,
    pub(super) turn: LastingParts,
    /// Its bytes.
    pub(super) bytes: usize,
    pub(super) done: oneshot::Sender<Result<Vec<ScheduleChange>, Error>>,
    /// Its place among the commits that wait.
    pub(super) _waits: SharePermit,
}

/// The writing thread.
pub(super) struct Writer {
    file: Arc<StateFile>,
    database: SharedDatabase,
    quotas: Quotas,
    usage: TypeUsage,
    /// Unix milliseconds.
    last_purge: u64,
    last_token: u64,
    clock: Clock,
    fail_points: FailPoints,
}

impl Writer {
    pub(super) fn new(
        file: Arc<StateFile>,
        database: SharedDatabase,
        (quotas, usage): (Quotas, TypeUsage),
        clock: Clock,
    ) -> Writer {
        let (last_purge, fail_points) = (clock.unix_ms(), FailPoints::from_environment());
        Writer { file, database, quotas, usage, last_purge, last_token: 0, clock, fail_points }
    }

    /// Runs until the store is closed or every handle is gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let (mut lines, mut closed) = (Lines::new(&self.quotas), None);
        while closed.is_none() || !lines.is_empty() {
            if closed.is_none() && !receive(&mut requests, &mut lines, &mut closed) {
                break;
            }
            self.commit_and_answer(lines.next_batch());
        }
        self.close();
        if let Some(done) = closed {
            // Nobody waits.
            done.send(()).ok();
        }
    }

    fn commit_and_answer(&mut self, batch: Vec<CommitRequest>) {
        if batch.is_empty() {
            return;
        }
        self.fail_points.pass(FailPoint::BeforeTransaction);
        let written = self.file.check().and_then(|()| self.commit_and_note(&batch));
        self.fail_points.pass(FailPoint::AfterCommit);
        // Writes into a file that has been removed in the meantime are not durable.
        match written.and_then(|results| self.file.check().map(|()| results)) {
            Ok(results) => {
                for (request, result) in batch.into_iter().zip(results) {
                    // The caller may be gone.
                    request.done.send(result).ok();
                }
                self.fail_points.pass(FailPoint::AfterAnswer);
            }
            Err(error) => {
                for request in batch {
                    // The caller may be gone.
                    request.done.send(Err(error.clone())).ok();
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
            let mut tables = Tables::open(&transaction)?;
            let now = self.clock.unix_ms();
            let mut growth = Growth::default();
            let mut results = Vec::with_capacity(batch.len());
            for CommitRequest { actor, turn, .. } in batch {
                let quota = self.quotas.get(&actor.agent_type).copied().unwrap_or(Quota::UNLIMITED);
                let type_bytes = self.usage.left(&actor.agent_type, quota.type_bytes, &growth);
                let quota = Quota { type_bytes, ..quota };
                let applied = transaction::apply(&mut tables, actor, turn, quota, now, &mut self.last_token)?;
                results.push(applied.map(|applied| {
                    growth.add(&actor.agent_type, applied.added, applied.freed);
                    applied.changes
                }));
            }
            if now.saturating_sub(self.last_purge) >= millis(PURGE_EVERY) {
                // If more of them are left, the next commit continues.
                let freed = |agent_type: &str, bytes| growth.add(agent_type, 0, bytes);
                if transaction::purge(&mut tables, now, freed)? {
                    self.last_purge = now;
                }
            }
            drop(tables);
            self.fail_points.pass(FailPoint::InTransaction);
            transaction.commit()?;
            Ok((results, growth))
        };
        // A panic would end the only writing thread, and with it every write until a restart.
        match panics::caught(ErrorCode::StateUnavailable, write) {
            Ok(Ok((results, growth))) => {
                self.usage.add(growth);
                Ok(results)
            }
            Ok(Err(error)) => Err(unavailable(error)),
            Err(panic) => Err(damaged(&panic)),
        }
    }

    /// The open database; reopens it after an error.
    fn open(&self) -> Result<Arc<Database>, Error> {
        let mut shared = self.database.write();
        if let Some(database) = &*shared {
            return Ok(database.clone());
        }
        let file = self.file.reopen()?;
        let database = reopen_database(self.file.path(), file);
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

/// Takes the requests that wait, and waits for one if there is none. Returns `false` if every handle is gone and nothing
/// is left to do.
fn receive(
    requests: &mut mpsc::Receiver<Request>,
    lines: &mut Lines,
    closed: &mut Option<oneshot::Sender<()>>,
) -> bool {
    let mut next = match lines.is_empty() {
        true => requests.blocking_recv(),
        false => requests.try_recv().ok(),
    };
    if next.is_none() && lines.is_empty() {
        return false;
    }
    while let Some(request) = next.take() {
        match request {
            Request::Commit(commit) => lines.push(commit),
            Request::Close(done) => {
                *closed = Some(done);
                break;
            }
        }
        next = requests.try_recv().ok();
    }
    true
}

#[cfg(test)]
mod power_loss;
