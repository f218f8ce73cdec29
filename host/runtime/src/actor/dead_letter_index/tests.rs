use daca_fakes::FakeStore;
use daca_model::backend::Error;

use super::*;
use crate::fake::{FakeBackend, actor};

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
    store.overtake(2);
    other.announce(&actor("b"), true).await;
    assert_eq!(listed(&one).await, ["a", "b"]);
    let writes = store.writes();
    other.announce(&actor("b"), false).await;
    other.write_changes(&*store).await.expect("the store is there");
    assert_eq!(store.writes(), writes, "it knew that");
    one.note(&actor("b"), false);
    one.write_changes(&*store).await.expect("the store is there");
    assert_eq!(listed(&other).await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_later_unless_it_is_outdated() {
    let store = Arc::new(FakeStore::default());
    let index = Arc::new(index(&store));
    store.fail(backend::Error::Unavailable("it is away".into()));
    index.announce(&actor("a"), true).await;
    index.announce(&actor("b"), true).await;
    index.write_changes(&*store).await.expect_err("it is away");
    index.note(&actor("b"), false);
    store.recover();
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
    (0..3).for_each(|_| record.apply(&change(MAX_ACTORS, true)));
    assert_eq!(record.left_out, 1, "whoever looks at it again does not make it another one");
    record.apply(&change(MAX_ACTORS + 1, true));
    let value = stored_json(&record).expect("it is JSON");
    record = Record::read("k", &value).expect("it is read");
    record.apply(&change(MAX_ACTORS + 1, false));
    assert_eq!(record.left_out, 1, "one of the two has no dead letters any more");
    record.apply(&change(7, false));
    record.apply(&change(MAX_ACTORS, true));
    assert_eq!((record.actors.len(), record.left_out), (MAX_ACTORS, 0), "there was room");
}

/// An actor with a dead letter that no list has would never be found.
#[tokio::test(start_paused = true)]
async fn no_actor_gets_its_first_dead_letter_while_the_index_cannot_note_it() {
    let store = Arc::new(FakeStore::default());
    let index = index(&store);
    store.fail(Error::Unavailable("away".into()));
    assert!((0..MAX_CHANGES).all(|id| index.note(&actor(&id.to_string()), false)));
    assert!(index.announce(&actor("0"), true).await, "its change waits already");
    assert!(index.announce(&actor("0"), true).await);
    assert!(!index.announce(&actor("new"), true).await);
    assert!(index.announce(&actor("known"), false).await, "the index has it since its first one");
    assert_eq!(index.dropped(), 2);
    store.recover();
    index.write_changes(&*store).await.expect("the store is there");
    assert!(index.announce(&actor("new"), true).await);
    assert_eq!((listed(&index).await, index.dropped()), (vec!["0".to_owned(), "new".to_owned()], 2));
}

#[test]
fn what_no_host_wrote_is_an_empty_index_and_what_a_newer_one_wrote_is_left_alone() {
    for damaged in ["", "7", "[]", r#"{"format":1}"#, r#"{"format":1,"actors":[7]}"#] {
        assert_eq!(Record::read("k", damaged.as_bytes()).expect(damaged), Record::new());
    }
    let newer = Record::read("k", br#"{"format":2,"actors":[]}"#).expect_err("a newer form");
    assert!(newer.to_string().contains("newer"), "{newer}");
}

/// A host that starts has made no dead letter, and they are there.
#[tokio::test(start_paused = true)]
async fn the_actors_with_dead_letters_are_counted_with_and_without_a_shared_store() {
    let alone = DeadLetterIndex::new(None);
    for (id, has_letters) in [("a", true), ("a", true), ("b", true), ("b", false)] {
        assert!(alone.note(&actor(id), has_letters));
    }
    assert_eq!(alone.counts(), BTreeMap::from([("A".into(), 1)]));

    let store = Arc::new(FakeStore::default());
    index(&store).announce(&actor("a"), true).await;
    let (next, backend) = (index(&store), FakeBackend::sound());
    let agent_types = [Arc::<str>::from("A")];
    let counting = next.count(&agent_types, &*backend);
    assert!(tokio::time::timeout(Duration::from_secs(1), counting).await.is_err(), "it goes on");
    assert_eq!(next.counts(), BTreeMap::from([("A".into(), 1)]));
}
