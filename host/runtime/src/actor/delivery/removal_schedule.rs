//! When the host itself removes sent effects from the store, because no turn of their actor commits.
//!
//! The actor's next commit includes the removal, so while turns keep coming, nothing else is needed. Without one, sent
//! effects would stay in the store and be sent again after a crash: more of them than a receiver may remember, and a host
//! that crashes again and again would make no progress. So the host commits the removal, in a turn of its own: after
//! every [`MANY`](super::ends::MANY) effects, and after [`PERIOD`] in which the actor has removed none, however slowly
//! they leave. One list has all actors that are looked at, each once, so an effect costs a count and no timer.
//!
//! A removal writes only so much again. If something is left, the next one follows at once.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::ends::Ends;
use super::logs::{Logs, Outgoing};
use super::shared::Shared;
use super::{Deliveries, LogClaim};
use crate::actor::ActorAddress;
use crate::actor::effect_log::Staged;
use crate::actor::work_queue::WorkQueue;
use daca_model::backend::TurnCommit;

/// The interval at which an actor is looked at. A removal is committed if no commit of the actor has made one in between.
const PERIOD: Duration = Duration::from_secs(10);
/// The actors that are looked at while the logs are locked.
const LOOKS: usize = 256;

impl Outgoing {
    /// A commit of the log begins.
    pub(super) fn stages(&mut self) {
        self.ends.staged = self.ends.all;
    }

    /// It has succeeded.
    pub(super) fn has_committed(&mut self) {
        if !self.log.is_behind() {
            self.ends.removed = self.ends.removed.max(self.ends.staged);
        }
    }
}

impl Shared {
    /// So many effects of an actor have ended. Those that are to be looked at are `listed`.
    pub(super) fn note_ends(
        &self,
        outgoing: &mut Outgoing,
        listed: &mut VecDeque<(Instant, ActorAddress)>,
        (actor, number): (&ActorAddress, usize),
    ) {
        if number == 0 {
            return;
        }
        let ends = &mut outgoing.ends;
        ends.all += number as u64;
        if ends.many_are_stored() {
            self.ask(ends, actor.clone());
        }
        self.list(ends, listed, actor);
    }

    /// A commit of the log has succeeded, and what it has left in segments is for a removal. It may not be due: the last
    /// one may have failed.
    pub(super) fn note_rest(
        &self,
        outgoing: &mut Outgoing,
        listed: &mut VecDeque<(Instant, ActorAddress)>,
        actor: &ActorAddress,
        is_unfinished: bool,
    ) {
        if is_unfinished {
            self.ask(&mut outgoing.ends, actor.clone());
        } else if outgoing.log.is_behind() {
            self.list(&mut outgoing.ends, listed, actor);
        }
    }

    /// The actor is looked at after a while.
    fn list(&self, ends: &mut Ends, listed: &mut VecDeque<(Instant, ActorAddress)>, actor: &ActorAddress) {
        if !ends.is_listed {
            (ends.is_listed, ends.seen) = (true, ends.removed);
            listed.push_back((Instant::now(), actor.clone()));
            self.removals.listed.notify_one();
        }
    }

    /// The same, for a lane that waits now.
    pub(super) fn note_ends_of(&self, actor: &ActorAddress, number: usize) {
        let Logs { outgoing, ended: listed, .. } = &mut *self.lock();
        if let Some(outgoing) = outgoing.get_mut(actor) {
            self.note_ends(outgoing, listed, (actor, number));
        }
    }

    /// The actor gets a turn of the host. If that fails, the host's reminder has one within a minute, after which the actor
    /// is looked at again.
    fn ask(&self, ends: &mut Ends, actor: ActorAddress) {
        ends.removed = ends.all;
        self.removals.due.add(actor);
    }

    /// When the first of the listed actors is looked at.
    fn next_look(&self) -> Option<Instant> {
        self.lock().ended.front().map(|(since, _)| *since + PERIOD)
    }

    /// Looks at the actors that have been listed for long enough.
    fn look(&self) {
        let now = Instant::now();
        let logs = &mut *self.lock();
        for _ in 0..LOOKS {
            if logs.ended.front().is_none_or(|(since, _)| now.duration_since(*since) < PERIOD) {
                return;
            }
            let Some((_, actor)) = logs.ended.pop_front() else { return };
            let Some(Outgoing { log, ends, claim, .. }) = logs.outgoing.get_mut(&actor) else { continue };
            // Its next commit has removed them, or its next host or the end of its activation has seen to them.
            let has_some = ends.all != ends.removed || log.is_behind();
            ends.is_listed = has_some && claim.strong_count() > 0;
            if !ends.is_listed {
                continue;
            }
            if ends.removed == ends.seen {
                ends.is_listed = false;
                self.ask(ends, actor);
            } else {
                // Turns come on, and the next one may take these along.
                ends.seen = ends.removed;
                logs.ended.push_back((now, actor));
            }
        }
    }
}

impl Deliveries {
    /// Finds the actors for which [`Deliveries::removals`] are due because they have not committed for a while. Runs until
    /// it is dropped.
    pub(in crate::actor) async fn look_for_removals(&self) {
        loop {
            match self.shared.next_look() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => self.shared.removals.listed.notified().await,
            }
            self.shared.look();
        }
    }

    /// The actors whose effects that have left are to be removed from the store, in a turn of the host.
    pub(in crate::actor) fn removals(&self) -> &WorkQueue {
        &self.shared.removals.due
    }

    /// Returns `true` if the store has effects that have left, and this claim knows it: also those that a turn's commit
    /// would leave there.
    pub(in crate::actor) fn has_leftovers(&self, claim: &LogClaim) -> bool {
        let logs = self.shared.lock();
        let has_some = |outgoing: &Outgoing| outgoing.log.is_behind() || outgoing.log.is_outdated();
        logs.is_held_by(&claim.actor, &claim.token) && logs.outgoing.get(&claim.actor).is_some_and(has_some)
    }

    /// Adds to a commit that is made for nothing else the removal of what has left.
    pub(in crate::actor) fn stage_removal(&self, actor: &ActorAddress, commit: &mut TurnCommit) -> Staged {
        let mut logs = self.shared.lock();
        let outgoing = logs.outgoing.entry(actor.clone()).or_default();
        outgoing.stages();
        outgoing.log.stage_removal(commit)
    }
}
