//! The requests to the writing thread, and the commits that it takes from them for one transaction.

use tokio::sync::{mpsc, oneshot};

use super::lines::Lines;
use super::request::{CommitRequest, Request};
use crate::transaction::Quotas;
use daca_model::backend::Error;

/// Commits that share one transaction.
const MAX_BATCH: usize = 512;
/// Their bytes, if there are several: the pages are in memory until it is committed, and the next transaction, with the
/// commits of others, does not wait for longer. A larger commit has a transaction of its own.
pub(super) const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;

/// The commits of one transaction.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) requests: Vec<CommitRequest>,
    /// Their bytes.
    bytes: usize,
}

impl Batch {
    pub(super) fn add(&mut self, request: CommitRequest) {
        self.bytes = self.bytes.saturating_add(request.bytes);
        self.requests.push(request);
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.requests.is_empty()
            || (self.requests.len() < MAX_BATCH && self.bytes.saturating_add(bytes) <= MAX_BATCH_BYTES)
    }
}

/// What the writing thread does next.
pub(super) enum Next {
    /// A transaction, with this commit and others.
    Commit(CommitRequest),
    /// The comparison of the file.
    Compare(oneshot::Sender<Result<(), Error>>),
}

/// The requests that wait, up to the one that closes the file.
pub(super) struct Queue {
    requests: mpsc::Receiver<Request>,
    /// The commits among them that were received. No more can wait than have a place.
    lines: Lines,
    /// The request to compare the file, if there is one: one backup is taken at a time.
    compares: Option<oneshot::Sender<Result<(), Error>>>,
    /// The request that closes the file, once it has come.
    pub(super) closes: Option<oneshot::Sender<()>>,
    /// The last transaction had several commits.
    pub(super) is_busy: bool,
}

impl Queue {
    pub(super) fn new(requests: mpsc::Receiver<Request>, quotas: &Quotas) -> Queue {
        Queue { requests, lines: Lines::new(quotas), compares: None, closes: None, is_busy: false }
    }

    /// Waits for something to do. `None` if there will be nothing.
    pub(super) fn wait(&mut self) -> Option<Next> {
        self.receive();
        if self.is_busy && self.has_nothing() {
            // Those who have just got their answers may only wait for this processor. To sleep, and to be woken by the first
            // of them, are system calls of both.
            std::thread::yield_now();
            self.receive();
        }
        if self.has_nothing() {
            let request = self.requests.blocking_recv()?;
            self.put(request);
        }
        match self.compares.take() {
            Some(done) => Some(Next::Compare(done)),
            None => self.lines.take_next().map(Next::Commit),
        }
    }

    /// Adds the commits that wait to a batch, as far as it has room for them, in turn between the agent types. Returns
    /// `true` if there was one.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> bool {
        let before = batch.requests.len();
        self.receive();
        while self.lines.next_bytes().is_some_and(|bytes| batch.has_room(bytes))
            && let Some(commit) = self.lines.take_next()
        {
            batch.add(commit);
        }
        batch.requests.len() > before
    }

    /// Puts the requests that wait into their lines.
    fn receive(&mut self) {
        while self.closes.is_none()
            && let Ok(request) = self.requests.try_recv()
        {
            self.put(request);
        }
    }

    fn put(&mut self, request: Request) {
        match request {
            Request::Commit(commit) => self.lines.push(commit),
            Request::Compare(done) => self.compares = Some(done),
            Request::Close(done) => self.closes = Some(done),
        }
    }

    /// Returns `true` if nothing waits, and something may come.
    fn has_nothing(&self) -> bool {
        self.lines.is_empty() && self.compares.is_none() && self.closes.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use daca_base::shares::{SharedPool, Weights};
    use daca_model::ActorAddress;

    use super::*;
    use crate::transaction::{LastingParts, Quota};

    const MIB: usize = 1024 * 1024;

    fn commit(agent_type: &str, bytes: usize) -> CommitRequest {
        let pool = SharedPool::new("commits", 1, &Weights::default());
        CommitRequest {
            actor: ActorAddress::unchecked(agent_type, "a"),
            turn: LastingParts(Arc::default()),
            bytes,
            done: oneshot::channel().0,
            _waits: pool.charge(agent_type, 1),
        }
    }

    /// A queue of these types, to which no request comes.
    fn queue(types: [(&str, Quota); 2]) -> Queue {
        let quotas = types.into_iter().map(|(name, quota)| (Arc::from(name), quota)).collect::<Quotas>();
        Queue::new(mpsc::channel(1).1, &quotas)
    }

    fn next_batch(queue: &mut Queue) -> Vec<CommitRequest> {
        let mut batch = Batch::default();
        queue.fill(&mut batch);
        batch.requests
    }

    fn types(batch: &[CommitRequest]) -> Vec<&str> {
        batch.iter().map(|commit| &*commit.actor.agent_type).collect()
    }

    #[test]
    fn a_commit_does_not_wait_behind_all_those_of_another_type() {
        let mut queue = queue([("hog", Quota::UNLIMITED), ("neighbour", Quota::UNLIMITED)]);
        (0..30).for_each(|_| queue.lines.push(commit("hog", MIB)));
        assert_eq!(next_batch(&mut queue).len(), 2, "a transaction is bounded");
        (0..2).for_each(|_| queue.lines.push(commit("neighbour", 10)));
        let next = next_batch(&mut queue);
        let place = types(&next).iter().position(|agent_type| *agent_type == "neighbour");
        assert!(place.is_some_and(|place| place <= 1), "{:?}", types(&next));
        assert_eq!(types(&next).iter().filter(|agent_type| **agent_type == "neighbour").count(), 2);
        let left = std::iter::from_fn(|| Some(next_batch(&mut queue)).filter(|batch| !batch.is_empty()));
        assert_eq!(left.map(|batch| batch.len()).sum::<usize>(), 30 - 2 - (next.len() - 2));
    }

    #[test]
    fn a_large_commit_keeps_nobody_waiting_in_its_transaction() {
        let mut queue = queue([("hog", Quota::UNLIMITED), ("neighbour", Quota::UNLIMITED)]);
        (0..3).for_each(|_| queue.lines.push(commit("hog", 3 * MIB)));
        let mut transactions = Vec::new();
        for _ in 0..5 {
            let batch = next_batch(&mut queue);
            transactions.push(types(&batch).concat());
            if transactions.len() < 3 {
                queue.lines.push(commit("neighbour", 10));
            }
        }
        assert_eq!(transactions, ["hog", "neighbour", "neighbour", "hog", "hog"]);
    }

    #[test]
    fn types_write_by_their_weights() {
        let heavy = Quota { weight: 3, ..Quota::UNLIMITED };
        let mut queue = queue([("heavy", heavy), ("light", Quota::UNLIMITED)]);
        for agent_type in ["heavy", "light"] {
            (0..40).for_each(|_| queue.lines.push(commit(agent_type, MIB / 4)));
        }
        let batches = [next_batch(&mut queue), next_batch(&mut queue)];
        let heavy = batches.iter().flat_map(|batch| types(batch)).filter(|name| *name == "heavy").count();
        assert!((11..=13).contains(&heavy), "{heavy} of 16");
    }
}
