//! The lines of those who wait for memory.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, Semaphore};

use super::account::MemoryKind;
use crate::waiters::Waiters;

/// Those of one account. Its bodies wait behind its turns.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) turns: Line,
    bodies: Line,
}

/// Those who wait, in the order of their arrival. Only the first one looks for memory.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) turnstile: Semaphore,
    pub(super) freed: Notify,
    pub(super) waiters: Waiters,
    /// What the first one wants. Between two of them, for a moment, what the last one wanted.
    wants: AtomicU64,
}

impl Default for Line {
    fn default() -> Line {
        Line {
            turnstile: Semaphore::new(1),
            freed: Notify::new(),
            waiters: Waiters::default(),
            wants: AtomicU64::new(0),
        }
    }
}

impl Lines {
    /// The line for what memory is used for.
    pub(super) fn of(&self, kind: MemoryKind) -> &Line {
        match kind {
            MemoryKind::Bodies => &self.bodies,
            _ => &self.turns,
        }
    }

    /// What comes first in both. `None` if nobody waits.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.turns.wanted().or_else(|| self.bodies.wanted())
    }

    /// Wakes the first one of each.
    pub(super) fn freed(&self) {
        for line in [&self.turns, &self.bodies] {
            if line.waiters.any() {
                line.freed.notify_one();
            }
        }
    }
}

impl Line {
    /// Notes what the first one wants.
    pub(super) fn begin_first(&self, wants: u64) {
        self.wants.store(wants, Ordering::Relaxed);
    }

    /// What the first one wants. `None` if nobody waits.
    pub(super) fn wanted(&self) -> Option<u64> {
        self.waiters.any().then(|| self.wants.load(Ordering::Relaxed))
    }
}
