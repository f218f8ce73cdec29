//! The actors with effects, and for how long each of them is remembered: what has left lies in the store until the next
//! commit.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::ends::Ends;
use super::lane::{Lane, WaitingEffect};
use super::policy::LaneKey;
use crate::actor::ActorAddress;
use crate::actor::effect_log::EffectLog;

/// The time for which the log of an actor that is not active any more is remembered. Its stored log may name effects that
/// have left, which would otherwise be sent again with its next activation: the host's reminder causes that earlier.
pub(super) const REMEMBERED: Duration = Duration::from_secs(180);

/// The actors with effects.
#[derive(Default)]
pub(super) struct Logs {
    pub(super) outgoing: HashMap<ActorAddress, Outgoing>,
    /// Actors with effects that were given up and are no dead letters yet, for the operators of the host.
    pub(super) unburied: BTreeSet<ActorAddress>,
    /// Actors that have left, each once, and when they are looked at: their entries are removed after [`REMEMBERED`].
    pub(super) left: VecDeque<(Instant, ActorAddress)>,
    /// Active actors with effects that have ended, each once, and since when: they are looked at after a while.
    pub(super) ended: VecDeque<(Instant, ActorAddress)>,
}

/// The effects of one actor.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) log: EffectLog,
    /// The claim of the activation that knows the log.
    pub(super) claim: Weak<()>,
    /// When its last activation ended.
    pub(super) left_at: Option<Instant>,
    /// It is among those that have left.
    pub(super) is_listed: bool,
    pub(super) lanes: HashMap<LaneKey, Lane>,
    /// The failed attempts at effects that were let go, by their identities, until the log is read again. An actor that
    /// is only active for some seconds after each firing of the reminder would otherwise be tried for ever.
    pub(super) failures: HashMap<Arc<str>, u32>,
    pub(super) ends: Ends,
}

impl Outgoing {
    /// Adds the attempts at effects that were let go, and are read again.
    pub(super) fn count_earlier(&mut self, waiting: &mut [WaitingEffect]) {
        let failures = std::mem::take(&mut self.failures);
        for waiting in waiting {
            waiting.earlier = failures.get(&waiting.logged.effect.id).copied().unwrap_or_default();
        }
    }
}

impl Logs {
    /// Some of what was given up may have become dead letters, or is forgotten here.
    pub(super) fn note_burials(&mut self, actor: &ActorAddress) {
        let has_some = |outgoing: &Outgoing| outgoing.log.unburied() > 0;
        if self.unburied.contains(actor) && !self.outgoing.get(actor).is_some_and(has_some) {
            self.unburied.remove(actor);
        }
    }

    /// Returns `true` if the claim with this token is the one of the actor's log.
    pub(super) fn is_held_by(&self, actor: &ActorAddress, token: &Arc<()>) -> bool {
        let outgoing = self.outgoing.get(actor);
        outgoing.is_some_and(|outgoing| std::ptr::eq(outgoing.claim.as_ptr(), Arc::as_ptr(token)))
    }

    /// The actor's activation has ended.
    pub(super) fn release(&mut self, actor: &ActorAddress) {
        let now = Instant::now();
        if let Some(outgoing) = self.outgoing.get_mut(actor) {
            outgoing.claim = Weak::new();
            outgoing.left_at = Some(now);
        }
        self.remove_if_unused(actor, false);
        self.list(actor, now);
    }

    /// Lists an actor among those that have left, to be looked at after [`REMEMBERED`]. Once: activations may be short.
    fn list(&mut self, actor: &ActorAddress, now: Instant) {
        if let Some(outgoing) = self.outgoing.get_mut(actor)
            && !outgoing.is_listed
        {
            outgoing.is_listed = true;
            self.left.push_back((now, actor.clone()));
        }
    }

    /// Removes the entry of an actor that is not active any more, if nothing waits, and nothing is to be remembered
    /// unless it is `old`.
    pub(super) fn remove_if_unused(&mut self, actor: &ActorAddress, old: bool) {
        let is_unused = |outgoing: &Outgoing| {
            let is_active = outgoing.claim.strong_count() > 0;
            !is_active && outgoing.lanes.is_empty() && (old || outgoing.log.is_empty())
        };
        if self.outgoing.get(actor).is_some_and(is_unused) {
            self.outgoing.remove(actor);
            self.unburied.remove(actor);
        }
    }

    pub(super) fn remove_old(&mut self) {
        while let Some((since, _)) = self.left.front()
            && since.elapsed() > REMEMBERED
            && let Some((_, actor)) = self.left.pop_front()
        {
            let Some(outgoing) = self.outgoing.get_mut(&actor) else { continue };
            outgoing.is_listed = false;
            let is_old = outgoing.left_at.is_some_and(|left_at| left_at.elapsed() > REMEMBERED);
            self.remove_if_unused(&actor, is_old);
            // Its effects still wait, or it was active since. If it is active now, it is listed when that ends.
            if self.outgoing.get(&actor).is_some_and(|outgoing| outgoing.claim.strong_count() == 0) {
                self.list(&actor, Instant::now());
            }
        }
    }
}
