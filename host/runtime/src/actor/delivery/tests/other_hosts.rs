//! What other hosts do with an actor's effects, and whose time counts.

use std::sync::atomic::AtomicBool;

use super::*;

/// It would hold up those behind it, for minutes.
#[tokio::test(start_paused = true)]
async fn a_lane_does_not_wait_for_an_effect_that_another_host_has_sent() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let backend =
        FakeBackend::delivering(move |_| if mended.load(Ordering::Relaxed) { Ok(()) } else { Err(away()) });
    let policy = RetryPolicy { backoff: Backoff::new(HOUR, HOUR), ..patient() };
    let (one, other) = (new(&backend, policy), new(&backend, policy));
    let active = claimed(&one, "a").await;
    turn(&one, "a", &["1", "2"]).await;
    a_moment().await;
    drop(active);
    is_mended.store(true, Ordering::Relaxed);
    let active = claimed(&other, "a").await;
    a_moment().await;
    turn(&other, "a", &["3"]).await;
    a_moment().await;
    drop(active);
    let _active = claimed(&one, "a").await;
    a_moment().await;
    assert_eq!(one.pending(), 0);
    // The store still has the last one, so it leaves twice.
    assert_eq!(backend.tried(), ["1", "1", "2", "3", "3"]);
}

#[tokio::test(start_paused = true)]
async fn an_effect_is_given_up_at_the_time_of_the_backend() {
    let machine = Machine::at(1_000_000_000);
    let invalid = |_: &str| Err(Error::Invalid("no such topic".into()));
    let backend = FakeBackend::delivering_at(set_by(&machine), invalid);
    let deliveries = new(&backend, patient());
    let _active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1"]).await;
    a_moment().await;
    let given_up = deliveries.given_up(&actor("a"));
    let at = given_up.iter().map(|letter| letter.given_up.at_unix_ms).collect::<Vec<_>>();
    assert!(at.len() == 1 && (1_000_000_000..1_000_001_000).contains(&at[0]), "{at:?}");
}
