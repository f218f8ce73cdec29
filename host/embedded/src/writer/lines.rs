//! The commits that wait for the writing thread: a line for each agent type, which take turns by weight and bytes.
//!
//! A line has a time of its own, which passes with the bytes that it writes, the slower the greater its weight. The line
//! with the earliest time is next (start-time fair queueing). One that was empty begins at the present time at the
//! earliest, so nobody saves up, and what it has just written counts. Lines stay when they are empty: most transactions
//! take all that waits, and would make them anew.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::request::CommitRequest;
use crate::database::Quotas;

/// The cost of a commit besides its bytes.
const COMMIT_COST: u64 = 4 * 1024;
/// The largest weight: times are in parts of a byte.
const SCALE: u64 = 1_000;
/// The places that an empty line keeps.
const KEPT_PLACES: usize = 64;

/// The waiting commits.
pub(super) struct Lines {
    /// The number of each type's line. The last line is that of all others.
    numbers: HashMap<Arc<str>, usize>,
    lines: Vec<Line>,
    /// The lines that are not empty.
    waiting: Vec<usize>,
    /// The time of the line that was served last.
    now: u64,
}

struct Line {
    weight: u32,
    time: u64,
    commits: VecDeque<CommitRequest>,
}

impl Line {
    fn new(weight: u32) -> Line {
        Line { weight: weight.max(1), time: 0, commits: VecDeque::new() }
    }
}

impl Lines {
    pub(super) fn new(quotas: &Quotas) -> Lines {
        let mut lines = quotas.values().map(|quota| Line::new(quota.weight)).collect::<Vec<_>>();
        lines.push(Line::new(1));
        let numbers = quotas.keys().cloned().zip(0..).collect();
        Lines { numbers, lines, waiting: Vec::new(), now: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, commit: CommitRequest) {
        let others = self.lines.len() - 1;
        let number = self.numbers.get(&commit.actor.agent_type).copied().unwrap_or(others);
        let line = &mut self.lines[number];
        if line.commits.is_empty() {
            line.time = line.time.max(self.now);
            self.waiting.push(number);
        }
        line.commits.push_back(commit);
    }

    /// Takes the commit that is next.
    pub(super) fn take_next(&mut self) -> Option<CommitRequest> {
        let waiting = self.waiting.iter().enumerate();
        let (place, number) = waiting.min_by_key(|(_, number)| self.lines[**number].time)?;
        let line = &mut self.lines[*number];
        let commit = line.commits.pop_front()?;
        self.now = line.time;
        let cost = COMMIT_COST.saturating_add(commit.bytes as u64);
        line.time = line.time.saturating_add(cost.saturating_mul(SCALE) / u64::from(line.weight));
        if line.commits.is_empty() {
            line.commits.shrink_to(KEPT_PLACES);
            self.waiting.swap_remove(place);
        }
        Some(commit)
    }
}
