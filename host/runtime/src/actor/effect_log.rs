//! The effect log: the effects of an actor's kept turns, until they have left.
//!
//! It is a transactional outbox. The effects of a turn are written in its own commit, in the actor's state, under keys
//! that begin with `daca:effects`, which no guest can name. So they leave whatever dies: the actor's next activation, on
//! any host, reads the log and sends the rest. An effect that has left is removed by the actor's next commit, or with
//! its activation, not by a commit of its own. After a crash it may therefore leave twice, with the same identity.
//!
//! Somebody must call an actor that has died with effects: a reminder of the host ([`mod@reminder`]), which is registered
//! with the first effect of an activation, and unregistered when none is left.
//!
//! What cannot be delivered is given up, and moves to the actor's [`dead_letters`].
//!
//! This file has the log of one actor in memory, without locks or waits; [`super::delivery`] keeps the logs of all
//! actors and sends. [`stored`] has the form in the state.

mod dead_letters;
mod reminder;
mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use daca_base::json::{Document, UnknownFields};
use daca_model::backend::{self, Effect, StateWrite, TurnCommit};

pub(super) use self::dead_letters::{DEAD_LETTERS, DeadLetter, DeadLetters, GivenUp, MAX_TELLINGS};
pub(super) use self::reminder::{is_reminder, registration, reminder};
pub(super) use self::stored::StoredLog;
use self::stored::{HEAD, Head, StoredEffect, segment_key};

/// The bytes of effects in the head. A longer backlog moves into a segment, which is written once.
const MAX_HEAD: usize = 16 * 1024;

/// An effect of the log. The log and the lane that sends it share it.
#[derive(Debug)]
pub(super) struct LoggedEffect {
    pub(super) effect: Effect,
    text: Document,
    /// When its turn committed, in milliseconds since 1970. `None` if a host wrote it that did not say.
    pub(super) committed_unix_ms: Option<u64>,
    /// Its number in the outbox, once it waits for delivery.
    pub(super) number: OnceLock<u64>,
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
        let StoredEffect { effect, text, committed_unix_ms } = stored;
        let (number, end) = (OnceLock::new(), OnceLock::new());
        Arc::new(LoggedEffect { effect, text, committed_unix_ms, number, end })
    }

    /// The time since its turn's commit.
    pub(super) fn age(&self, now_unix_ms: u64) -> Duration {
        let age = self.committed_unix_ms.map(|committed| now_unix_ms.saturating_sub(committed));
        Duration::from_millis(age.unwrap_or_default())
    }

    pub(super) fn is_done(&self) -> bool {
        self.end.get().is_some()
    }

    /// A copy for a dead letter.
    fn stored(&self) -> StoredEffect {
        StoredEffect {
            effect: self.effect.clone(),
            text: self.text.clone(),
            committed_unix_ms: self.committed_unix_ms,
        }
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

/// The effects of a turn that commits now, ready for the log.
pub(super) fn logged(
    effects: Vec<Effect>,
    now_unix_ms: u64,
) -> Result<Vec<Arc<LoggedEffect>>, backend::Error> {
    let stored = effects.into_iter().map(|effect| StoredEffect::new(effect, now_unix_ms));
    stored.map(|stored| stored.map(LoggedEffect::new)).collect()
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
    /// What a newer host has added to the head.
    unknown: UnknownFields,
}

/// An effect of the log, in the order of the turns.
#[derive(Debug)]
struct Entry {
    id: Arc<str>,
    /// `None` once it has left: of what is sent, the identity is enough.
    effect: Option<Arc<LoggedEffect>>,
    /// `None` in the head.
    segment: Option<u64>,
}

impl Entry {
    fn new(effect: Arc<LoggedEffect>, segment: Option<u64>) -> Entry {
        Entry { id: effect.effect.id.clone(), effect: Some(effect), segment }
    }

    /// Returns `false` if somebody has retried the effect, on another host, since this one gave it up: it has another
    /// time then.
    fn is_of(&self, stored: &StoredEffect) -> bool {
        let given_up = self.effect.as_ref().filter(|effect| effect.is_given_up());
        given_up.is_none_or(|effect| effect.committed_unix_ms == stored.committed_unix_ms)
    }

    /// Nothing is to be sent any more.
    fn is_done(&self) -> bool {
        self.effect.as_ref().is_none_or(|effect| effect.is_done())
    }

    /// The effect, if the store must keep it. It may be given up at any moment; then it must be kept until a commit has
    /// made it a dead letter.
    fn kept(&self, buried: &HashSet<Arc<str>>) -> Option<&LoggedEffect> {
        self.effect.as_deref().filter(|effect| match effect.end.get() {
            None => true,
            Some(End::Left) => false,
            Some(End::GivenUp(_)) => !buried.contains(&self.id),
        })
    }
}

/// What a commit does to the log, once it has succeeded.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The effects of the turn.
    new: Vec<Arc<LoggedEffect>>,
    /// The number of the segment that takes all effects of the head, with the new ones.
    new_segment: Option<u64>,
    /// The segments whose effects have all left. They go with their entries.
    removed_segments: Vec<u64>,
    /// The identities of entries of the head that the store does not have any more.
    removed: HashSet<Arc<str>>,
    /// The identities of effects that the commit adds to the dead letters.
    buried: HashSet<Arc<str>>,
    has_head: bool,
}

impl Staged {
    /// The effects of the turn, which are to be sent once the commit has succeeded.
    pub(super) fn new_effects(&self) -> &[Arc<LoggedEffect>] {
        &self.new
    }

    /// The number of effects that the commit adds to the dead letters.
    pub(super) fn buried(&self) -> usize {
        self.buried.len()
    }

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

    /// Returns `true` if a commit can remove something from the store.
    pub(super) fn is_outdated(&self) -> bool {
        let mut in_head = self.entries.iter().rev().take_while(|entry| entry.segment.is_none());
        if !self.has_head || in_head.any(Entry::is_done) {
            return self.has_head;
        }
        let waiting = self.entries.iter().filter(|entry| !entry.is_done());
        let used = waiting.filter_map(|entry| entry.segment).collect::<BTreeSet<_>>();
        self.entries.is_empty() || used.len() < self.segments.len()
    }

    /// The effects that were given up and are not among the dead letters yet.
    pub(super) fn given_up(&self) -> Vec<DeadLetter> {
        let effects = self.entries.iter().filter_map(|entry| {
            let effect = entry.effect.as_ref()?;
            match effect.end.get()? {
                End::GivenUp(given_up) => Some(DeadLetter::new(effect.stored(), given_up.clone())),
                End::Left => None,
            }
        });
        effects.collect()
    }

    /// The effects that have not ended, in order.
    pub(super) fn pending(&self) -> Vec<Arc<LoggedEffect>> {
        let effects = self.entries.iter().filter_map(|entry| entry.effect.as_ref());
        effects.filter(|effect| !effect.is_done()).cloned().collect()
    }

    /// Returns `true` if the first effect that has not ended was committed before this time.
    pub(super) fn waits_since(&self, unix_ms: u64) -> bool {
        let mut effects = self.entries.iter().filter_map(|entry| entry.effect.as_ref());
        let first = effects.find(|effect| !effect.is_done());
        first.is_some_and(|effect| effect.committed_unix_ms.is_none_or(|at| at < unix_ms))
    }

    /// Releases the memory of effects that have left.
    pub(super) fn forget_sent(&mut self) {
        let has_left = |effect: &mut Arc<LoggedEffect>| matches!(effect.end.get(), Some(End::Left));
        for entry in &mut self.entries {
            drop(entry.effect.take_if(has_left));
        }
    }

    /// Forgets effects that wait, for whoever reads the log next: the store still has them. Those that are done stay.
    pub(super) fn let_go(&mut self, ids: &HashSet<Arc<str>>) {
        self.entries.retain(|entry| entry.is_done() || !ids.contains(&entry.id));
    }

    /// Adds the effects of a turn to its commit, and removes those that have left, and those that the commit makes dead
    /// letters. A commit that fails leaves the log as it is.
    pub(super) fn stage(
        &self,
        new: Vec<Arc<LoggedEffect>>,
        buried: &[DeadLetter],
        commit: &mut TurnCommit,
    ) -> Staged {
        let buried = buried.iter().map(|letter| letter.effect().id.clone()).collect::<HashSet<_>>();
        let (mut in_head, mut used, mut removed) = (Vec::new(), BTreeSet::new(), HashSet::new());
        // What becomes a dead letter must not stay in a segment: after a crash it would be sent from there, even if
        // somebody has discarded it by then.
        let in_segments = self.entries.iter().filter(|entry| buried.contains(&entry.id));
        let mut rewritten = in_segments
            .filter_map(|entry| Some((entry.segment?, Vec::new())))
            .collect::<BTreeMap<_, Vec<&Document>>>();
        // Each is looked at once: it may leave in the meantime.
        for entry in &self.entries {
            match (entry.kept(&buried), entry.segment) {
                (Some(effect), Some(number)) => {
                    used.insert(number);
                    if let Some(texts) = rewritten.get_mut(&number) {
                        texts.push(&effect.text);
                    }
                }
                (Some(effect), None) => in_head.push(&effect.text),
                (None, None) => {
                    removed.insert(entry.id.clone());
                }
                (None, Some(_)) => {}
            }
        }
        for (number, texts) in rewritten.into_iter().filter(|(number, _)| used.contains(number)) {
            let value = stored::text(&[], texts.into_iter());
            commit.writes.insert(segment_key(number), StateWrite::Set { value, ttl: None });
        }
        // A segment keeps what has left of it until all has: a reload must not send it again.
        let removed_segments = self.segments.difference(&used).copied().collect::<Vec<_>>();
        in_head.extend(new.iter().map(|effect| &effect.text));
        let is_long = in_head.iter().map(|text| text.bytes().len()).sum::<usize>() > MAX_HEAD;
        let new_segment = is_long.then_some(self.last_segment + 1);
        let has_head = self.write(commit, &used, &removed_segments, new_segment, &in_head);
        Staged { new, new_segment, removed_segments, removed, buried, has_head }
    }

    /// Adds the log as it is to be to a commit. Returns `true` if the store has a head then.
    fn write(
        &self,
        commit: &mut TurnCommit,
        used: &BTreeSet<u64>,
        removed_segments: &[u64],
        new_segment: Option<u64>,
        in_head: &[&Document],
    ) -> bool {
        for number in removed_segments {
            commit.writes.insert(segment_key(*number), StateWrite::Delete);
        }
        let segments = used.iter().copied().chain(new_segment).collect::<Vec<_>>();
        let mut in_head = in_head;
        if let Some(number) = new_segment {
            let value = stored::text(&[], in_head.iter().copied());
            commit.writes.insert(segment_key(number), StateWrite::Set { value, ttl: None });
            in_head = &[];
        }
        let has_head = !segments.is_empty() || !in_head.is_empty();
        if has_head {
            let value = stored::head_text(&segments, in_head.iter().copied(), &self.unknown);
            commit.writes.insert(HEAD.to_owned(), StateWrite::Set { value, ttl: None });
        } else if self.has_head {
            commit.writes.insert(HEAD.to_owned(), StateWrite::Delete);
        }
        has_head
    }

    /// The commit has succeeded.
    pub(super) fn committed(&mut self, staged: Staged) {
        let Staged { new, new_segment, removed_segments, removed, buried, has_head } = staged;
        if !buried.is_empty() {
            self.entries.retain(|entry| !buried.contains(&entry.id));
        }
        if !(removed.is_empty() && removed_segments.is_empty()) {
            self.entries.retain(|entry| match entry.segment {
                Some(number) => !removed_segments.contains(&number),
                None => !removed.contains(&entry.id),
            });
        }
        self.entries.extend(new.into_iter().map(|effect| Entry::new(effect, None)));
        for number in removed_segments {
            self.segments.remove(&number);
        }
        if let Some(number) = new_segment {
            self.last_segment = number;
            self.segments.insert(number);
            // Those of the head are the last ones.
            let in_head = self.entries.iter_mut().rev().take_while(|entry| entry.segment.is_none());
            in_head.for_each(|entry| entry.segment = Some(number));
        }
        self.has_head = has_head;
        if !has_head {
            self.unknown = UnknownFields::default();
        }
    }

    /// Takes over what the store has. What this host knows of an effect still holds: one that it has sent is not sent
    /// again, and one that waits here keeps its place. Those that the store does not have any more, another host has
    /// seen to. Returns the effects that this host did not know.
    pub(super) fn reload(&mut self, stored: StoredLog) -> Vec<Arc<LoggedEffect>> {
        let known = self.entries.drain(..).map(|entry| (entry.id.clone(), entry));
        let mut known = known.collect::<HashMap<_, _>>();
        let mut unknown = Vec::new();
        for (segment, stored) in stored.effects {
            let entry = known.remove(&stored.effect.id).filter(|entry| entry.is_of(&stored));
            let entry = entry.unwrap_or_else(|| {
                let effect = LoggedEffect::new(stored);
                unknown.push(effect.clone());
                Entry::new(effect, segment)
            });
            self.entries.push(Entry { segment, ..entry });
        }
        known.values().filter_map(|entry| entry.effect.as_ref()).for_each(|effect| effect.left());
        self.last_segment = stored.segments.last().copied().unwrap_or(0).max(self.last_segment);
        self.segments = stored.segments;
        self.has_head = stored.has_head;
        self.unknown = stored.unknown;
        unknown
    }
}

/// Parses values of the effect log and of the dead letters, and serialises the result again. For fuzzing.
pub(super) fn read_stored(value: &Bytes) {
    if let Ok(head) = Head::read(Some(value)) {
        let _written = stored::text(&head.segments, head.effects.iter().map(|effect| &effect.text));
    }
    let _written = DeadLetters::read(Some(value)).map(|letters| letters.text());
}

/// Returns `true` if a commit has a turn's effects, or changes the log in another way.
pub(super) fn is_in(commit: &TurnCommit) -> bool {
    commit.writes.contains_key(HEAD)
}

#[cfg(test)]
mod tests;
