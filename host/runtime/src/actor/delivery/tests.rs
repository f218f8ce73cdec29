use std::sync::atomic::AtomicU32;

use super::*;
use crate::fake::{FakeBackend, TOGETHER, actor, event};
use daca_model::backend::{BindingRequest, EffectRequest};

const DELAY: Duration = Duration::from_millis(100);

fn options() -> DeliveryOptions {
    DeliveryOptions { attempts: 4, retry_delay: DELAY, max_pending: 100, max_pending_bytes: 1_000_000 }
}

fn away() -> Error {
    Error::Unavailable("it is away".into())
}

/// Takes over the effects of a committed turn.
fn enqueue(deliveries: &Deliveries, id: &str, effects: Vec<Effect>) {
    let staged =
        deliveries.stage(&actor(id), effects, &[], &mut TurnCommit::default()).expect("it can be stored");
    deliveries.committed(&actor(id), staged);
}

/// Hands over the effects of a turn, and waits, for as long as it takes, until all are settled.
async fn delivered(backend: &Arc<FakeBackend>, turns: &[(&str, &[&str])]) -> (Vec<String>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), options());
    for (id, effects) in turns {
        enqueue(&deliveries, id, effects.iter().map(|name| event(name)).collect());
    }
    let left = deliveries.flush(Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(left, 0, "{:?}", backend.tried());
    (backend.tried(), outbox)
}

#[tokio::test(start_paused = true)]
async fn effects_of_an_actor_keep_their_order_while_the_first_is_tried_again() {
    let failures = AtomicU32::new(0);
    let backend = FakeBackend::delivering(move |name| match name {
        "1" if failures.fetch_add(1, Ordering::Relaxed) < 2 => Err(away()),
        _ => Ok(()),
    });
    let begun = Instant::now();
    let (tried, outbox) = delivered(&backend, &[("a", &["1", "2"]), ("b", &["other"])]).await;
    assert_eq!(tried, ["1", "other", "1", "1", "2"], "another actor does not wait");
    assert_eq!(begun.elapsed(), DELAY + 2 * DELAY, "each wait is twice as long");
    assert_eq!((outbox.counts().sent, outbox.counts().failed), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_effect_is_dropped_after_its_tries_and_the_next_one_leaves() {
    let backend = FakeBackend::delivering(|name| if name == "1" { Err(away()) } else { Ok(()) });
    let (tried, outbox) = delivered(&backend, &[("a", &["1", "2"])]).await;
    assert_eq!(tried, ["1", "1", "1", "1", "2"]);
    assert_eq!((outbox.counts().sent, outbox.counts().failed), (1, 1));
    let attempts = outbox.entries().iter().map(|entry| entry.attempts).collect::<Vec<_>>();
    assert_eq!(attempts, [4, 1], "the outbox counts the tries");
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_waits_is_known_with_its_tries() {
    let backend = FakeBackend::delivering(|_| Err(away()));
    let deliveries = Deliveries::new(backend, Arc::default(), options());
    enqueue(&deliveries, "a", vec![event("1"), event("2")]);
    assert_eq!(deliveries.waiting_actors(), [actor("a")]);
    tokio::time::sleep(DELAY / 2).await;
    let waiting = deliveries.pending_of(&actor("a")).into_iter().map(|logged| deliveries.tries(logged));
    let waiting = waiting.map(|tried| (tried.logged.effect.id.to_string(), tried.attempts, tried.error));
    let waiting = waiting.collect::<Vec<_>>();
    assert_eq!(waiting, [("1-0".to_owned(), 1, Some("it is away".to_owned())), ("2-0".to_owned(), 0, None)]);
}

/// A backend does not say which effect of a request has failed.
#[tokio::test(start_paused = true)]
async fn what_waited_behind_an_effect_that_is_given_up_has_attempts_of_its_own() {
    let failures = AtomicU32::new(0);
    let backend = FakeBackend::delivering(move |name| match name {
        "2" if failures.fetch_add(1, Ordering::Relaxed) >= 4 => Ok(()),
        _ => Err(away()),
    });
    let outbox = Arc::new(Outbox::default());
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), options());
    let together = |name: &str| {
        let (pubsub, topic) = ("p".to_owned(), TOGETHER.to_owned());
        let request = EffectRequest::Publish { pubsub, topic, event: name.to_owned().into() };
        Effect { request, ..event(name) }
    };
    enqueue(&deliveries, "a", vec![together("1"), together("2")]);
    assert_eq!(deliveries.flush(Instant::now() + 60 * DELAY).await, 0);
    assert_eq!(backend.tried(), ["1", "2", "1", "2", "1", "2", "1", "2", "2"]);
    assert_eq!((outbox.counts().sent, outbox.counts().failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_delivered_is_tried_once() {
    let backend = FakeBackend::delivering(|name| match name {
        "1" => Err(Error::Invalid("no such topic".into())),
        _ => Ok(()),
    });
    let (tried, outbox) = delivered(&backend, &[("a", &["1", "2"])]).await;
    assert_eq!(tried, ["1", "2"]);
    assert_eq!((outbox.counts().sent, outbox.counts().failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_ends_no_lane() {
    let backend = FakeBackend::delivering(|name| {
        assert_ne!(name, "1", "the backend has a defect");
        Ok(())
    });
    let (tried, outbox) = delivered(&backend, &[("a", &["1"]), ("a", &["2"])]).await;
    assert_eq!(tried, ["1", "2"]);
    assert_eq!((outbox.counts().sent, outbox.counts().failed, outbox.counts().pending), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_slows_callers_down_for_a_second_and_then_refuses_them() {
    let backend = FakeBackend::delivering(|_| Err(away()));
    let deliveries = Deliveries::new(backend, Arc::default(), options());
    let some = |count: usize| (0..count).map(|number| event(&number.to_string())).collect::<Vec<_>>();
    enqueue(&deliveries, "a", some(10));
    let begun = Instant::now();
    deliveries.slow_down().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a tenth may wait");
    enqueue(&deliveries, "b", some(80));
    deliveries.slow_down().await;
    assert_eq!(begun.elapsed(), MAX_SLOWDOWN);
    assert!(!deliveries.is_full(1));
    enqueue(&deliveries, "c", some(50));
    assert!(deliveries.is_full(1) && !deliveries.is_full(2));
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_away_holds_up_its_own_effects_alone() {
    let backend = FakeBackend::delivering(|name| if name == "sms" { Err(away()) } else { Ok(()) });
    let deliveries = Deliveries::new(backend.clone(), Arc::default(), options());
    let request = BindingRequest {
        name: "sms".into(),
        operation: "create".into(),
        data: "{}".into(),
        metadata: [].into(),
    };
    let sms = Effect { request: EffectRequest::Send(request), ..event("sms") };
    enqueue(&deliveries, "a", vec![sms, event("1"), event("2")]);
    assert_eq!(deliveries.flush(Instant::now() + DELAY / 2).await, 1);
    assert_eq!(backend.tried(), ["sms", "1", "2"]);
}

/// Claims the log of an actor, as an activation does that ends at once.
async fn visit(deliveries: &Deliveries, id: &str) {
    let mut claim = None;
    deliveries.claim(&actor(id), &mut claim).await.expect("the log is read");
}

#[tokio::test(start_paused = true)]
async fn a_log_is_forgotten_after_its_last_effect_however_long_that_waits() {
    let failures = AtomicU32::new(0);
    let backend = FakeBackend::delivering(move |_| match failures.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(away()),
        _ => Ok(()),
    });
    let options = DeliveryOptions { retry_delay: REMEMBERED, ..options() };
    let deliveries = Deliveries::new(backend, Arc::default(), options);
    let mut claim = None;
    deliveries.claim(&actor("a"), &mut claim).await.expect("the log is read");
    enqueue(&deliveries, "a", vec![event("1")]);
    drop(claim);
    let is_known = || deliveries.shared.lock().outgoing.contains_key(&actor("a"));
    tokio::time::sleep(REMEMBERED + DELAY).await;
    visit(&deliveries, "b").await;
    assert!(is_known(), "its effect waits");
    assert_eq!(deliveries.flush(Instant::now() + 10 * REMEMBERED).await, 0);
    tokio::time::sleep(REMEMBERED + DELAY).await;
    visit(&deliveries, "b").await;
    assert!(!is_known());
}
