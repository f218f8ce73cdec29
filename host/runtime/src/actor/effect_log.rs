//! The effect log: the effects of an actor's kept turns, until they have left.
//!
//! It is a transactional outbox. The effects of a turn are written in its own commit, in the actor's state, under keys
//! that begin with `daca:effects`, which no guest can name. So they leave whatever dies: the actor's next activation, on
//! any host, reads the log and sends the rest. An effect that has left is removed by the actor's next commit. If none
//! comes soon, the host commits the removal. After a crash an effect may therefore leave twice, with the
//! same identity.
//!
//! If a host dies while an actor has effects, something must wake that actor: a reminder of the host
//! ([`mod@reminder`]). It is registered with the first effect of an activation, and unregistered when no effect is left.
//!
//! What cannot be delivered is given up, and moves to the actor's [`dead_letters`].
//!
//! This file has the log of one actor in memory, without locks or waits; [`super::delivery`] keeps the logs of all
//! actors and sends. [`stored`] has the form in the state.

mod dead_letters;
mod entry;
mod reminder;
mod rewriting;
mod segment;
mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use daca_base::json::{Document, UnknownFields};
use daca_model::backend::{StateWrite, TurnCommit};

pub(super) use self::dead_letters::{DEAD_LETTERS, DeadLetter, DeadLetters, GivenUp, MAX_TELLINGS};
use self::entry::{End, Entry};
pub(super) use self::entry::{LoggedEffect, logged};
pub(super) use self::reminder::{is_reminder, registration, reminder};
use self::segment::{NewSegment, Rewriting, SegmentChanges, WORTH_A_LOOK};
pub(super) use self::stored::StoredLog;
use self::stored::{HEAD, Head, segment_key};

/// The effect log of one actor.
#[derive(Debug, Default)]
pub(super) struct EffectLog {
    /// From old to new. Those of segments come first.
    entries: Vec<Entry>,
    /// The segments in the store, with the bytes of their effects.
    segments: BTreeMap<u64, usize>,
    last_segment: u64,
    /// The head is in the store.
    has_head: bool,
    /// What a newer host has added to the head.
    unknown: UnknownFields,
    /// Counts the ends of effects in segments.
    ends: Arc<AtomicU64>,
    /// That number when a commit last left nothing in the segments that is worth the writes of a turn.
    seen: u64,
    /// That number when a commit last left nothing for a removal.
    clean: u64,
    /// That number when the memory of their effects was last released.
    forgotten: u64,
}

/// What a commit does to the log, once it has succeeded.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// The effects of the turn.
    new: Vec<Arc<LoggedEffect>>,
    /// The segments that take all effects of the head, with the new ones.
    new_segments: Vec<NewSegment>,
    /// What it does to the segments, the new ones included.
    segments: SegmentChanges,
    /// The identities of other entries that the store does not have any more.
    removed: HashSet<Arc<str>>,
    /// The identities of effects that the commit adds to the dead letters.
    buried: HashSet<Arc<str>>,
    has_head: bool,
    /// It has looked at the effects of the segments.
    looked: bool,
    /// It is made for nothing but what has left.
    is_removal: bool,
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

    /// Returns `true` for a removal that had no room for all that has left. It has removed some, so those that follow come
    /// to an end: the first segment that it writes has all the room, and none that waits for a removal is longer.
    pub(super) fn is_unfinished(&self) -> bool {
        self.is_removal && self.segments.clean.is_none()
    }
}

impl EffectLog {
    /// Returns `true` if the store has nothing of it.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_head
    }

    /// Returns `true` if a commit can remove something from the store.
    pub(super) fn is_outdated(&self) -> bool {
        let (in_segments, in_head) = self.entries.split_at(self.head());
        if !self.has_head || self.entries.is_empty() || in_head.iter().any(Entry::is_done) {
            return self.has_head;
        }
        if self.ends.load(Ordering::Acquire) == self.seen {
            return false;
        }
        let waiting = in_segments.iter().filter(|entry| !entry.is_done());
        let used = waiting.filter_map(|entry| entry.segment).collect::<BTreeSet<_>>();
        used.len() < self.segments.len()
    }

    /// Returns `true` if segments may have effects that have ended, also if they are not worth the writes of a turn: those
    /// are for a removal.
    pub(super) fn is_behind(&self) -> bool {
        !self.segments.is_empty() && self.ends.load(Ordering::Acquire) != self.clean
    }

    /// Where the entries of the head begin.
    fn head(&self) -> usize {
        self.entries.partition_point(|entry| entry.segment.is_some())
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

    /// The number of effects that were given up and are not among the dead letters yet.
    pub(super) fn unburied(&self) -> usize {
        let effects = self.entries.iter().filter_map(|entry| entry.effect.as_ref());
        effects.filter(|effect| effect.is_given_up()).count()
    }

    /// The effects that have not left, in order: those that wait, and those that were given up and are not among the dead
    /// letters yet.
    pub(super) fn pending(&self) -> Vec<Arc<LoggedEffect>> {
        let effects = self.entries.iter().filter_map(|entry| entry.effect.as_ref());
        effects.filter(|effect| !effect.has_left()).cloned().collect()
    }

    /// Returns `true` if the first of them was committed before this time.
    pub(super) fn waits_since(&self, unix_ms: u64) -> bool {
        let mut effects = self.entries.iter().filter_map(|entry| entry.effect.as_ref());
        let first = effects.find(|effect| !effect.has_left());
        first.is_some_and(|effect| effect.committed_unix_ms.is_none_or(|at| at < unix_ms))
    }

    /// Releases the memory of effects that have left.
    pub(super) fn forget_sent(&mut self) {
        let has_left = |effect: &mut Arc<LoggedEffect>| matches!(effect.end.get(), Some(End::Left));
        let ends = self.ends.load(Ordering::Acquire);
        let from = if ends == self.forgotten { self.head() } else { 0 };
        self.forgotten = ends;
        for entry in &mut self.entries[from..] {
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
        // A commit of the host has more room than one of a turn, and more time.
        let rewriting = if new.is_empty() { Rewriting::OF_HOST } else { Rewriting::OF_TURN };
        self.stage_with(new, buried, rewriting, commit)
    }

    /// Removes what has left, in a commit that is made for nothing else.
    pub(super) fn stage_removal(&self, commit: &mut TurnCommit) -> Staged {
        let staged = self.stage_with(Vec::new(), &[], Rewriting::OF_REMOVAL, commit);
        Staged { is_removal: true, ..staged }
    }

    fn stage_with(
        &self,
        new: Vec<Arc<LoggedEffect>>,
        buried: &[DeadLetter],
        rewriting: Rewriting,
        commit: &mut TurnCommit,
    ) -> Staged {
        let buried = buried.iter().map(|letter| letter.effect().id.clone()).collect::<HashSet<_>>();
        let (in_segments, head) = self.entries.split_at(self.head());
        let (mut in_head, mut removed) = (Vec::new(), HashSet::new());
        for entry in head {
            match entry.kept(&buried) {
                Some(effect) => in_head.push(&effect.text),
                None => {
                    removed.insert(entry.id.clone());
                }
            }
        }
        let looked = new.is_empty() || !buried.is_empty() || self.is_worth_a_look(in_segments.len());
        let (used, mut segments) = match looked {
            true => self.look(in_segments, &buried, rewriting, commit, &mut removed),
            false => (self.segments.keys().copied().collect(), SegmentChanges::default()),
        };
        in_head.extend(new.iter().map(|effect| &effect.text));
        let new_segments = segment::new_segments(&in_head, self.last_segment);
        segments.sizes.extend(new_segments.iter().map(|segment| (segment.number, segment.bytes)));
        let has_head = self.write(commit, &used, &segments.removed, &new_segments, &in_head);
        Staged { new, new_segments, segments, removed, buried, has_head, looked, is_removal: false }
    }

    /// Returns `true` if a good part of this many effects in segments has ended since the last look.
    fn is_worth_a_look(&self, in_segments: usize) -> bool {
        let ended = self.ends.load(Ordering::Acquire).wrapping_sub(self.seen);
        ended > in_segments as u64 / WORTH_A_LOOK
    }

    /// Adds the log as it is to be to a commit. Returns `true` if the store has a head then.
    fn write(
        &self,
        commit: &mut TurnCommit,
        used: &BTreeSet<u64>,
        removed_segments: &[u64],
        new_segments: &[NewSegment],
        in_head: &[&Document],
    ) -> bool {
        for number in removed_segments {
            commit.writes.insert(segment_key(*number), StateWrite::Delete);
        }
        let new_numbers = new_segments.iter().map(|segment| segment.number);
        let segments = used.iter().copied().chain(new_numbers).collect::<Vec<_>>();
        let mut in_head = in_head;
        for NewSegment { number, effects, .. } in new_segments {
            let (of_segment, behind) = in_head.split_at(*effects);
            let value = stored::text(&[], of_segment);
            commit.writes.insert(segment_key(*number), StateWrite::Set { value, ttl: None });
            in_head = behind;
        }
        let has_head = !segments.is_empty() || !in_head.is_empty();
        if has_head {
            let value = stored::head_text(&segments, in_head, &self.unknown);
            commit.writes.insert(HEAD.to_owned(), StateWrite::Set { value, ttl: None });
        } else if self.has_head {
            commit.writes.insert(HEAD.to_owned(), StateWrite::Delete);
        }
        has_head
    }

    /// The commit has succeeded.
    pub(super) fn committed(&mut self, staged: Staged) {
        let Staged { new, new_segments, segments, removed, buried, has_head, looked, is_removal: _ } = staged;
        let SegmentChanges { removed: removed_segments, sizes, seen, clean } = segments;
        if !buried.is_empty() {
            self.entries.retain(|entry| !buried.contains(&entry.id));
        }
        if !(removed.is_empty() && removed_segments.is_empty()) {
            let is_in_removed = |number: u64| removed_segments.contains(&number);
            // Entries of segments may be many, and most commits change none of them.
            let first = if looked { 0 } else { self.head() };
            let is_gone =
                |entry: &mut Entry| entry.segment.is_some_and(is_in_removed) || removed.contains(&entry.id);
            self.entries.extract_if(first.., is_gone).for_each(drop);
        }
        self.seen = seen.unwrap_or(self.seen);
        self.clean = clean.unwrap_or(self.clean);
        self.entries.extend(new.into_iter().map(|effect| Entry::new(effect, None)));
        for number in removed_segments {
            self.segments.remove(&number);
        }
        self.segments.extend(sizes);
        let mut from = self.head();
        for NewSegment { number, effects, .. } in new_segments {
            self.last_segment = number;
            for entry in self.entries.iter_mut().skip(from).take(effects) {
                entry.enter_segment(number, &self.ends);
            }
            from += effects;
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
            let mut entry = Entry { segment: None, ..entry };
            if let Some(number) = segment {
                entry.enter_segment(number, &self.ends);
            }
            self.entries.push(entry);
        }
        // The next commit looks at all of it.
        self.ends.fetch_add(self.entries.len() as u64 + 1, Ordering::Release);
        known.values().filter_map(|entry| entry.effect.as_ref()).for_each(|effect| effect.left());
        let last_segment = stored.segments.last_key_value().map_or(0, |(number, _)| *number);
        self.last_segment = last_segment.max(self.last_segment);
        self.segments = stored.segments;
        self.has_head = stored.has_head;
        self.unknown = stored.unknown;
        unknown
    }
}

/// Parses values of the effect log and of the dead letters, and serialises the result again. For fuzzing.
pub(super) fn read_stored(value: &Bytes) {
    if let Ok(head) = Head::read(Some(value)) {
        let texts = head.effects.iter().map(|effect| &effect.text).collect::<Vec<_>>();
        let _written = stored::text(&head.segments, &texts);
    }
    DeadLetters::read(Some(value)).map(|letters| letters.text()).ok(); // only a panic would be an error here
}

/// Returns `true` if a commit has a turn's effects, or changes the log in another way.
pub(super) fn is_in(commit: &TurnCommit) -> bool {
    commit.writes.contains_key(HEAD)
}

#[cfg(test)]
mod tests;
