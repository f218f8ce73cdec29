//! A lane and the effects in it. [`super::lanes`] delivers them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use daca_base::clock::Clock;
use daca_base::memory::Reservation;
use daca_base::shares::SharePermit;
use daca_model::backend::Effect;
use tokio::sync::Notify;

use crate::actor::effect_log::LoggedEffect;

/// Effects that leave one after the other.
pub(super) struct Lane {
    pub(super) effects: VecDeque<WaitingEffect>,
    /// The first one has failed, and the lane waits before it tries it again.
    pub(super) is_held_up: bool,
    /// It has had its last attempt at once, of a drain.
    pub(super) was_hurried: bool,
    /// Ends its wait when the effect that it waits for is done. Made when it first waits.
    pub(super) wake: Option<Arc<Notify>>,
}

impl Lane {
    /// The lane of an effect that nothing waits for yet.
    pub(super) fn of(first: WaitingEffect) -> Lane {
        let effects = VecDeque::from([first]);
        Lane { effects, is_held_up: false, was_hurried: false, wake: None }
    }

    /// Returns `true` if the first effect is done: another host has seen to it.
    pub(super) fn waits_for_nothing(&self) -> bool {
        self.effects.front().is_some_and(|first| first.logged.is_done())
    }
}

/// An effect in its lane.
pub(super) struct WaitingEffect {
    /// Its number in the outbox.
    pub(super) id: u64,
    pub(super) logged: Arc<LoggedEffect>,
    /// The turn that requested it, for the log lines of its delivery.
    pub(super) turn: tracing::Span,
    /// The attempts that have failed while it was the first of its lane. Those behind it have attempts of their own.
    pub(super) failures: u32,
    /// Such attempts of this host before the effect was let go and read again.
    pub(super) earlier: u32,
    /// The backend's clock ([`Clock::monotonic`]) when a failed attempt may be the last one.
    pub(super) expires: Duration,
    /// Its place among the waiting effects, and its bytes.
    pub(super) _counted: [SharePermit; 2],
    /// Its part of the host's budget of memory.
    pub(super) _reserved: Option<Reservation>,
}

impl WaitingEffect {
    pub(super) fn effect(&self) -> &Effect {
        &self.logged.effect
    }

    /// Counts a failed attempt. Returns `true` if it was the last one.
    pub(super) fn has_failed(&mut self, min_attempts: u32, clock: &Clock) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.earlier.saturating_add(self.failures) >= min_attempts && clock.monotonic() >= self.expires
    }
}
