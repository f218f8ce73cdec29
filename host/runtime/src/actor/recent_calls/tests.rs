use super::*;

fn key(name: &str) -> CallKey {
    CallKey::of_mark(&"A/a".parse().expect("an address"), name)
}

fn first(calls: &Arc<RecentCalls>, name: &str) -> (Answer, oneshot::Receiver<CallResult>) {
    match calls.deliver(key(name)) {
        Delivery::First(answer, receiver) => (answer, receiver),
        _ => panic!("{name} was delivered before"),
    }
}

fn joined(calls: &Arc<RecentCalls>, name: &str) -> oneshot::Receiver<CallResult> {
    match calls.deliver(key(name)) {
        Delivery::Joined(receiver) => receiver,
        _ => panic!("{name} is not pending"),
    }
}

fn reply(result: CallResult) -> Bytes {
    result.expect("a reply")
}

#[tokio::test]
async fn all_deliveries_of_a_call_get_the_answer_of_its_one_turn() {
    let calls = Arc::new(RecentCalls::default());
    let (mut answer, interrupted) = first(&calls, "a");
    drop(interrupted);
    let second = joined(&calls, "a");
    assert!(!answer.is_abandoned(), "a delivery waits");
    answer.send(Ok("once".into()));
    assert_eq!(reply(second.await.expect("an answer")), "once");
    let Delivery::Answered(kept) = calls.deliver(key("a")) else { panic!("the answer is kept") };
    assert_eq!(reply(kept), "once");
    calls.lock().forget_old(Instant::now() + ANSWER_TTL + Duration::from_secs(1));
    drop(first(&calls, "a"));
}

#[tokio::test]
async fn what_did_not_happen_is_not_kept_and_begins_anew() {
    let calls = Arc::new(RecentCalls::default());
    for error in [
        CallError::ShuttingDown,
        CallError::HostBusy(1),
        CallError::Backend(daca_model::backend::Error::NotApplied("moved".into())),
        CallError::Backend(daca_model::backend::Error::Unavailable("lost".into())),
    ] {
        first(&calls, "a").0.send(Err(error));
    }
    first(&calls, "a").0.send(Err(CallError::Failed("no".into())));
    assert!(matches!(calls.deliver(key("a")), Delivery::Answered(Err(CallError::Failed(_)))));
}

/// The first delivery was cut off before its turn was in the queue.
#[tokio::test]
async fn a_call_whose_turn_never_began_begins_with_its_next_delivery() {
    let calls = Arc::new(RecentCalls::default());
    let (answer, _first) = first(&calls, "a");
    let second = joined(&calls, "a");
    drop(answer);
    assert!(second.await.is_err());
    drop(first(&calls, "a"));
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_forgotten() {
    let calls = Arc::new(RecentCalls::default());
    let (mut answer, receiver) = first(&calls, "a");
    assert!(!answer.is_abandoned());
    drop(receiver);
    assert!(answer.is_abandoned());
    // The next delivery is not disturbed by what is left of the one before.
    let (next, receiver) = first(&calls, "a");
    drop(answer);
    next.send(Ok("next".into()));
    assert_eq!(reply(receiver.await.expect("an answer")), "next");
}

#[tokio::test]
async fn firings_are_joined_and_each_later_one_runs() {
    let calls = Arc::new(RecentCalls::default());
    let firing = || CallKey::of_firing(&"A/a".parse().expect("an address"), "timer", "t", b"");
    for _ in 0..2 {
        let Delivery::First(answer, receiver) = calls.deliver(firing()) else { panic!("it is new") };
        let Delivery::Joined(second) = calls.deliver(firing()) else { panic!("it runs") };
        answer.send(Ok(Bytes::new()));
        for receiver in [receiver, second] {
            reply(receiver.await.expect("an answer"));
        }
    }
}

/// Two equal calls of one trace are two calls, unless the first was cut off.
#[tokio::test]
async fn a_call_without_a_mark_comes_again_only_after_it_was_cut_off() {
    let calls = Arc::new(RecentCalls::default());
    let actor = "A/a".parse().expect("an address");
    let deliver = |payload: &[u8]| calls.deliver(CallKey::of_trace(&actor, "00-a-b-01", "Add", payload));
    let Delivery::First(answer, receiver) = deliver(b"1") else { panic!("it is new") };
    assert!(matches!(deliver(b"1"), Delivery::Separate));
    answer.send(Ok("1".into()));
    reply(receiver.await.expect("an answer"));
    let Delivery::First(answer, receiver) = deliver(b"1") else { panic!("it is another call") };
    drop(receiver);
    let Delivery::Joined(second) = deliver(b"1") else { panic!("it comes again") };
    assert!(matches!(deliver(b"2"), Delivery::First(..)));
    drop(second);
    answer.send(Ok("1".into()));
    assert!(matches!(deliver(b"1"), Delivery::Answered(Ok(_))));
}

#[tokio::test]
async fn what_is_kept_is_bounded() {
    let calls = Arc::new(RecentCalls::default());
    let large = Bytes::from(vec![0; MAX_BYTES / 2]);
    for name in ["a", "b", "c"] {
        first(&calls, name).0.send(Ok(large.clone()));
    }
    drop(first(&calls, "a"));
    for name in ["b", "c"] {
        assert!(matches!(calls.deliver(key(name)), Delivery::Answered(Ok(_))), "{name}");
    }
    assert_eq!(calls.lock().bytes, 2 * large.len());
    first(&calls, "d").0.send(Err(CallError::Failed("x".repeat(10))));
    assert_eq!(calls.lock().bytes, 2 * large.len() + 10 - large.len());
}
