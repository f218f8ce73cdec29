//! Why a type gets no more of a pool, and how the log learns of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ErrorCode;

/// The least time between two lines of the log about one type and one pool.
pub(super) const LOG_PAUSE: Duration = Duration::from_secs(60);
/// The time for which a refusal counts: that long, others do not exceed their shares at the expense of the refused type,
/// and the type is shown as held back.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A type gets no more of a pool now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{agent_type} has {used} of the host's {capacity} {pool}, and its share is {share}")]
pub struct HeldBack {
    /// The agent type. Empty if the pool does not know it.
    pub agent_type: Arc<str>,
    /// What the pool has, in the plural.
    pub pool: &'static str,
    /// What the type has of it.
    pub used: usize,
    /// Its share.
    pub share: usize,
    /// The whole pool.
    pub capacity: usize,
    /// It has its share, and what is left is for the other types. Otherwise, the pool is used up.
    pub is_beyond: bool,
}

/// What was refused to a type.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// How often it was held back by its share.
    pub(super) held_back: u64,
    last_held_back: Option<Instant>,
    last_logged: Option<Instant>,
    /// It was refused something within its share.
    wanted: Option<Instant>,
}

impl Refusals {
    /// Counts a refusal. Returns `true` if the log is to be told.
    pub(crate) fn count(&mut self, is_beyond: bool, is_within: bool) -> bool {
        let now = Instant::now();
        if is_within {
            self.wanted = Some(now);
        }
        if !is_beyond {
            return false;
        }
        self.held_back += 1;
        self.last_held_back = Some(now);
        let is_due = self.last_logged.is_none_or(|last| now.duration_since(last) >= LOG_PAUSE);
        if is_due {
            self.last_logged = Some(now);
        }
        is_due
    }

    /// Returns `true` if the type was refused something within its share a moment ago.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// Returns `true` if the type was held back a moment ago.
    pub(super) fn is_held_back(&self) -> bool {
        self.last_held_back.is_some_and(|at| at.elapsed() < REMEMBERED)
    }
}

impl HeldBack {
    /// Tells the log. Not under a lock.
    pub(crate) fn log(&self) {
        let HeldBack { agent_type, pool, used, share, capacity, .. } = self;
        tracing::warn!(
            code = ErrorCode::ShareExceeded.as_str(),
            %agent_type,
            pool,
            used,
            share,
            capacity,
            "{self}: it is held back"
        );
    }
}
