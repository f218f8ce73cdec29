//! For how long the log of an actor is remembered that is not active any more.

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
