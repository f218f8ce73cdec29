//! Effects that need no wait.

use super::*;
use crate::fake::AT_ONCE;

#[tokio::test]
async fn what_can_leave_at_once_has_left_when_the_commit_is_over() {
    let backend = FakeBackend::sound();
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let _active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", vec![event("1"), sms(), event("2")]);
    assert_eq!((backend.tried().len(), deliveries.pending(), deliveries.lanes()), (3, 0, 0));
    let held = backend.hold_deliveries().await;
    enqueue(&deliveries, "a", vec![event("3")]);
    assert_eq!((backend.tried().len(), deliveries.pending()), (3, 1));
    drop(held);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
}

#[tokio::test]
async fn nothing_leaves_at_once_while_its_turn_has_the_last_place() {
    let backend = FakeBackend::sound();
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let turns = SharedPool::new("turns", 1, &Weights::default());
    deliveries.set_turn_pool(&turns);
    let turn = turns.try_acquire("A", 1);
    enqueue(&deliveries, "a", vec![event("1")]);
    assert_eq!(backend.tried(), Vec::<String>::new());
    drop(turn);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    enqueue(&deliveries, "b", vec![event("2")]);
    assert_eq!(backend.tried(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_needs_no_wait_leaves_with_its_turn_and_overtakes_none_that_does() {
    let backend = FakeBackend::delivering(failing(1));
    let outbox = Arc::new(Outbox::default());
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), options());
    let at_once = |name: &str| {
        let (pubsub, topic) = ("p".to_owned(), AT_ONCE.to_owned());
        let request = EffectRequest::Publish { pubsub, topic, event: name.to_owned().into() };
        Effect { request, ..event(name) }
    };
    let claim = claimed(&deliveries, "a").await.expect("it is active");
    enqueue(&deliveries, "a", vec![at_once("1")]);
    assert_eq!(backend.tried(), ["1"]);
    assert_eq!((deliveries.pending(), deliveries.lanes(), outbox.counts().sent), (0, 0, 1));
    assert!(deliveries.is_outdated(&claim), "the next commit removes it");
    // They go to one component. The first one is away at first.
    enqueue(&deliveries, "a", vec![event("2"), at_once("3")]);
    enqueue(&deliveries, "a", vec![at_once("4")]);
    assert_eq!(deliveries.pending(), 3);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["1", "2", "2", "3", "4"]);
    assert_eq!(outbox.counts().sent, 4);
}
