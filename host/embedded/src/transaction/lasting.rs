//! The durable part of a turn, and what it takes for granted: it is compared within the transaction, so that no other
//! commit can come in between.

use std::collections::BTreeMap;

use daca_model::ActorAddress;
use daca_model::backend::{Error, FiredWakeup, Registration, StateWrite, StoredAs, TurnCommit, WakeupKey};
use redb::ReadableTable;

use super::tables::{EXPIRY_BYTES, StateKey};

/// The durable part of a [`TurnCommit`].
pub(crate) struct LastingParts {
    pub(super) writes: BTreeMap<String, StateWrite>,
    pub(super) wakeups: BTreeMap<WakeupKey, Option<Registration>>,
    pub(super) handled: Option<FiredWakeup>,
    pub(super) ends_timers: bool,
    unchanged: Option<StoredAs>,
}

impl LastingParts {
    pub(crate) fn of(commit: &TurnCommit) -> LastingParts {
        LastingParts {
            writes: commit.writes.clone(),
            wakeups: commit.wakeups.clone(),
            handled: commit.handled.clone(),
            ends_timers: commit.ends_timers,
            unchanged: commit.unchanged.clone(),
        }
    }

    /// Returns `true` if it may change reminders or timers.
    pub(super) fn has_wakeups(&self) -> bool {
        self.handled.is_some() || self.ends_timers || !self.wakeups.is_empty()
    }

    /// Checks that the value that the turn takes for granted is stored. The inner error rejects only this turn. Such
    /// values are the host's own, and do not expire.
    pub(super) fn check(
        &self,
        state: &impl ReadableTable<StateKey<'static>, &'static [u8]>,
        actor: &ActorAddress,
    ) -> Result<Result<(), Error>, redb::Error> {
        let Some(StoredAs { key, value }) = &self.unchanged else { return Ok(Ok(())) };
        let row = state.get((&*actor.agent_type, &*actor.id, key.as_str()))?;
        let stored = row.as_ref().and_then(|row| row.value().get(EXPIRY_BYTES..));
        if stored == value.as_deref() {
            return Ok(Ok(()));
        }
        Ok(Err(Error::NotApplied(format!("{key:?} of {actor} has changed since this turn has read it"))))
    }
}
