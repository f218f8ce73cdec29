//! The commits that wait for the writing thread: a line for each agent type, which take turns by weight and bytes.
//!
//! The lines are a [`FairQueue`], in which a commit costs the bytes that it writes.

use std::collections::HashMap;
use std::sync::Arc;

use daca_base::shares::fair_queue::{FairQueue, Share};

use super::request::CommitRequest;
use crate::transaction::Quotas;

/// The cost of a commit besides its bytes.
const COMMIT_COST: u64 = 4 * 1024;
/// The largest weight: costs are in parts of a byte.
const SCALE: u64 = 1_000;
/// The places that an empty line keeps.
const KEPT_PLACES: usize = 64;

/// The waiting commits.
pub(super) struct Lines {
    /// The line of each type.
    shares: HashMap<Arc<str>, Share>,
    /// The line of all others, which is the last one.
    others: Share,
    commits: FairQueue<CommitRequest>,
}

impl Lines {
    pub(super) fn new(quotas: &Quotas) -> Lines {
        let weights = quotas.values().map(|quota| quota.weight).chain([1]).collect::<Vec<_>>();
        let shares = quotas.keys().cloned().zip((0..).map(Share)).collect();
        // The cost of a commit is known when it is taken.
        Lines { shares, others: Share(quotas.len()), commits: FairQueue::new(&weights, 0) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commits.waiting() == 0
    }

    pub(super) fn push(&mut self, commit: CommitRequest) {
        let share = self.shares.get(&commit.actor.agent_type).copied().unwrap_or(self.others);
        self.commits.push(share, commit);
    }

    /// The bytes of the commit that is next.
    pub(super) fn next_bytes(&self) -> Option<usize> {
        self.commits.first().map(|commit| commit.bytes)
    }

    /// Takes the commit that is next.
    pub(super) fn take_next(&mut self) -> Option<CommitRequest> {
        let (share, commit) = self.commits.pop()?;
        let cost = COMMIT_COST.saturating_add(commit.bytes as u64);
        self.commits.ended(share, cost.saturating_mul(SCALE));
        self.commits.shrink(share, KEPT_PLACES);
        Some(commit)
    }
}
