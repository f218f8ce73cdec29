//! Counts the effects of each actor that have ended and may still be in the store, and lists the actors for which the
//! host [removes](super::removal_schedule) them there.

use tokio::sync::Notify;

use crate::actor::work_queue::WorkQueue;

/// The effects that have ended after which a removal is committed. A receiver remembers thousands of events: these of some
/// publishers, and those that leave during the commits.
pub(super) const MANY: u64 = 100;

/// The removals that are due.
#[derive(Default)]
pub(super) struct Removals {
    /// The actors whose turn is to come.
    pub(super) due: WorkQueue,
    /// Notified when an actor is listed.
    pub(super) listed: Notify,
}

/// How many effects of an actor have ended on this host, and how many of those the store may still have.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) all: u64,
    /// That number when the latest commit was put together.
    pub(super) staged: u64,
    /// That number when a commit last removed all, or was asked to.
    pub(super) removed: u64,
    /// What `removed` was at the last look.
    pub(super) seen: u64,
    pub(super) is_listed: bool,
}

impl Ends {
    pub(super) fn many_are_stored(&self) -> bool {
        self.all.saturating_sub(self.removed) >= MANY
    }
}
