//! One effect in the log of its actor: its end, what the store has of it, and whether it must keep it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daca_base::json::Document;
use daca_model::backend::{self, Effect};

use super::dead_letters::GivenUp;
use super::stored::StoredEffect;

/// An effect of the log. The log and the lane that sends it share it.
#[derive(Debug)]
pub(in crate::actor) struct LoggedEffect {
    pub(in crate::actor) effect: Effect,
    pub(super) text: Document,
    /// When its turn committed, in milliseconds since 1970. `None` if a host wrote it that did not say.
    pub(in crate::actor) committed_unix_ms: Option<u64>,
    /// Its number in the outbox, once it waits for delivery.
    pub(in crate::actor) number: OnceLock<u64>,
    pub(super) end: OnceLock<End>,
    /// Counts the ends of effects in segments of its log, once it is in one.
    segment_ends: OnceLock<Arc<AtomicU64>>,
}

/// The end of an effect: nothing is to be done any more.
#[derive(Debug)]
pub(super) enum End {
    /// It has left, or another host has seen to it.
    Left,
    GivenUp(GivenUp),
}

impl LoggedEffect {
    pub(super) fn new(stored: StoredEffect) -> Arc<LoggedEffect> {
        let StoredEffect { effect, text, committed_unix_ms } = stored;
        let (number, end, segment_ends) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Arc::new(LoggedEffect { effect, text, committed_unix_ms, number, end, segment_ends })
    }

    /// The time since its turn's commit.
    pub(in crate::actor) fn age(&self, now_unix_ms: u64) -> Duration {
        let age = self.committed_unix_ms.map(|committed| now_unix_ms.saturating_sub(committed));
        Duration::from_millis(age.unwrap_or_default())
    }

    pub(in crate::actor) fn is_done(&self) -> bool {
        self.end.get().is_some()
    }

    /// A copy for a dead letter.
    pub(super) fn stored(&self) -> StoredEffect {
        StoredEffect {
            effect: self.effect.clone(),
            text: self.text.clone(),
            committed_unix_ms: self.committed_unix_ms,
        }
    }

    pub(super) fn has_left(&self) -> bool {
        matches!(self.end.get(), Some(End::Left))
    }

    pub(in crate::actor) fn is_given_up(&self) -> bool {
        self.given_up().is_some()
    }

    /// Why and when it was given up.
    pub(in crate::actor) fn given_up(&self) -> Option<&GivenUp> {
        match self.end.get()? {
            End::GivenUp(given_up) => Some(given_up),
            End::Left => None,
        }
    }

    /// It has left, or another host has seen to it. The first end holds.
    pub(in crate::actor) fn left(&self) {
        self.end_with(End::Left);
    }

    /// It cannot be delivered. The first end holds.
    pub(in crate::actor) fn give_up(&self, given_up: GivenUp) {
        self.end_with(End::GivenUp(given_up));
    }

    fn end_with(&self, end: End) {
        if self.end.set(end).is_ok() {
            // It may enter a segment at this moment. Of the two, one sees the other, because of the fences.
            fence(Ordering::SeqCst);
            if let Some(ends) = self.segment_ends.get() {
                ends.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// It is in a segment from now on. Its end is counted, also if that was before.
    pub(super) fn enter_segment(&self, ends: &Arc<AtomicU64>) {
        if self.segment_ends.set(ends.clone()).is_ok() {
            fence(Ordering::SeqCst);
            if self.is_done() {
                ends.fetch_add(1, Ordering::Release);
            }
        }
    }
}

/// The effects of a turn that commits now, ready for the log.
pub(in crate::actor) fn logged(
    effects: Vec<Effect>,
    now_unix_ms: u64,
) -> Result<Vec<Arc<LoggedEffect>>, backend::Error> {
    let stored = effects.into_iter().map(|effect| StoredEffect::new(effect, now_unix_ms));
    stored.map(|stored| stored.map(LoggedEffect::new)).collect()
}

/// An effect of the log, in the order of the turns.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Arc<str>,
    /// `None` once it has left: of what is sent, the identity is enough.
    pub(super) effect: Option<Arc<LoggedEffect>>,
    /// `None` in the head.
    pub(super) segment: Option<u64>,
}

impl Entry {
    pub(super) fn new(effect: Arc<LoggedEffect>, segment: Option<u64>) -> Entry {
        Entry { id: effect.effect.id.clone(), effect: Some(effect), segment }
    }

    /// It is in this segment from now on.
    pub(super) fn enter_segment(&mut self, number: u64, ends: &Arc<AtomicU64>) {
        self.segment = Some(number);
        match &self.effect {
            Some(effect) => effect.enter_segment(ends),
            // It has left in the meantime, and is forgotten.
            None => {
                ends.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Returns `false` if somebody has retried the effect, on another host, since this one gave it up: it has another
    /// time then.
    pub(super) fn is_of(&self, stored: &StoredEffect) -> bool {
        let given_up = self.effect.as_ref().filter(|effect| effect.is_given_up());
        given_up.is_none_or(|effect| effect.committed_unix_ms == stored.committed_unix_ms)
    }

    /// Nothing is to be sent any more.
    pub(super) fn is_done(&self) -> bool {
        self.effect.as_ref().is_none_or(|effect| effect.is_done())
    }

    /// The effect, if the store must keep it. It may be given up at any moment; then it must be kept until a commit has
    /// made it a dead letter.
    pub(super) fn kept(&self, buried: &HashSet<Arc<str>>) -> Option<&LoggedEffect> {
        self.effect.as_deref().filter(|effect| match effect.end.get() {
            None => true,
            Some(End::Left) => false,
            Some(End::GivenUp(_)) => !buried.contains(&self.id),
        })
    }
}
