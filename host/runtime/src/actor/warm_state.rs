//! The state that an actor keeps in memory between its turns. It may be dropped at any time: the next turn recreates
//! it.

use tokio::time::Instant;

use super::dedup_log::DedupLog;
use super::delivery::{LogClaim, NewLanes};
use super::in_doubt::InDoubt;
use super::schema::Schema;
use crate::component::Instance;
use crate::imports::StateCache;

/// The state that an actor keeps between turns.
#[derive(Default)]
pub(super) struct WarmState {
    /// In a box, because most idle actors have none.
    pub(super) instance: Option<Box<Instance>>,
    pub(super) cache: StateCache,
    /// The schema of the stored state. `None` if it has not been read.
    pub(super) schema: Option<Schema>,
    /// The dedup log: the calls that the actor has handled and that may be repeated. `None` if it has not been read.
    pub(super) dedup_log: Option<DedupLog>,
    /// When no other host can commit for the actor any more: the overlap after the dedup log was first read. `None` if it
    /// was not.
    pub(super) overlap_ends: Option<Instant>,
    /// The last call was looked up in a log that was read before that: its mark is read again at its commit.
    pub(super) checks_mark: bool,
    /// The claim to the actor's effect log, while this turn commits. Between commits the activation has it.
    pub(super) effects: Option<LogClaim>,
    /// The lanes of effects that this turn has begun, until its caller has the answer.
    pub(super) leaving: Option<NewLanes>,
    /// The ownership epoch that they belong to.
    pub(super) epoch: u64,
    /// The last turn, if its commit is in doubt.
    pub(super) in_doubt: Option<Box<InDoubt>>,
}

impl WarmState {
    /// The bytes of the state that an idle actor keeps in memory.
    pub(super) fn state_bytes(&self) -> u64 {
        self.cache.bytes() + self.dedup_log.as_ref().map_or(0, DedupLog::bytes)
    }

    /// Takes that state out. The next turn reads what it needs again.
    pub(super) fn take_state(&mut self) -> (StateCache, Option<DedupLog>) {
        (std::mem::take(&mut self.cache), self.dedup_log.take())
    }

    /// The lanes of effects begin that the turn has left behind.
    pub(super) fn let_effects_leave(&mut self) {
        if let Some(lanes) = self.leaving.take() {
            lanes.leave();
        }
    }
}
