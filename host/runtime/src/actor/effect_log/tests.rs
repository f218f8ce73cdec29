use std::time::Duration;

use bytes::Bytes;
use daca_model::backend::{self, BindingRequest, Effect, EffectRequest, StateStore as _};
use proptest::collection::vec;
use proptest::prelude::*;

use super::segment::MAX_HEAD;
use super::stored::StoredEffect;
use super::*;
use crate::fake::{FakeBackend, actor, event};

mod segments;

/// An effect with data of this size.
fn sized(name: &str, bytes: usize) -> Effect {
    let request = EffectRequest::Publish {
        pubsub: "p".into(),
        topic: "t".into(),
        event: Bytes::from("x".repeat(bytes)),
    };
    Effect { request, ..event(name) }
}

/// A log over a store.
struct Stored {
    backend: Arc<FakeBackend>,
    log: EffectLog,
}

impl Stored {
    fn new() -> Stored {
        Stored { backend: FakeBackend::sound(), log: EffectLog::default() }
    }

    /// Commits a turn with these effects.
    async fn turn(&mut self, effects: Vec<Effect>) {
        let mut commit = TurnCommit::default();
        let staged = self.log.stage(logged(effects, 5).expect("they can be stored"), &[], &mut commit);
        self.backend.commit(&actor("a"), &commit).await.expect("it is kept");
        self.log.committed(staged);
    }

    /// The oldest effects that wait have left.
    fn leave(&self, count: usize) {
        let waiting = self.log.entries.iter().filter(|entry| !entry.is_done());
        waiting.take(count).filter_map(|entry| entry.effect.as_ref()).for_each(|effect| effect.left());
    }

    /// The first effect of the log.
    fn first(&self) -> Arc<LoggedEffect> {
        self.log.entries[0].effect.clone().expect("it has not left")
    }

    fn waiting(&self) -> Vec<Arc<str>> {
        let waiting = self.log.entries.iter().filter(|entry| !entry.is_done());
        waiting.map(|entry| entry.id.clone()).collect()
    }

    /// The next host: what it has to send.
    async fn next(&self) -> (EffectLog, Vec<Arc<str>>) {
        let mut log = EffectLog::default();
        let stored = StoredLog::read(&*self.backend, &actor("a")).await.expect("the log is read");
        let effects = log.reload(stored);
        (log, effects.iter().map(|one| one.effect.id.clone()).collect())
    }

    fn value(&self, key: &str) -> Option<String> {
        self.backend.value(&actor("a"), key)
    }
}

fn ids(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Effect::id_of(name, 0)).collect()
}

#[tokio::test]
async fn effects_lie_in_the_store_until_a_commit_after_they_have_left() {
    let mut host = Stored::new();
    host.turn(vec![event("1"), event("2")]).await;
    assert_eq!(host.next().await.1, ids(&["1", "2"]));
    host.leave(1);
    assert!(host.log.is_outdated());
    host.turn(vec![event("3")]).await;
    assert_eq!(host.next().await.1, ids(&["2", "3"]));
    host.leave(2);
    host.turn(Vec::new()).await;
    assert_eq!((host.value(HEAD), host.log.is_empty()), (None, true));
}

#[tokio::test]
async fn a_long_backlog_is_not_written_again_by_each_turn() {
    let mut host = Stored::new();
    for turn in 0..100 {
        host.turn(vec![sized(&turn.to_string(), MAX_HEAD / 8)]).await;
        assert!(host.value(HEAD).is_some_and(|head| head.len() < 2 * MAX_HEAD), "{turn}");
    }
    let (_, all) = host.next().await;
    assert_eq!(all, (0..100).map(|turn| Effect::id_of(&turn.to_string(), 0)).collect::<Vec<_>>());
    host.leave(50);
    host.turn(vec![event("last")]).await;
    assert_eq!(host.value(&segment_key(1)), None, "nothing of it waits");
    host.leave(100);
    host.turn(Vec::new()).await;
    let (log, rest) = host.next().await;
    assert_eq!((rest, log.is_empty()), (Vec::new(), true));
    for number in 0..=host.log.last_segment {
        assert_eq!(host.value(&segment_key(number)), None, "{number}");
    }
}

#[tokio::test]
async fn a_host_that_reads_its_log_again_sends_nothing_twice() {
    let mut host = Stored::new();
    host.turn(vec![event("sent"), event("waits")]).await;
    host.leave(1);
    host.log.forget_sent();
    // A commit whose answer was lost.
    let mut commit = TurnCommit::default();
    let in_doubt = logged(vec![event("in doubt")], 5).expect("it can be stored");
    host.log.stage(in_doubt, &[], &mut commit);
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    let stored = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    let unknown = host.log.reload(stored);
    assert_eq!(unknown.iter().map(|one| one.effect.id.clone()).collect::<Vec<_>>(), ids(&["in doubt"]));
    assert_eq!(host.waiting(), ids(&["waits", "in doubt"]));
}

/// Two hosts may overlap for a moment behind Dapr 1.16.
#[tokio::test]
async fn a_segment_that_another_host_has_removed_ends_nothing() {
    let mut host = Stored::new();
    for turn in 0..20 {
        host.turn(vec![sized(&turn.to_string(), MAX_HEAD / 8)]).await;
    }
    let segment = (0..=host.log.last_segment).find(|number| host.value(&segment_key(*number)).is_some());
    let key = segment_key(segment.expect("there is one"));
    let commit = TurnCommit { writes: [(key, backend::StateWrite::Delete)].into(), ..TurnCommit::default() };
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    let (log, rest) = host.next().await;
    assert!(!rest.is_empty() && rest.len() < 20, "{}", rest.len());
    let mut next = Stored { backend: host.backend.clone(), log };
    next.leave(20);
    next.turn(Vec::new()).await;
    assert_eq!(next.value(HEAD), None);
}

#[tokio::test]
async fn what_another_host_has_seen_to_is_not_sent_any_more() {
    let mut host = Stored::new();
    host.turn(vec![event("1")]).await;
    let waits = host.first();
    let (log, _) = host.next().await;
    let mut other = Stored { backend: host.backend.clone(), log };
    other.leave(1);
    other.turn(Vec::new()).await;
    let stored = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    assert_eq!(host.log.reload(stored).len(), 0);
    assert!(waits.is_done());
}

/// It may be given up while a commit is under way that knows nothing of it.
#[tokio::test]
async fn what_was_given_up_lies_in_the_log_until_it_is_a_dead_letter() {
    let mut host = Stored::new();
    host.turn(vec![event("1"), event("2")]).await;
    let reason =
        GivenUp { reason: "no such topic".into(), code: "invalid".into(), attempts: 1, at_unix_ms: 7 };
    host.first().give_up(reason.clone());
    host.turn(vec![event("3")]).await;
    assert_eq!(host.next().await.1, ids(&["1", "2", "3"]));
    let letters = host.log.given_up();
    assert_eq!(letters.iter().map(|letter| &letter.given_up).collect::<Vec<_>>(), [&reason]);
    let mut commit = TurnCommit::default();
    let staged = host.log.stage(Vec::new(), &letters, &mut commit);
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    host.log.committed(staged);
    assert_eq!(host.next().await.1, ids(&["2", "3"]));
    assert_eq!(host.log.given_up().len(), 0);
}

/// Another host has made it a dead letter, too, and there somebody has retried it.
#[tokio::test]
async fn what_was_given_up_here_and_retried_elsewhere_is_sent() {
    let mut host = Stored::new();
    host.turn(vec![event("1")]).await;
    host.first().give_up(GivenUp { reason: "no".into(), code: "invalid".into(), attempts: 1, at_unix_ms: 7 });
    let same = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    assert_eq!(host.log.reload(same).len(), 0);
    let retried = StoredEffect::new(event("1"), 8).expect("it can be stored").text;
    let write = StateWrite::Set { value: stored::text(&[], &[&retried]), ttl: None };
    let commit = TurnCommit { writes: [(HEAD.to_owned(), write)].into(), ..TurnCommit::default() };
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    let retried = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    assert_eq!(host.log.reload(retried).len(), 1);
    assert_eq!((host.waiting(), host.log.given_up().len()), (ids(&["1"]), 0));
}

/// A newer host may add fields to an effect.
#[tokio::test]
async fn unknown_fields_of_an_effect_are_kept() {
    let host = Stored::new();
    let effect = r#"{"id":"1-0","pubsub":"p","topic":"t","text":"{}","new":[1.10]}"#;
    let value = Bytes::from(format!(r#"{{"format":1,"pace":{{"ms":5}},"effects":[{effect}]}}"#));
    let write = StateWrite::Set { value, ttl: None };
    let commit = TurnCommit { writes: [(HEAD.to_owned(), write)].into(), ..TurnCommit::default() };
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    let (log, _) = host.next().await;
    let mut next = Stored { backend: host.backend.clone(), log };
    next.turn(vec![event("2")]).await;
    let head = next.value(HEAD).expect("an effect waits");
    assert!(head.contains(effect) && head.contains(r#""pace":{"ms":5}"#), "{head}");
    next.leave(2);
    next.turn(Vec::new()).await;
    next.turn(vec![event("3")]).await;
    assert!(next.value(HEAD).is_some_and(|head| !head.contains("pace")), "of a head that is gone");
}

#[test]
fn a_log_of_another_release_is_read_and_written_as_it_was() {
    let value = Bytes::from(include_str!("../../../tests/stored/56fc7f2/effects.json").trim_end());
    let head = Head::read(Some(&value)).expect("it is read");
    assert_eq!((head.segments.as_slice(), head.effects.len()), (&[2][..], 2));
    let texts = head.effects.iter().map(|one| &one.text).collect::<Vec<_>>();
    assert_eq!(stored::text(&head.segments, &texts), value);
    // Also if this release makes the text of the same effects: it adds their time.
    let again = |one: &StoredEffect| StoredEffect::new(one.effect.clone(), 5).expect("it can be stored").text;
    let again = head.effects.iter().map(again).collect::<Vec<_>>();
    let again = stored::text(&head.segments, &again.iter().collect::<Vec<_>>());
    assert_eq!(String::from_utf8_lossy(&again).replace(r#","committed_unix_ms":5"#, "").as_bytes(), value);
    let value = Bytes::from(include_str!("../../../tests/stored/56fc7f2/effects-2.json").trim_end());
    assert_eq!(stored::read_segment(2, &value).expect("it is read").len(), 1);
}

#[test]
fn every_effect_is_read_as_it_was_written() {
    let metadata = [("toNumber".to_owned(), "+1".to_owned())].into();
    let send = |data: &'static [u8]| {
        EffectRequest::Send(BindingRequest {
            name: "sms".into(),
            operation: "create".into(),
            data: Bytes::from_static(data),
            metadata: std::collections::BTreeMap::clone(&metadata),
        })
    };
    let publish = |data: &'static [u8]| EffectRequest::Publish {
        pubsub: "p".into(),
        topic: "t".into(),
        event: Bytes::from_static(data),
    };
    for request in [send(b"text"), send(b"\xff\0"), send(b""), publish(b"{\"a\": 1.10}"), publish(b"\xff")] {
        let effect = Effect {
            request,
            delivered_line: Some("delivered".into()),
            undeliverable_line: Some("lost".into()),
            traceparent: Some("00-1".into()),
            after_failure: true,
            ..event("e")
        };
        let expected = format!("{effect:?}");
        let text = StoredEffect::new(effect, 5).expect("it can be stored").text;
        let value = stored::text(&[3, 7], &[&text]);
        let head = Head::read(Some(&value)).expect("it is read");
        assert_eq!(head.segments, [3, 7]);
        assert_eq!(
            head.effects.iter().map(|one| format!("{:?}", one.effect)).collect::<Vec<_>>(),
            [expected]
        );
    }
}

#[test]
fn what_no_host_wrote_is_refused() {
    for value in [
        "",
        "7",
        "[]",
        "{}",
        r#"{"format":1}"#,
        r#"{"format":1,"effects":[7]}"#,
        r#"{"format":1,"effects":[{"id":"1"}]}"#,
        r#"{"format":1,"effects":[{"id":"1","pubsub":"p","topic":"t"}]}"#,
        r#"{"format":1,"effects":[{"id":"1","pubsub":"p","binding":"b","topic":"t","text":""}]}"#,
        r#"{"format":1,"segments":["x"],"effects":[]}"#,
        r#"{"format":1,"segments":[2,1],"effects":[]}"#,
        r#"{"format":1,"segments":[1,1],"effects":[]}"#,
        r#"{"format":1,"segments":[18446744073709551615],"effects":[]}"#,
    ] {
        let error = Head::read(Some(&value.into())).expect_err(value);
        assert!(error.to_string().contains("was not written by a host"), "{value}: {error}");
    }
    let newer = Head::read(Some(&r#"{"format":2,"effects":[]}"#.into())).expect_err("a newer form");
    assert!(matches!(newer, backend::Error::TooNew(_)), "{newer}");
}

/// What happens to a log.
#[derive(Debug, Clone)]
enum Step {
    /// A turn with effects of these sizes.
    Turn(Vec<usize>),
    /// So many effects leave.
    Leave(usize),
    /// The actor moves to another host, or its host dies.
    Move,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => vec(0..MAX_HEAD, 0..4).prop_map(Step::Turn),
        3 => (0_usize..8).prop_map(Step::Leave),
        1 => Just(Step::Move),
    ];
    vec(step, 1..40)
}

proptest! {
    /// The promise of the log: whatever the turns are and wherever the actor moves, each effect that waits is in the
    /// store, once, and in order.
    #[test]
    fn no_effect_is_lost_and_none_overtakes(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let result: Result<(), TestCaseError> = runtime.block_on(async {
            let (mut host, mut next) = (Stored::new(), 0);
            for step in steps {
                match step {
                    Step::Turn(sizes) => {
                        let effects = sizes.iter().map(|bytes| {
                            next += 1;
                            sized(&next.to_string(), *bytes)
                        });
                        let effects = effects.collect();
                        host.turn(effects).await;
                    }
                    Step::Leave(count) => {
                        host.leave(count);
                        host.log.forget_sent();
                    }
                    Step::Move => host.log = host.next().await.0,
                }
                let (_, stored) = host.next().await;
                let mut rest = stored.iter();
                for waiting in host.waiting() {
                    prop_assert!(rest.any(|one| *one == waiting), "{waiting} in {stored:?}");
                }
            }
            host.leave(usize::MAX);
            host.turn(Vec::new()).await;
            prop_assert_eq!(host.next().await.1.len(), 0);
            Ok(())
        });
        result?;
    }
}

proptest! {
    /// An import goes by the estimate, before there is a text.
    #[test]
    fn the_estimate_of_an_effect_in_the_log_is_not_too_small(data in vec(any::<u8>(), 0..300), name in "\\PC{0,40}") {
        let metadata = std::collections::BTreeMap::from([(name.clone(), name.clone())]);
        let text = String::from_utf8_lossy(&data).into_owned();
        let send = |data: Bytes| {
            EffectRequest::Send(BindingRequest { name: name.clone(), operation: name.clone(), data, metadata: metadata.clone() })
        };
        let publish = EffectRequest::Publish { pubsub: name.clone(), topic: name.clone(), event: text.clone().into() };
        for request in [send(data.into()), send(text.into()), publish] {
            let estimate = request.logged_bytes();
            let effect = Effect {
                id: Effect::id_of("0123456789abcdef-18446744073709551615", usize::MAX),
                request,
                traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
                after_failure: true,
                ..event("e")
            };
            let stored = StoredEffect::new(effect, u64::MAX).expect("it can be stored");
            prop_assert!(stored.text.bytes().len() <= estimate, "{} > {estimate}", stored.text.bytes().len());
        }
    }
}

/// Its age goes on on every host.
#[tokio::test]
async fn the_time_of_the_commit_lies_with_the_effect_and_one_without_is_new() {
    let mut host = Stored::new();
    host.turn(vec![event("1")]).await;
    let stored = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    let read = EffectLog::default().reload(stored);
    assert_eq!(read[0].age(1_005), Duration::from_secs(1));
    assert_eq!(read[0].age(0), Duration::ZERO, "the clock was set back");
    let older = Document::parse(&r#"{"id":"1-0","pubsub":"p","topic":"t","text":"{}"}"#.into());
    let older = StoredEffect::read(older.expect("JSON")).expect("of a host");
    assert_eq!(LoggedEffect::new(older).age(1_005), Duration::ZERO);
}
