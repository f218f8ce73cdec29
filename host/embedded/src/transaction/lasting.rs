//! The durable part of a turn, and what it takes for granted: it is compared within the transaction, so that no other
//! commit can come in between.

use std::ops::Deref;
use std::sync::Arc;

use daca_model::ActorAddress;
use daca_model::backend::{Error, StoredAs, TurnCommit};
use redb::ReadableTable;

use super::tables::{EXPIRY_BYTES, StateKey};

/// A [`TurnCommit`], as far as it is durable: the writer reads all but its effects.
pub(crate) struct LastingParts(pub(crate) Arc<TurnCommit>);

impl Deref for LastingParts {
    type Target = TurnCommit;

    fn deref(&self) -> &TurnCommit {
        &self.0
    }
}

impl LastingParts {
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
