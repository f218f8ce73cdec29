use daca_fakes::FakeStore;

use super::*;
use crate::fake::actor;

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
