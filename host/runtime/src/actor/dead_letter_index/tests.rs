use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::SharedValue;

use super::*;
use crate::fake::actor;

/// A store of two hosts, which can be away, and in which the other host is faster sometimes.
#[derive(Default)]
struct FakeStore {
    values: Mutex<BTreeMap<String, (Bytes, u64)>>,
    is_away: AtomicBool,
    conflicts: AtomicU32,
    writes: AtomicU32,
}

#[async_trait]
impl SharedStore for FakeStore {
    async fn read(&self, keys: &[String]) -> Result<Vec<Option<SharedValue>>, backend::Error> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(backend::Error::Unavailable("it is away".into()));
        }
        let values = self.values.lock();
        let read = |key: &String| {
            let (value, etag) = values.get(key)?;
            Some(SharedValue { value: value.clone(), etag: etag.to_string() })
        };
        Ok(keys.iter().map(read).collect())
    }

    async fn write(
        &self,
        key: &str,
        value: Bytes,
        expected: Option<Option<&str>>,
    ) -> Result<(), SharedWriteError> {
        let mut values = self.values.lock();
        let (present, number) = values.remove(key).unzip();
        let is_expected = expected == Some(number.map(|number: u64| number.to_string()).as_deref());
        let is_overtaken =
            self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        let (value, result) = match present {
            present if !is_expected || is_overtaken.is_ok() => (present, Err(SharedWriteError::Conflict)),
            _ => (Some(value), Ok(())),
        };
        if let Some(value) = value {
            values.insert(key.to_owned(), (value, number.unwrap_or(0) + 1));
        }
        self.writes.fetch_add(u32::from(result.is_ok()), Ordering::Relaxed);
        result
    }

    async fn delete(&self, key: &str) -> Result<(), backend::Error> {
        self.values.lock().remove(key);
        Ok(())
    }
}

fn index(store: &Arc<FakeStore>) -> DeadLetterIndex {
    DeadLetterIndex::new(Some(store.clone()))
}

async fn listed(index: &DeadLetterIndex) -> Vec<String> {
    let (actors, _) = index.read(&["A".into()]).await.expect("the index is read");
    actors.iter().map(|actor| actor.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_actor_is_in_the_index_from_its_first_dead_letter_to_its_last() {
    let store = Arc::new(FakeStore::default());
    let (one, other) = (index(&store), index(&store));
    one.announce(&actor("a"), true).await;
    store.conflicts.store(2, Ordering::Relaxed);
    other.announce(&actor("b"), true).await;
    assert_eq!(listed(&one).await, ["a", "b"]);
    let writes = store.writes.load(Ordering::Relaxed);
    other.announce(&actor("b"), false).await;
    other.write_changes(&*store).await.expect("the store is there");
    assert_eq!(store.writes.load(Ordering::Relaxed), writes, "it knew that");
    one.note(&actor("b"), false);
    one.write_changes(&*store).await.expect("the store is there");
    assert_eq!(listed(&other).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_later_unless_it_is_outdated() {
    let store = Arc::new(FakeStore::default());
    let index = Arc::new(index(&store));
    store.is_away.store(true, Ordering::Relaxed);
    index.announce(&actor("a"), true).await;
    index.announce(&actor("b"), true).await;
    index.write_changes(&*store).await.expect_err("it is away");
    index.note(&actor("b"), false);
    store.is_away.store(false, Ordering::Relaxed);
    let running = {
        let index = index.clone();
        tokio::spawn(async move { index.run().await })
    };
    while listed(&index).await != ["a"] {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.abort();
}

#[test]
fn a_full_index_counts_what_it_does_not_hold() {
    let mut record = Record::new();
    let change = |id: usize, has_letters: bool| BTreeMap::from([(Arc::from(id.to_string()), has_letters)]);
    (0..=MAX_ACTORS).for_each(|id| record.apply(&change(id, true)));
    assert_eq!((record.actors.len(), record.left_out), (MAX_ACTORS, 1));
    record.apply(&change(7, true));
    assert_eq!(record.left_out, 1, "it holds that one");
    record.apply(&change(7, false));
    record.apply(&change(MAX_ACTORS, true));
    assert_eq!((record.actors.len(), record.left_out), (MAX_ACTORS, 1));
}

#[test]
fn what_no_host_wrote_is_an_empty_index_and_what_a_newer_one_wrote_is_left_alone() {
    for damaged in ["", "7", "[]", r#"{"format":1}"#, r#"{"format":1,"actors":[7]}"#] {
        assert_eq!(Record::read("k", damaged.as_bytes()).expect(damaged), Record::new());
    }
    let newer = Record::read("k", br#"{"format":2,"actors":[]}"#).expect_err("a newer form");
    assert!(newer.to_string().contains("newer"), "{newer}");
}
