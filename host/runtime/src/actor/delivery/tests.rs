use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU32;

use super::*;
use crate::fake::{FakeBackend, TOGETHER, actor, event};
use daca_base::backoff::Backoff;
use daca_base::clock::{Clock, Reading, moved::Machine};
use daca_base::shares::Weights;
use daca_manifest::EffectOrder;
use daca_model::backend::{BindingRequest, EffectRequest, EffectStatus};

mod at_once;
mod lines;
mod other_hosts;
mod panics;
mod remembered;
mod removals;

const DELAY: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn with(policy: RetryPolicy) -> DeliveryOptions {
    DeliveryOptions {
        policies: HashMap::new(),
        policy,
        weights: Weights::default(),
        max_pending: 100,
        max_pending_bytes: 1_000_000,
    }
}

/// Four attempts, however long they take.
fn options() -> DeliveryOptions {
    with(RetryPolicy::attempts(4, DELAY))
}

/// The policy of a manifest: a day, and five attempts at least.
fn patient() -> RetryPolicy {
    RetryPolicy {
        retry_for: 24 * HOUR,
        min_attempts: 5,
        backoff: Backoff::new(Duration::from_secs(1), 5 * MINUTE),
        order: EffectOrder::Component,
    }
}

fn away() -> Error {
    Error::Unavailable("it is away".into())
}

/// A backend that fails so many deliveries.
fn failing(attempts: u32) -> impl Fn(&str) -> Result<(), Error> + Send + Sync + 'static {
    let failures = AtomicU32::new(0);
    move |_| if failures.fetch_add(1, Ordering::Relaxed) < attempts { Err(away()) } else { Ok(()) }
}

fn new(backend: &Arc<FakeBackend>, policy: RetryPolicy) -> Deliveries {
    Deliveries::new(backend.clone(), Arc::default(), with(policy))
}

fn sms() -> Effect {
    let request = BindingRequest {
        name: "sms".into(),
        operation: "create".into(),
        data: "{}".into(),
        metadata: [].into(),
    };
    Effect { request: EffectRequest::Send(request), ..event("sms") }
}

/// A clock whose wall time is that of a machine. Waits follow tokio's time.
fn set_by(machine: &Machine) -> Clock {
    let (machine, started) = (machine.clone(), Instant::now());
    Clock::new(move || Reading { wall: machine.now(), monotonic: started.elapsed() })
}

/// The claim of an activation, which reads the log.
async fn claimed(deliveries: &Deliveries, id: &str) -> Option<LogClaim> {
    let mut claim = None;
    deliveries.claim(&actor(id), &mut claim).await.expect("the log is read");
    claim
}

/// Begins what a commit has led to, as a turn does when its caller has the answer.
fn begin(lanes: Option<NewLanes>) {
    if let Some(lanes) = lanes {
        lanes.leave();
    }
}

/// Takes over the effects of a committed turn.
fn enqueue(deliveries: &Deliveries, id: &str, effects: Vec<Effect>) {
    let staged =
        deliveries.stage(&actor(id), effects, &[], &mut TurnCommit::default()).expect("it can be stored");
    begin(deliveries.committed(&actor(id), staged));
}

/// Commits a turn with these events.
async fn turn(deliveries: &Deliveries, id: &str, events: &[&str]) {
    let (actor, mut commit) = (actor(id), TurnCommit::default());
    let effects = events.iter().map(|name| event(name)).collect();
    let staged = deliveries.stage(&actor, effects, &[], &mut commit).expect("it can be stored");
    deliveries.shared.backend.commit(&actor, &commit).await.expect("it is kept");
    begin(deliveries.committed(&actor, staged));
}

/// Waits for longer than it takes to try what is due, and for less than any retry.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Hands over the effects of a turn, and waits, for as long as it takes, until all are settled.
async fn delivered(backend: &Arc<FakeBackend>, turns: &[(&str, &[&str])]) -> (Vec<String>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), options());
    let mut claims = Vec::new();
    for id in turns.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>() {
        claims.push(claimed(&deliveries, id).await);
    }
    for (id, effects) in turns {
        enqueue(&deliveries, id, effects.iter().map(|name| event(name)).collect());
    }
    let left = deliveries.flush(Instant::now() + MINUTE).await;
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
    let (took, waits) = (begun.elapsed(), DELAY + 2 * DELAY);
    assert!((waits * 3 / 4..=waits + DELAY / 10).contains(&took), "each wait is twice as long: {took:?}");
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
    let _active = claimed(&deliveries, "a").await;
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
    let _active = claimed(&deliveries, "a").await;
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
async fn a_backlog_slows_callers_down_for_a_second_and_then_refuses_them() {
    let backend = FakeBackend::sound();
    let _held = backend.hold_deliveries().await;
    let deliveries = Deliveries::new(backend, Arc::default(), options());
    enqueue(&deliveries, "a", some(10));
    let begun = Instant::now();
    deliveries.slow_down("A").await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "a tenth may wait");
    enqueue(&deliveries, "b", some(80));
    deliveries.slow_down("A").await;
    assert_eq!(begun.elapsed(), MAX_SLOWDOWN);
    assert!(deliveries.check("A", 1).is_ok());
    enqueue(&deliveries, "c", some(50));
    assert!(deliveries.check("A", 1).is_err() && deliveries.check("A", 2).is_ok());
}

fn some(count: usize) -> Vec<Effect> {
    (0..count).map(|number| event(&number.to_string())).collect()
}

/// A binding that is away for hours is no reason to make every caller wait for a second.
#[tokio::test(start_paused = true)]
async fn effects_that_are_held_up_slow_nobody_down() {
    let deliveries = new(&FakeBackend::delivering(|_| Err(away())), patient());
    let _active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", some(80));
    a_moment().await;
    let begun = Instant::now();
    deliveries.slow_down("A").await;
    enqueue(&deliveries, "a", some(10));
    deliveries.slow_down("A").await;
    assert_eq!((begun.elapsed(), deliveries.pending()), (Duration::ZERO, 90));
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_is_away_holds_up_its_own_effects_alone_unless_the_order_is_strict() {
    for (order, tried, waiting) in
        [(EffectOrder::Component, &["sms", "1", "2"][..], 1), (EffectOrder::Strict, &["sms"][..], 3)]
    {
        let backend = FakeBackend::delivering(|name| if name == "sms" { Err(away()) } else { Ok(()) });
        let deliveries = new(&backend, RetryPolicy { order, ..patient() });
        let _active = claimed(&deliveries, "a").await;
        enqueue(&deliveries, "a", vec![sms(), event("1"), event("2")]);
        assert_eq!(deliveries.flush(Instant::now() + DELAY).await, waiting, "{order:?}");
        assert_eq!(backend.tried(), tried, "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_strict_order_nothing_overtakes_what_is_away_and_all_leave_then() {
    let failures = AtomicU32::new(0);
    let backend = FakeBackend::delivering(move |name| match name {
        "sms" if failures.fetch_add(1, Ordering::Relaxed) < 2 => Err(away()),
        _ => Ok(()),
    });
    let deliveries = new(&backend, RetryPolicy { order: EffectOrder::Strict, ..patient() });
    let _active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", vec![event("1"), sms(), event("2")]);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["1", "sms", "sms", "sms", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_for_ten_minutes_gets_everything_in_order() {
    let back = Instant::now() + 10 * MINUTE;
    let backend = FakeBackend::delivering(move |_| if Instant::now() < back { Err(away()) } else { Ok(()) });
    let outbox = Arc::new(Outbox::default());
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), with(patient()));
    let _active = claimed(&deliveries, "a").await;
    enqueue(&deliveries, "a", vec![event("1"), event("2")]);
    tokio::time::sleep(MINUTE).await;
    enqueue(&deliveries, "a", vec![event("3")]);
    assert_eq!(deliveries.flush(Instant::now() + HOUR).await, 0);
    assert!(Instant::now() < back + 5 * MINUTE, "the wait has a maximum");
    let tried = backend.tried();
    let (failed, left) = tried.split_at(tried.len() - 3);
    assert_eq!(left, ["1", "2", "3"]);
    assert!(failed.len() < 20 && failed.iter().all(|name| name == "1"), "{tried:?}");
    assert_eq!((outbox.counts().sent, outbox.counts().failed), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn an_effect_whose_time_is_over_is_given_up_with_the_reason() {
    let backend = FakeBackend::delivering(|_| Err(away()));
    let outbox = Arc::new(Outbox::default());
    let options = with(RetryPolicy { retry_for: 10 * MINUTE, ..patient() });
    let deliveries = Deliveries::new(backend.clone(), outbox.clone(), options);
    let _active = claimed(&deliveries, "a").await;
    let begun = Instant::now();
    enqueue(&deliveries, "a", vec![event("1")]);
    assert_eq!(deliveries.flush(begun + HOUR).await, 0);
    assert!((10 * MINUTE..=15 * MINUTE).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    let entry = &outbox.entries()[0];
    assert_eq!((entry.status, entry.error.as_deref()), (EffectStatus::Failed, Some("it is away")));
    assert_eq!(deliveries.given_up(&actor("a")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_ends_no_effect_before_its_least_attempts() {
    let machine = Machine::at(1_000_000_000);
    let backend = FakeBackend::delivering_at(set_by(&machine), failing(9));
    let deliveries = new(&backend, patient());
    let active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1"]).await;
    a_moment().await;
    machine.sleep(48 * HOUR);
    // Ten attempts, though only five are certain: this host knows that no day has passed.
    assert_eq!(deliveries.flush(Instant::now() + HOUR).await, 0);
    assert_eq!(backend.tried().len(), 10);
    assert_eq!(deliveries.given_up(&actor("a")).len(), 0);
    drop(active);

    // A host that starts with the wrong clock cannot know.
    let backend = FakeBackend::delivering_at(set_by(&machine), failing(5));
    turn(&new(&backend, patient()), "a", &["1"]).await;
    a_moment().await;
    machine.sleep(48 * HOUR);
    let next = new(&backend, patient());
    let _active = claimed(&next, "a").await;
    assert_eq!(next.flush(Instant::now() + HOUR).await, 0);
    assert_eq!(backend.tried().len(), 1 + 5, "the fifth attempt of the next host has succeeded");
    assert_eq!(next.given_up(&actor("a")).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_effect_goes_on_while_no_host_runs() {
    let machine = Machine::at(1_000_000_000);
    let backend = FakeBackend::delivering_at(set_by(&machine), |_| Err(away()));
    turn(&new(&backend, patient()), "a", &["1"]).await;
    a_moment().await;
    machine.pass(20 * HOUR);
    let next = new(&backend, patient());
    let begun = Instant::now();
    let _active = claimed(&next, "a").await;
    assert_eq!(next.flush(begun + 48 * HOUR).await, 0);
    let took = begun.elapsed();
    assert!((4 * HOUR..=4 * HOUR + 5 * MINUTE).contains(&took), "of a day four hours are left: {took:?}");
    assert_eq!(next.given_up(&actor("a")).len(), 1);
}

/// They lie in the actor's state. The host's reminder wakes the actor, maybe on another host.
#[tokio::test(start_paused = true)]
async fn effects_that_are_held_up_are_let_go_with_their_activation_and_read_again_by_the_next() {
    let backend = FakeBackend::delivering(failing(2));
    let deliveries = new(&backend, patient());
    let active = claimed(&deliveries, "a").await;
    turn(&deliveries, "a", &["1", "2"]).await;
    a_moment().await;
    drop(active);
    assert_eq!(deliveries.pending(), 2);
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["1", "1"]);
    let _active = claimed(&deliveries, "a").await;
    assert_eq!(deliveries.flush(Instant::now() + MINUTE).await, 0);
    assert_eq!(backend.tried(), ["1", "1", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_tries_once_and_does_not_wait_for_what_lies_in_the_state() {
    let backend = FakeBackend::delivering(|name| if name == "1" { Err(away()) } else { Ok(()) });
    let deliveries = new(&backend, patient());
    let _active = (claimed(&deliveries, "a").await, claimed(&deliveries, "b").await);
    enqueue(&deliveries, "a", vec![event("1"), event("2")]);
    a_moment().await;
    enqueue(&deliveries, "b", vec![event("3")]);
    let begun = Instant::now();
    for _ in 0..2 {
        assert_eq!(deliveries.drain(begun + MINUTE).await, 2);
    }
    assert!(begun.elapsed() < DELAY, "{:?}", begun.elapsed());
    let mut tried = backend.tried();
    tried.sort();
    assert_eq!(tried, ["1", "1", "3"]);
}
