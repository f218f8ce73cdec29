//! What is remembered of an actor's effects, and for how long, if it is not active any more.

use super::*;
use crate::actor::delivery::logs::REMEMBERED;

#[tokio::test(start_paused = true)]
async fn a_log_is_forgotten_after_its_last_effect_however_long_that_waits() {
    let backend = FakeBackend::sound();
    let held = backend.hold_deliveries().await;
    let deliveries = new(&backend, patient());
    let active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", vec![event("1")]);
    drop(active);
    let is_known = || deliveries.shared.lock().outgoing.contains_key(&actor("a"));
    tokio::time::sleep(REMEMBERED + DELAY).await;
    drop(claimed(&deliveries, "b").await);
    assert!(is_known(), "its effect waits");
    drop(held);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    tokio::time::sleep(REMEMBERED + DELAY).await;
    drop(claimed(&deliveries, "b").await);
    assert!(!is_known());
}

/// What has left lies in the store until the next commit, and would leave again if it were forgotten.
#[tokio::test(start_paused = true)]
async fn a_log_is_remembered_from_the_end_of_the_last_activation_on() {
    let backend = FakeBackend::sound();
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1"]).await;
    assert_eq!(deliveries.flush(Instant::now() + 60 * DELAY).await, 0);
    drop(active);
    tokio::time::sleep(REMEMBERED - DELAY).await;
    drop(claimed(&deliveries, "a").await);
    assert_eq!(deliveries.shared.lock().left.len(), 1, "it is listed once");
    tokio::time::sleep(2 * DELAY).await;
    drop(claimed(&deliveries, "b").await);
    drop(claimed(&deliveries, "a").await);
    assert_eq!(deliveries.flush(Instant::now() + 60 * DELAY).await, 0);
    assert_eq!(backend.tried(), ["1"]);
}

/// Its activations may be shorter than the waits.
#[tokio::test(start_paused = true)]
async fn attempts_at_effects_that_were_let_go_count_when_they_are_read_again() {
    let backend = FakeBackend::delivering(|_| Err(away()));
    let deliveries = new(&backend, RetryPolicy::attempts(3, DELAY));
    let active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1"]).await;
    a_moment().await;
    drop(active);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!((backend.tried().len(), deliveries.given_up(&actor("a")).len()), (2, 0));
    let _active = claimed(&deliveries, "a").await;
    a_moment().await;
    assert_eq!((backend.tried().len(), deliveries.given_up(&actor("a")).len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn effects_for_which_nothing_wakes_their_actor_are_not_let_go() {
    let backend = FakeBackend::delivering(failing(3));
    backend.lack_reminders();
    let deliveries = new(&backend, patient());
    let active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1", "2"]).await;
    a_moment().await;
    drop(active);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["1", "1", "1", "1", "2"]);
}
