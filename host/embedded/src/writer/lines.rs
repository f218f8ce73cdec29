//! The commits that wait for the writing thread: a line for each agent type, which take turns by weight and bytes.
//!
//! A line has a time of its own, which passes with the bytes that it writes, the slower the greater its weight. The line
//! with the earliest time is next (start-time fair queueing). One that was empty begins at the present time, so nobody
//! saves up.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::CommitRequest;
use crate::database::Quotas;

/// Commits that share one transaction.
const BATCH: usize = 512;
/// Their bytes, apart from the last one: the next transaction, with the commits of others, does not wait for longer.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// The cost of a commit besides its bytes.
const COMMIT_COST: u64 = 4 * 1024;
/// The largest weight: times are in parts of a byte.
const SCALE: u64 = 1_000;

/// The waiting commits.
pub(super) struct Lines {
    weights: HashMap<Arc<str>, u32>,
    waiting: BTreeMap<Arc<str>, Line>,
    /// The time of the line that was served last.
    now: u64,
}

struct Line {
    time: u64,
    commits: VecDeque<CommitRequest>,
}

impl Lines {
    pub(super) fn new(quotas: &Quotas) -> Lines {
        let weights = quotas.iter().map(|(name, quota)| (name.clone(), quota.weight)).collect();
        Lines { weights, waiting: BTreeMap::new(), now: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, commit: CommitRequest) {
        let time = self.now;
        let line = self.waiting.entry(commit.actor.agent_type.clone());
        let line = line.or_insert_with(|| Line { time, commits: VecDeque::new() });
        line.commits.push_back(commit);
    }

    /// Takes the commits of the next transaction.
    pub(super) fn next_batch(&mut self) -> Vec<CommitRequest> {
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        while batch.len() < BATCH
            && bytes < BATCH_BYTES
            && let Some(commit) = self.next()
        {
            bytes = bytes.saturating_add(commit.bytes);
            batch.push(commit);
        }
        batch
    }

    fn next(&mut self) -> Option<CommitRequest> {
        let earliest = self.waiting.iter().min_by_key(|(_, line)| line.time)?;
        let agent_type = earliest.0.clone();
        let line = self.waiting.get_mut(&agent_type)?;
        let commit = line.commits.pop_front()?;
        let weight = u64::from(self.weights.get(&agent_type).copied().unwrap_or(1).max(1));
        self.now = line.time;
        let cost = COMMIT_COST.saturating_add(commit.bytes as u64);
        line.time = line.time.saturating_add(cost.saturating_mul(SCALE) / weight);
        if line.commits.is_empty() {
            self.waiting.remove(&agent_type);
        }
        Some(commit)
    }
}

#[cfg(test)]
mod tests {
    use daca_base::shares::{SharedPool, Weights};
    use daca_model::ActorAddress;
    use daca_model::backend::TurnCommit;
    use tokio::sync::oneshot;

    use super::*;
    use crate::database::Quota;
    use crate::transaction::LastingParts;

    const MIB: usize = 1024 * 1024;

    fn commit(agent_type: &str, bytes: usize) -> CommitRequest {
        let pool = SharedPool::new("commits", 1, &Weights::default());
        CommitRequest {
            actor: ActorAddress::unchecked(agent_type, "a"),
            turn: LastingParts::of(&TurnCommit::default()),
            bytes,
            done: oneshot::channel().0,
            _waits: pool.charge(agent_type, 1),
        }
    }

    fn types(batch: &[CommitRequest]) -> Vec<&str> {
        batch.iter().map(|commit| &*commit.actor.agent_type).collect()
    }

    #[test]
    fn a_commit_does_not_wait_behind_all_those_of_another_type() {
        let mut lines = Lines::new(&Quotas::new());
        (0..30).for_each(|_| lines.push(commit("hog", MIB)));
        assert_eq!(lines.next_batch().len(), 8, "a transaction is bounded");
        (0..2).for_each(|_| lines.push(commit("neighbour", 10)));
        let next = lines.next_batch();
        let place = types(&next).iter().position(|agent_type| *agent_type == "neighbour");
        assert!(place.is_some_and(|place| place <= 1), "{:?}", types(&next));
        assert_eq!(types(&next).iter().filter(|agent_type| **agent_type == "neighbour").count(), 2);
        let left = std::iter::from_fn(|| Some(lines.next_batch()).filter(|batch| !batch.is_empty()));
        assert_eq!(left.map(|batch| batch.len()).sum::<usize>(), 30 - 8 - (next.len() - 2));
    }

    #[test]
    fn types_write_by_their_weights() {
        let heavy = Quota { weight: 3, ..Quota::UNLIMITED };
        let mut lines = Lines::new(&[(Arc::from("heavy"), heavy)].into());
        for agent_type in ["heavy", "light"] {
            (0..40).for_each(|_| lines.push(commit(agent_type, MIB)));
        }
        let batches = [lines.next_batch(), lines.next_batch()];
        let heavy = batches.iter().flat_map(|batch| types(batch)).filter(|name| *name == "heavy").count();
        assert!((11..=13).contains(&heavy), "{heavy} of 16");
    }
}
