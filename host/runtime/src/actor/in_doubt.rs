//! A commit in doubt: its answer was lost with the backend.
//!
//! The turn may have been committed nevertheless. So its result is remembered, and the actor's state is read before its
//! next turn: if the state has the turn's writes, it was committed, and its effects are in the actor's effect log. If
//! the call has an identity, the state also shows whether it was handled ([`super::dedup_log`]).

use std::sync::Arc;

use bytes::Bytes;
use daca_base::shares::SharePermit;

use super::dedup_log::{key_of, was_handled};
use super::{ActorAddress, CallIdentity, Deliveries, effect_log};
use daca_model::backend::{Backend, Error, StateValue, StateWrite, TurnCommit};

/// The result of a turn whose commit is in doubt.
pub(super) struct InDoubt {
    pub(super) turn_id: Arc<str>,
    /// The identity of the turn's call: its mark is in the commit.
    identity: Option<CallIdentity>,
    commit: TurnCommit,
    _room: SharePermit,
}

impl InDoubt {
    /// Remembers a turn, if its state can tell later and there is memory for it.
    pub(super) fn new(
        turn_id: &Arc<str>,
        identity: Option<CallIdentity>,
        commit: TurnCommit,
        (actor, deliveries): (&ActorAddress, &Deliveries),
    ) -> Option<Box<InDoubt>> {
        if commit.writes.is_empty() {
            return None;
        }
        let writes = commit.writes.iter().map(|(key, write)| key.len() + value(write).map_or(0, Bytes::len));
        let room = deliveries.room_for_in_doubt(actor, writes.sum::<usize>())?;
        // A separate migration commit has no mark of the call.
        let identity = identity.filter(|identity| commit.writes.contains_key(key_of(identity)));
        Some(Box::new(InDoubt { turn_id: turn_id.clone(), identity, commit, _room: room }))
    }

    /// Returns `true` if the actor's state shows that the turn was committed. If so, the later steps of the commit are
    /// carried out, unless the state shows that others have committed since: what this turn has removed, they may have
    /// registered. A reminder too many is better than one too few.
    pub(super) async fn was_applied(
        &self,
        backend: &dyn Backend,
        actor: &ActorAddress,
    ) -> Result<bool, Error> {
        let was_applied = match &self.identity {
            // Correct even if another host has owned the actor since, and has changed what the turn wrote.
            Some(identity) => was_handled(backend, actor, identity, &self.commit).await?,
            None => self.is_stored(backend, actor).await?,
        };
        if !was_applied {
            return Ok(false);
        }
        let removals = self.commit.wakeups.iter().filter(|(_, registration)| registration.is_none());
        let rest = TurnCommit {
            wakeups: removals.map(|(key, _)| (key.clone(), None)).collect(),
            ends_timers: self.commit.ends_timers,
            ..TurnCommit::default()
        };
        // Without an identity the writes have been compared.
        if !rest.is_empty() && (self.identity.is_none() || self.is_stored(backend, actor).await?) {
            backend.commit(actor, &rest).await?;
        }
        Ok(true)
    }

    /// Returns `true` if the state has the writes of the turn.
    async fn is_stored(&self, backend: &dyn Backend, actor: &ActorAddress) -> Result<bool, Error> {
        let keys = self.commit.writes.keys().cloned().collect::<Vec<_>>();
        let stored = backend.read_state(actor, &keys).await?;
        Ok(self.commit.writes.values().zip(&stored).all(|(write, stored)| holds(stored, write)))
    }

    /// Returns `true` if the commit has changed the actor's effect log, if it was applied.
    pub(super) fn has_effects(&self) -> bool {
        effect_log::is_in(&self.commit)
    }
}

fn value(write: &StateWrite) -> Option<&Bytes> {
    match write {
        StateWrite::Set { value, .. } => Some(value),
        StateWrite::Delete => None,
    }
}

/// Not every backend distinguishes an empty value from a missing one.
fn holds(stored: &Option<StateValue>, write: &StateWrite) -> bool {
    let stored = stored.as_ref().map(|stored| &stored.value).filter(|value| !value.is_empty());
    stored == value(write).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use daca_base::shares::Weights;
    use daca_model::backend::{Outbox, Registration, StateStore as _, WakeupKey, WakeupKind};

    use super::*;
    use crate::actor::dedup_log::{DedupKey, DedupLog};
    use crate::actor::{DeliveryOptions, RetryPolicy};
    use crate::fake::FakeBackend;

    fn commit(value: &'static str) -> TurnCommit {
        let write = StateWrite::Set { value: Bytes::from_static(value.as_bytes()), ttl: None };
        TurnCommit { writes: [("k".to_owned(), write)].into(), ..TurnCommit::default() }
    }

    fn deliveries(backend: &Arc<FakeBackend>) -> Deliveries {
        let options = DeliveryOptions {
            policies: HashMap::new(),
            policy: RetryPolicy::attempts(1, Duration::ZERO),
            weights: Weights::default(),
            max_pending: 1,
            max_pending_bytes: 1_000_000,
        };
        Deliveries::new(backend.clone(), Arc::<Outbox>::default(), options)
    }

    /// Commits over a backend that answers in this way, and finds out what became of it.
    async fn was_applied(answer: fn(&TurnCommit) -> Result<(), Error>, later: Option<&'static str>) -> bool {
        let backend = FakeBackend::committing(answer);
        let deliveries = deliveries(&backend);
        let actor = ActorAddress::new("A", "a").expect("an address");
        let _lost = backend.commit(&actor, &commit("1")).await;
        if let Some(later) = later {
            // Also lost.
            backend.commit(&actor, &commit(later)).await.ok();
        }
        let turn =
            InDoubt::new(&"turn".into(), None, commit("1"), (&actor, &deliveries)).expect("there is room");
        turn.was_applied(&*backend, &actor).await.expect("the state is read")
    }

    #[tokio::test]
    async fn the_state_tells_whether_a_turn_was_kept_whose_answer_was_lost() {
        let lost = |_: &TurnCommit| Err(Error::Unavailable("the answer was lost".into()));
        let refused = |_: &TurnCommit| Err(Error::NotApplied("it was refused".into()));
        assert!(was_applied(lost, None).await);
        assert!(!was_applied(refused, None).await);
        assert!(!was_applied(lost, Some("2")).await, "another turn has written since, on another host");
    }

    /// The reminder may be that of the turn which has committed since, on another host.
    #[tokio::test]
    async fn a_reminder_is_removed_later_only_if_nobody_has_committed_since() {
        let actor = ActorAddress::new("A", "a").expect("an address");
        let place = Arc::<str>::from("b/t/0/1/1");
        let reminder = WakeupKey { kind: WakeupKind::Reminder, name: "r".to_owned() };
        for (later, expected) in [(None, Vec::new()), (Some("2"), vec!["r"])] {
            let backend = FakeBackend::sound();
            let identity = CallIdentity::Message(place.clone());
            let log = DedupLog::read(None, &*backend, &actor, &identity).await.expect("the state is read");
            let mut turn = TurnCommit { wakeups: [(reminder.clone(), None)].into(), ..commit("1") };
            drop(log.after(&DedupKey::Message(place.clone()), &Bytes::new(), 1, &mut turn));
            backend.commit(&actor, &turn).await.expect("it is kept");
            // The fake backend has removed it. A sidecar whose scheduler was away has not.
            let (due, data) = (Duration::ZERO, Bytes::new());
            let registration = Registration { due, period: None, ttl: None, data };
            let wakeups = [(reminder.clone(), Some(registration))].into();
            let registers = TurnCommit { wakeups, ..later.map(commit).unwrap_or_default() };
            backend.commit(&actor, &registers).await.expect("it is kept");
            let deliveries = deliveries(&backend);
            let in_doubt = InDoubt::new(&"turn".into(), Some(identity), turn, (&actor, &deliveries));
            let in_doubt = in_doubt.expect("there is room");
            assert!(in_doubt.was_applied(&*backend, &actor).await.expect("the state is read"), "{later:?}");
            assert_eq!(backend.wakeups(&actor), expected, "{later:?}");
        }
    }
}
