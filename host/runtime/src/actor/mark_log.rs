//! The marks of an actor's calls, as its state has them: the latest in the head, and earlier ones in segments.
//!
//! The head is written again by each call that has a mark, so it has few. Once it is full, its oldest marks move into a
//! segment: another value, to which the head refers, and which is written once and removed as a whole. So an actor
//! knows thousands of calls, and a call writes no more than with a hundred. After a crash, events of many publishers
//! arrive again, more of them than a head has.
//!
//! Hosts of the release before know the head alone, which has at most as many marks and references as they keep. They
//! forget references with the oldest marks. What such a segment has lies in the store until a later one has its number.

use std::collections::VecDeque;

use bytes::Bytes;

use super::ActorAddress;
use super::marks::{self, Mark, Marks, SegmentReference};
use super::request_hash::EventContent;
use daca_model::backend::{self, Backend, StateWrite, StoredAs, TurnCommit};

/// The maximum number of marks in the head.
const MAX_HEAD: usize = 224;
/// The number of marks in a segment.
const SEGMENT: usize = 128;
/// The maximum number of segments. With the marks of the head they are the 256 entries that hosts of the release before
/// keep.
const MAX_SEGMENTS: usize = 32;
/// The numbers of segments, which are used again in turn: more than there are segments, so that none has the key of another
/// one.
const NUMBERS: u16 = 64;

/// The marks of one kind of calls.
#[derive(Debug, Default)]
pub(super) struct MarkLog {
    /// Its references are those of `segments`.
    head: Marks,
    /// The head as it is stored.
    stored: Option<Bytes>,
    /// Oldest first.
    segments: VecDeque<Marks>,
}

impl MarkLog {
    /// The log whose head is stored under a key of the actor's state. Reads its segments, if it has some.
    pub(super) async fn of(
        stored: Option<Bytes>,
        backend: &dyn Backend,
        (actor, key): (&ActorAddress, &str),
    ) -> Result<MarkLog, backend::Error> {
        MarkLog::since(None, stored, backend, (actor, key)).await
    }

    /// The same with only those segments that another head, which was stored `before`, did not refer to.
    pub(super) async fn since(
        before: Option<&Bytes>,
        stored: Option<Bytes>,
        backend: &dyn Backend,
        (actor, key): (&ActorAddress, &str),
    ) -> Result<MarkLog, backend::Error> {
        let (mut head, known) = (Marks::read(key, stored.clone())?, Marks::read(key, before.cloned())?);
        head.segments.retain(|reference| !known.segments.contains(reference));
        if head.segments.is_empty() {
            return Ok(MarkLog { head, stored, segments: VecDeque::new() });
        }
        let keys = head.segments.iter().map(|reference| segment_key(key, *reference)).collect::<Vec<_>>();
        let values = backend.read_state(actor, &keys).await?;
        let values = values.into_iter().map(|value| value.map(|value| value.value));
        // A missing one was old: another host has removed it since it wrote this head.
        let segments = keys.iter().zip(values).map(|(key, value)| Marks::read(key, value));
        Ok(MarkLog { head, stored, segments: segments.collect::<Result<_, _>>()? })
    }

    /// Returns `true` if the call with this id was handled.
    pub(super) fn has(&self, id: &str) -> bool {
        marks::has_call(self.last_first(), id)
    }

    /// Looks up an event. `None` if it was not handled, or else whether its content was the same.
    pub(super) fn event(&self, id: &str, content: EventContent) -> Option<bool> {
        marks::find_event(self.last_first(), id, content)
    }

    /// All marks, the last one first.
    fn last_first(&self) -> impl Iterator<Item = &Mark> {
        self.head.last_first().chain(self.segments.iter().rev().flat_map(Marks::last_first))
    }

    /// Adds the mark of a call to the commit of its turn. The commit is not applied if another head is stored by then
    /// than this host has read.
    pub(super) fn add(&mut self, key: &str, mark: Mark, commit: &mut TurnCommit) {
        self.head.add(mark);
        if self.head.len() > MAX_HEAD {
            self.add_segment(key, commit);
        }
        let is_old = |reference: &SegmentReference| mark.is_long_after(reference.last);
        if self.segments.len() > MAX_SEGMENTS || self.head.segments.front().is_some_and(is_old) {
            self.remove_segment(key, commit);
        }
        let value = Bytes::from(self.head.text());
        let before = self.stored.replace(value.clone());
        commit.writes.insert(key.to_owned(), StateWrite::Set { value, ttl: None });
        commit.unchanged = Some(StoredAs { key: key.to_owned(), value: before });
    }

    /// Moves the oldest marks of the head into a segment.
    fn add_segment(&mut self, key: &str, commit: &mut TurnCommit) {
        let segment = self.head.take_oldest(SEGMENT);
        let number = self.head.segments.back().map_or(0, |reference| (reference.number + 1) % NUMBERS);
        let reference = SegmentReference { number, last: segment.last() };
        let value = segment.text().into();
        commit.writes.insert(segment_key(key, reference), StateWrite::Set { value, ttl: None });
        self.head.segments.push_back(reference);
        self.segments.push_back(segment);
    }

    /// Removes the oldest segment.
    fn remove_segment(&mut self, key: &str, commit: &mut TurnCommit) {
        self.segments.pop_front();
        if let Some(reference) = self.head.segments.pop_front() {
            commit.writes.insert(segment_key(key, reference), StateWrite::Delete);
        }
    }

    /// The bytes that it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        let marks = self.head.len() + self.segments.iter().map(Marks::len).sum::<usize>();
        (marks * size_of::<Mark>()) as u64
    }
}

fn segment_key(key: &str, reference: SegmentReference) -> String {
    format!("{key}:{}", reference.number)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::actor::marks::MARK_TTL;
    use crate::fake::FakeBackend;
    use daca_model::backend::StateStore as _;

    const KEY: &str = "daca:consumed";

    fn actor() -> ActorAddress {
        ActorAddress::new("A", "a").expect("an address")
    }

    /// Handles calls with these numbers, and returns the log as the next host reads it.
    async fn handled(backend: &Arc<FakeBackend>, numbers: std::ops::Range<u32>, second: u32) -> MarkLog {
        let read = async || {
            let stored = backend.value(&actor(), KEY).map(Bytes::from);
            MarkLog::of(stored, &**backend, (&actor(), KEY)).await.expect("it is read")
        };
        let mut log = read().await;
        for number in numbers {
            let mut commit = TurnCommit::default();
            log.add(KEY, Mark::of_call(&number.to_string(), second), &mut commit);
            backend.commit(&actor(), &commit).await.expect("it is kept");
        }
        read().await
    }

    fn known(log: &MarkLog, numbers: std::ops::Range<u32>) -> usize {
        numbers.filter(|number| log.has(&number.to_string())).count()
    }

    /// As many events may arrive again after a crash of their publishers.
    #[tokio::test]
    async fn thousands_of_calls_are_known_and_a_commit_stays_small() {
        let backend = FakeBackend::sound();
        let log = handled(&backend, 0..4_096, 1_000).await;
        assert_eq!(known(&log, 0..5_000), 4_096);
        let log = handled(&backend, 4_096..20_000, 1_000).await;
        assert_eq!(known(&log, 15_904..20_000), 4_096);
        assert!(known(&log, 0..15_904) <= MAX_HEAD, "it is bounded");
        let head = backend.value(&actor(), KEY).expect("it is stored");
        assert!(head.len() <= 4_200, "{}", head.len());
        let segments =
            (0..NUMBERS).filter(|number| backend.value(&actor(), &format!("{KEY}:{number}")).is_some());
        assert_eq!(segments.count(), MAX_SEGMENTS);
    }

    #[tokio::test]
    async fn old_segments_go_one_with_each_call() {
        let backend = FakeBackend::sound();
        let before = handled(&backend, 0..1_000, 1_000).await.segments.len();
        assert!(before > 2);
        let log = handled(&backend, 1_000..1_001, 1_001 + MARK_TTL).await;
        assert_eq!(log.segments.len(), before - 1);
        let log = handled(&backend, 1_001..1_100, 1_001 + MARK_TTL).await;
        assert_eq!((log.segments.len(), known(&log, 1_000..1_100)), (0, 100));
        for number in 0..NUMBERS {
            assert_eq!(backend.value(&actor(), &format!("{KEY}:{number}")), None, "{number}");
        }
    }

    /// It keeps 256 entries, and takes a reference for a mark.
    #[tokio::test]
    async fn a_host_of_the_release_before_loses_no_mark_of_the_head() {
        let backend = FakeBackend::sound();
        let log = handled(&backend, 0..4_500, 1_000).await;
        assert!(log.head.len() + log.head.segments.len() <= 256);
    }

    /// Only what is new is read: the check at a commit would else read all segments with each call.
    #[tokio::test]
    async fn what_another_host_has_handled_since_is_found_in_the_head_and_in_new_segments() {
        let backend = FakeBackend::sound();
        handled(&backend, 0..1_000, 1_000).await;
        let before = backend.value(&actor(), KEY).map(Bytes::from);
        let log = handled(&backend, 1_000..1_500, 1_000).await;
        let stored = backend.value(&actor(), KEY).map(Bytes::from);
        let since =
            MarkLog::since(before.as_ref(), stored, &*backend, (&actor(), KEY)).await.expect("it is read");
        assert_eq!(known(&since, 1_000..1_500), 500);
        assert!(!since.segments.is_empty() && since.segments.len() < log.segments.len());
    }
}
