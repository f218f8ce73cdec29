//! The writing thread of the state file: it takes waiting commits together into one transaction, and those that come
//! while it writes the first of them ([`queue`]), in turn between the agent types ([`lines`]).
//!
//! After a disk error (such as a full disk) redb refuses further work on the open database. The writer then closes and
//! reopens it before the next commit, so that the host recovers when the disk does. Writes into a file that is no
//! longer at its path ([`StateFile`]) are refused.

mod lines;
mod queue;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use redb::Database;
use tokio::sync::mpsc;

use self::queue::{Batch, Next, Queue};
use self::request::Committed;
pub(super) use self::request::{CommitRequest, Request};
use super::database::{OpenError, SharedDatabase, damaged, open_database, reopen_database, unavailable};
use super::fail_point::{FailPoint, FailPoints};
use super::state_file::StateFile;
use super::transaction::{self, Quota, Quotas, Tables};
use super::usage::{Growth, TypeUsage};
use daca_base::clock::{Clock, millis};
use daca_base::{ErrorCode, panics, task};
use daca_model::backend::Error;

/// A file that was at its path so short a time ago is not looked at again before a transaction, but after it.
const CHECKED_RECENTLY: Duration = Duration::from_millis(1);
/// The interval at which expired values are removed from the file. Reads never see them.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// The writing thread.
pub(super) struct Writer {
    file: Arc<StateFile>,
    /// When the file was at its path after a transaction.
    checked: Option<Instant>,
    database: SharedDatabase,
    quotas: Quotas,
    usage: TypeUsage,
    /// Unix milliseconds.
    last_purge: u64,
    last_token: u64,
    clock: Clock,
    fail_points: FailPoints,
    has_begun: bool,
    /// The file is compared with its checksums when it is opened next.
    compares: bool,
    /// What a comparison has found. The file stays closed.
    damage: Option<Error>,
}

impl Writer {
    pub(super) fn new(
        file: Arc<StateFile>,
        database: SharedDatabase,
        (quotas, usage): (Quotas, TypeUsage),
        clock: Clock,
    ) -> Writer {
        let (last_purge, fail_points) = (clock.unix_ms(), FailPoints::from_environment());
        Writer {
            file,
            checked: None,
            database,
            quotas,
            usage,
            last_purge,
            last_token: 0,
            clock,
            fail_points,
            has_begun: false,
            compares: false,
            damage: None,
        }
    }

    /// Runs until the store is closed or every handle is gone.
    pub(super) fn run(mut self, requests: mpsc::Receiver<Request>) {
        let mut queue = Queue::new(requests, &self.quotas);
        task::lasting_thread("state writer", || self.serve(&mut queue));
        self.close();
        if let Some(done) = queue.closes {
            // Nobody waits.
            done.send(()).ok();
        }
    }

    fn serve(&mut self, queue: &mut Queue) {
        if std::mem::replace(&mut self.has_begun, true) {
            // It has panicked. The host is not ready until a transaction shows that it works again.
            self.file.note(Err(&Error::Unavailable("its writer panicked".into())));
        }
        while let Some(next) = queue.wait() {
            match next {
                Next::Commit(first) => self.commit_and_answer(first, queue),
                Next::Compare(done) => {
                    // Whoever asked may be gone.
                    done.send(self.compare()).ok();
                }
            }
        }
    }

    /// Compares everything in the file with its checksums, as a start does: redb does that for a file that it opens. Calls
    /// wait meanwhile. A damaged file stays closed, so that no actor is served a value that it has not written.
    fn compare(&mut self) -> Result<(), Error> {
        self.close();
        self.compares = true;
        let compared = self.open().map(drop);
        if let Err(error) = &compared {
            self.file.note(Err(error));
        }
        compared
    }

    fn commit_and_answer(&mut self, first: CommitRequest, queue: &mut Queue) {
        let mut batch = Batch::default();
        batch.add(first);
        self.fail_points.pass(FailPoint::BeforeTransaction);
        let written = self.check_before().and_then(|()| self.commit_and_note(&mut batch, queue));
        self.fail_points.pass(FailPoint::AfterCommit);
        queue.is_busy = batch.requests.len() > 1;
        // Writes into a file that has been removed in the meantime are not durable.
        match written.and_then(|results| self.check_after().map(|()| results)) {
            Ok(results) => {
                for (CommitRequest { turn, done, .. }, result) in batch.requests.into_iter().zip(results) {
                    // The caller may be gone.
                    done.send((result, turn)).ok();
                }
                self.fail_points.pass(FailPoint::AfterAnswer);
            }
            Err(error) => {
                for CommitRequest { turn, done, .. } in batch.requests {
                    // The caller may be gone.
                    done.send((Err(error.clone()), turn)).ok();
                }
            }
        }
    }

    /// Fails if the file is not at its path. It is looked at with a system call, which costs as much as two small turns.
    fn check_before(&self) -> Result<(), Error> {
        match self.checked {
            Some(checked) if checked.elapsed() < CHECKED_RECENTLY => Ok(()),
            _ => self.file.check(),
        }
    }

    /// The same after a transaction. Nobody is told of one before this.
    fn check_after(&mut self) -> Result<(), Error> {
        let checked = self.file.check();
        self.checked = checked.is_ok().then(Instant::now);
        checked
    }

    /// The error is the file's, which is then closed.
    fn commit_and_note(&mut self, batch: &mut Batch, queue: &mut Queue) -> Result<Vec<Committed>, Error> {
        let written = self.commit(batch, queue);
        self.file.note(written.as_ref().map(drop));
        if written.is_err() {
            self.close();
        }
        written
    }

    /// Commits a batch, with what else waits. The outer error is the file's, and nothing was written; an inner one rejects
    /// only one turn.
    fn commit(&mut self, batch: &mut Batch, queue: &mut Queue) -> Result<Vec<Committed>, Error> {
        let database = self.open()?;
        let write = || -> Result<(Vec<Committed>, Growth), redb::Error> {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            let mut tables = Tables::open(&transaction)?;
            let mut growth = self.usage.growth();
            let results = self.apply(&mut tables, batch, queue, &mut growth)?;
            let now = self.clock.unix_ms();
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

    /// Applies a batch, and what comes in the meantime, until nothing has come: a transaction costs more than most of what
    /// is in it.
    fn apply(
        &mut self,
        tables: &mut Tables<'_>,
        batch: &mut Batch,
        queue: &mut Queue,
        growth: &mut Growth,
    ) -> Result<Vec<Committed>, redb::Error> {
        let (mut results, mut gave_way) = (Vec::new(), false);
        loop {
            if !queue.fill(batch) && results.len() == batch.requests.len() {
                // Of several actors more may be about to commit, and only wait for this processor. On one that nobody else
                // needs it costs nothing.
                if results.len() < 2 || std::mem::replace(&mut gave_way, true) {
                    return Ok(results);
                }
                std::thread::yield_now();
                continue;
            }
            // Not before they came: what they register must not be due too early.
            let now = self.clock.unix_ms();
            for CommitRequest { actor, turn, .. } in &batch.requests[results.len()..] {
                let quota = self.quotas.get(&actor.agent_type).copied().unwrap_or(Quota::UNLIMITED);
                // With what the transaction has added so far.
                let type_bytes = self.usage.left(&actor.agent_type, quota.type_bytes, growth);
                let host_bytes = self.usage.room(&actor.agent_type);
                let quota = Quota { type_bytes, host_bytes, ..quota };
                let applied = transaction::apply(tables, actor, turn, quota, now, &mut self.last_token)?;
                if host_bytes < type_bytes && matches!(applied, Err(Error::StorageExceeded(_))) {
                    self.usage.count_refusal(&actor.agent_type);
                }
                results.push(applied.map(|applied| {
                    growth.add(&actor.agent_type, applied.added, applied.freed);
                    applied.changes
                }));
            }
        }
    }

    /// The open database; reopens it after an error.
    fn open(&mut self) -> Result<Arc<Database>, Error> {
        if let Some(database) = &*self.database.read() {
            return Ok(database.clone());
        }
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let file = self.file.reopen()?;
        // Nobody else opens it, so nobody who looks for it waits on the lock: it may take long.
        let opened = match self.compares {
            true => open_database(self.file.path(), file),
            false => reopen_database(self.file.path(), file),
        };
        let database = Arc::new(opened.map_err(|error| self.not_opened(&error))?);
        self.compares = false;
        *self.database.write() = Some(database.clone());
        Ok(database)
    }

    fn not_opened(&mut self, error: &OpenError) -> Error {
        if !(self.compares && matches!(error, OpenError::Damaged { .. })) {
            return Error::Unavailable(error.to_string());
        }
        tracing::error!(
            code = ErrorCode::DataDamaged.as_str(),
            "the state file was damaged while this host ran, and is not used any more: {error}"
        );
        // Callers see this: the path is only for the log.
        let damage = Error::Unavailable("the state file is damaged, and is not used any more".into());
        self.damage = Some(damage.clone());
        damage
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

#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod tests;
