//! The effect log: the effects of an actor's kept turns, until they have left.
//!
//! It is a transactional outbox. The effects of a turn are written in its own commit, in the actor's state, under keys
//! that begin with `daca:effects`, which no guest can name. So they leave whatever dies: the actor's next activation, on
//! any host, reads the log and sends the rest. An effect that has left is removed by the actor's next commit, or with
//! its activation, not by a commit of its own. After a crash it may therefore leave twice, with the same identity.
//!
//! Somebody must call an actor that has died with effects: a reminder of the host ([`reminder`]), which is registered
//! with the first effect of an activation, and unregistered when none is left.
//!
//! What cannot be delivered is given up, and moves to the actor's [`dead_letters`].
//!
//! This file has the log of one actor in memory, without locks or waits; [`super::delivery`] keeps the logs of all
//! actors and sends. [`stored`] has the form in the state.

mod dead_letters;
mod stored;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use daca_base::json::Document;
use daca_model::ActorAddress;
use daca_model::backend::{
    self, Backend, Effect, FiredWakeup, Registration, StateWrite, TurnCommit, WakeupKey, WakeupKind,
};

pub(super) use self::dead_letters::{DEAD_LETTERS, DeadLetter, DeadLetters, GivenUp};
use self::stored::{HEAD, Head, StoredEffect, segment_key};

/// The bytes of effects in the head. A longer backlog moves into a segment, which is written once.
const MAX_HEAD: usize = 16 * 1024;
/// The interval of the host's reminder: how long the effects of a dead host wait at most, once the actor can be active
/// elsewhere.
const REMINDER_PERIOD: Duration = Duration::from_secs(60);

/// The host's own reminder of an actor with effects.
pub(super) fn reminder() -> WakeupKey {
    WakeupKey { kind: WakeupKind::Reminder, name: HEAD.to_owned() }
}

/// Returns `true` for a firing of [`reminder`].
pub(super) fn is_reminder(fired: &FiredWakeup) -> bool {
    fired.key.kind == WakeupKind::Reminder && fired.key.name == HEAD
}

/// The registration of [`reminder`].
pub(super) fn registration() -> Registration {
    Registration { due: REMINDER_PERIOD, period: Some(REMINDER_PERIOD), ttl: None, data: Bytes::new() }
}

/// An effect of the log. The log and the lane that sends it share it.
#[derive(Debug)]
pub(super) struct LoggedEffect {
    pub(super) effect: Effect,
    text: Document,
    end: OnceLock<End>,
}

/// The end of an effect: nothing is to be done any more.
#[derive(Debug)]
enum End {
    /// It has left, or another host has seen to it.
    Left,
    GivenUp(GivenUp),
}

impl LoggedEffect {
    fn new(stored: StoredEffect) -> Arc<LoggedEffect> {
        let StoredEffect { effect, text } = stored;
        Arc::new(LoggedEffect { effect, text, end: OnceLock::new() })
    }

    pub(super) fn is_done(&self) -> bool {
        self.end.get().is_some()
    }

    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.end.get(), Some(End::GivenUp(_)))
    }

    /// It has left, or another host has seen to it. The first end holds.
    pub(super) fn left(&self) {
        self.end.set(End::Left).ok();
    }

    /// It cannot be delivered. The first end holds.
    pub(super) fn give_up(&self, given_up: GivenUp) {
        self.end.set(End::GivenUp(given_up)).ok();
    }
}

/// The effects of a turn, ready for the log.
pub(super) fn logged(effects: Vec<Effect>) -> Result<Vec<Arc<LoggedEffect>>, backend::Error> {
    effects.into_iter().map(|effect| StoredEffect::new(effect).map(LoggedEffect::new)).collect()
}

/// The effect log of one actor.
#[derive(Debug, Default)]
pub(super) struct EffectLog {
    /// From old to new. Those of segments come first.
    entries: Vec<Entry>,
    /// The segments in the store.
    segments: BTreeSet<u64>,
    last_segment: u64,
    /// The head is in the store.
    has_head: bool,
}

#[derive(Debug)]
struct Entry {
    effect: Arc<LoggedEffect>,
    /// `None` in the head.
    segment: Option<u64>,
    /// It is among the dead letters.
    is_buried: bool,
}

/// What a commit does to the log, once it has succeeded.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The effects of the turn.
    new: Vec<Arc<LoggedEffect>>,
    /// The number of the segment that takes all effects of the head, with the new ones.
    new_segment: Option<u64>,
    /// The segments whose effects have all left.
    removed_segments: Vec<u64>,
    /// The identities of entries that the store does not have any more.
    removed: HashSet<Arc<str>>,
    /// The identities of effects that the commit adds to the dead letters.
    buried: HashSet<Arc<str>>,
    has_head: bool,
}

impl Staged {
    /// Returns `true` if the store has something of the log after the commit.
    pub(super) fn has_head(&self) -> bool {
        self.has_head
    }
}

impl EffectLog {
    /// Returns `true` if the store has nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_head
    }

    /// Returns `true` if the store has effects that have left.
    pub(super) fn is_outdated(&self) -> bool {
        self.has_head && (self.entries.is_empty() || self.entries.iter().any(|entry| entry.effect.is_done()))
    }

    /// The effects that were given up and are not among the dead letters yet.
    pub(super) fn given_up(&self) -> Result<Vec<DeadLetter>, backend::Error> {
        let letters = self.entries.iter().filter(|entry| !entry.is_buried).filter_map(|entry| {
            match entry.effect.end.get() {
                Some(End::GivenUp(given_up)) => {
                    Some(DeadLetter::new(entry.effect.effect.clone(), given_up.clone()))
                }
                _ => None,
            }
        });
        letters.collect()
    }

    /// Adds the effects of a turn to its commit, and removes those that have left. A commit that fails leaves the log as
    /// it is.
    pub(super) fn stage(
        &self,
        effects: Vec<Effect>,
        commit: &mut TurnCommit,
    ) -> Result<Staged, backend::Error> {
        let waiting = || self.entries.iter().filter(|entry| !is_settled(entry));
        let in_head = waiting().filter(|entry| entry.segment.is_none()).map(|entry| &entry.effect.text);
        let in_head = in_head.chain(new.iter().map(|effect| &effect.text)).collect::<Vec<_>>();
        let used = waiting().filter_map(|entry| entry.segment).collect::<BTreeSet<_>>();
        // A segment keeps what has left of it until all has: a reload must not send it again.
        let is_gone = |entry: &&Entry| match entry.segment {
            Some(number) => !used.contains(&number),
            None => is_settled(entry),
        };
        let removed =
            self.entries.iter().filter(is_gone).map(|entry| entry.effect.effect.id.clone()).collect();
        let removed_segments = self.segments.difference(&used).copied().collect::<Vec<_>>();
        let mut segments = used.iter().copied().collect::<Vec<_>>();

        let is_long = in_head.iter().map(|text| text.bytes().len()).sum::<usize>() > MAX_HEAD;
        let new_segment = is_long.then_some(self.last_segment + 1);
        segments.extend(new_segment);
        for number in &removed_segments {
            commit.writes.insert(segment_key(*number), StateWrite::Delete);
        }
        if let Some(number) = new_segment {
            let value = stored::text(&[], in_head.iter().copied());
            commit.writes.insert(segment_key(number), StateWrite::Set { value, ttl: None });
        }
        let has_head = !segments.is_empty() || !in_head.is_empty();
        if has_head {
            let in_head = in_head.into_iter().filter(|_| new_segment.is_none());
            let value = stored::text(&segments, in_head);
            commit.writes.insert(HEAD.to_owned(), StateWrite::Set { value, ttl: None });
        } else if self.has_head {
            commit.writes.insert(HEAD.to_owned(), StateWrite::Delete);
        }
        Staged { new, new_segment, removed_segments, removed, buried, has_head }
    }

    /// The commit has succeeded. Returns the effects that are to be sent now.
    pub(super) fn committed(&mut self, staged: Staged) -> Vec<Arc<LoggedEffect>> {
        let Staged { new, new_segment, removed_segments, removed, buried, has_head } = staged;
        self.entries.retain(|entry| !removed.contains(&entry.effect.effect.id));
        self.entries.extend(new.iter().map(|effect| Entry {
            effect: effect.clone(),
            segment: None,
            is_buried: false,
        }));
        for entry in &mut self.entries {
            entry.is_buried |= buried.contains(&entry.effect.effect.id);
        }
        for number in removed_segments {
            self.segments.remove(&number);
        }
        if let Some(number) = new_segment {
            self.last_segment = number;
            self.segments.insert(number);
            for entry in self.entries.iter_mut().filter(|entry| entry.segment.is_none()) {
                entry.segment = Some(number);
            }
        }
        self.has_head = has_head;
        new
    }

    /// Takes over what the store has. What this host knows of an effect still holds: one that it has sent is not sent
    /// again, and one that waits here keeps its place. Those that the store does not have any more, another host has
    /// seen to. Returns the effects that this host did not know.
    pub(super) fn reload(&mut self, stored: StoredLog) -> Vec<Arc<LoggedEffect>> {
        let known = self.entries.drain(..).map(|entry| (entry.effect.effect.id.clone(), entry.effect));
        let mut known = known.collect::<HashMap<_, _>>();
        let mut unknown = Vec::new();
        for (segment, stored) in stored.effects {
            let effect = known.remove(&stored.effect.id).unwrap_or_else(|| {
                let effect = LoggedEffect::new(stored);
                unknown.push(effect.clone());
                effect
            });
            self.entries.push(Entry { effect, segment, is_buried: false });
        }
        known.values().for_each(|effect| effect.left());
        self.last_segment = stored.segments.last().copied().unwrap_or(0).max(self.last_segment);
        self.segments = stored.segments;
        self.has_head = stored.has_head;
        unknown
    }
}

/// What the store has of an actor's effect log.
#[derive(Debug, Default)]
pub(super) struct StoredLog {
    effects: Vec<(Option<u64>, StoredEffect)>,
    segments: BTreeSet<u64>,
    has_head: bool,
}

impl StoredLog {
    /// Reads the head, and its segments.
    pub(super) async fn read(
        backend: &dyn Backend,
        actor: &ActorAddress,
    ) -> Result<StoredLog, backend::Error> {
        let mut values = backend.read_state(actor, &[HEAD.to_owned()]).await?.into_iter();
        let value = values.next().flatten().map(|value| value.value);
        let head = Head::read(value.as_ref())?;
        let keys = head.segments.iter().map(|number| segment_key(*number)).collect::<Vec<_>>();
        let segments = match keys.is_empty() {
            true => Vec::new(),
            false => backend.read_state(actor, &keys).await?,
        };
        let mut effects = Vec::new();
        for (number, value) in head.segments.iter().zip(segments) {
            let value = value.ok_or_else(|| {
                backend::Error::Other(format!("the state's {:?} is missing", segment_key(*number)))
            })?;
            let segment = stored::read_segment(*number, &value.value)?;
            effects.extend(segment.into_iter().map(|effect| (Some(*number), effect)));
        }
        effects.extend(head.effects.into_iter().map(|effect| (None, effect)));
        Ok(StoredLog { effects, segments: head.segments.into_iter().collect(), has_head: value.is_some() })
    }
}

/// Returns `true` if a commit has a turn's effects, or changes the log in another way.
pub(super) fn is_in(commit: &TurnCommit) -> bool {
    commit.writes.contains_key(HEAD)
}

#[cfg(test)]
mod tests;
