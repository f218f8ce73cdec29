//! Turns: one at a time for each actor, all or nothing, within the host's bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daca_tests::{Host, default_manifest, eventually, exerciser, message};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

#[tokio::test]
async fn a_turn_that_does_not_end_well_leaves_nothing() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let cases = [
        ("SetThenFail", "invalid", 400, "invalid"),
        ("SetThenFail", "not-found", 404, "not-found"),
        ("SetThenFail", "failed", 500, "failed"),
        ("SetThenTrap", "failed", 500, "guest-trapped"),
    ];
    for (method, fault, status, code) in cases {
        // On a new instance, and on one that has served before.
        for warm in [false, true] {
            let actor = format!("Exerciser/{method}-{fault}-{warm}");
            if warm {
                host.call(&actor, "SetState", &json!({"key": "k", "value": "before"})).await?;
            }
            let before = if warm { json!("before") } else { Value::Null };
            let doomed = json!({"key": "k", "value": "doomed", "fault": fault});
            let answer = host.invoke(&actor, method, &doomed).await?;
            assert_eq!(answer.outcome(), (status, Some(code)), "{actor}");
            assert!(!answer.body["detail"].as_str().unwrap_or_default().is_empty(), "{answer:?}");
            assert_eq!(host.call(&actor, "GetState", &json!({"key": "k"})).await?, before, "{actor}");
            let name = json!({"name": "doomed"});
            assert_eq!(host.call(&actor, "GetReminder", &name).await?, Value::Null, "{actor}");
            assert_eq!(host.call(&actor, "GetTimer", &name).await?, Value::Null, "{actor}");
            // The hook's write belongs to the turn that it ran in, and so is gone with it.
            let activations = host.call(&actor, "Activations", &Value::Null).await?;
            assert_eq!(activations, json!(if warm { 2 } else { 1 }), "{actor}");
            // A reminder that is registered now is due after the doomed ones were.
            host.call(&actor, "RegisterReminder", &json!({"name": "later", "due_ms": 0})).await?;
            eventually("the reminder fires", async || {
                Ok(host.call(&actor, "Fired", &Value::Null).await? != json!([]))
            })
            .await?;
            let fired = host.call(&actor, "Fired", &Value::Null).await?;
            assert_eq!(fired, json!([{"kind": "reminder", "name": "later", "data": null}]), "{actor}");
        }
    }
    let outbox = host.get_admin("/outbox").await?.body;
    assert_eq!(outbox, json!({"counts": {"pending": 0, "sent": 0, "failed": 0}, "entries": []}));
    // What staged the effects is permitted: otherwise nothing would have been staged at all.
    let permitted = json!({"pubsub": "daca-pubsub", "topic": "user-chat", "event": 1});
    assert_eq!(host.call("Exerciser/x", "Publish", &permitted).await?, json!({"effect": 0}));
    Ok(())
}

#[tokio::test]
async fn an_instance_is_new_after_a_failure_and_the_same_after_success() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let calls = async || host.call("Exerciser/a", "Calls", &Value::Null).await;
    assert_eq!((calls().await?, calls().await?), (json!(1), json!(2)));
    // A refused import is no failure of the turn.
    host.call("Exerciser/a", "SetState", &json!({"key": "", "value": 1})).await?;
    assert_eq!(calls().await?, json!(3));
    for (method, payload) in [
        ("Fail", json!({"fault": "invalid"})),
        ("NoSuchMethod", Value::Null),
        ("SetThenTrap", json!({"key": "k", "value": 1})),
    ] {
        let answer = host.invoke("Exerciser/a", method, &payload).await?;
        assert_ne!(answer.status, 200, "{method}");
        assert_eq!((calls().await?, calls().await?), (json!(1), json!(2)), "after {method}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failing_hook_fails_the_turn_and_says_why() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("settings = { fail-in-activate = \"no way\" }")).await?;
    for _ in 0..2 {
        let answer = host.invoke("Exerciser/a", "Echo", &json!(1)).await?;
        assert_eq!(answer.outcome(), (500, Some("failed")), "{answer:?}");
        assert_eq!(answer.body["detail"], "no way");
    }
    Ok(())
}

#[tokio::test]
async fn calls_of_one_actor_run_one_at_a_time_in_order_of_arrival() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser("")).await?);
    let slow = host.begin("Exerciser/a", "Sleep", &json!({"ms": 2_000}));
    let mut calls = Vec::new();
    for queued in 0..12 {
        host.until_busy("Exerciser/a", queued).await?;
        calls.push(host.begin("Exerciser/a", "Calls", &Value::Null));
    }
    host.until_busy("Exerciser/a", 12).await?;
    assert!(!slow.is_finished() && calls.iter().all(|call| !call.is_finished()), "nobody overtakes");
    assert_eq!(slow.await??.status, 200);
    for (number, call) in (1..).zip(calls) {
        assert_eq!(call.await??.body, json!(number));
    }
    // Fifty at once: each reads what the one before it has counted, in one and the same instance.
    let fifty = (0..50).map(|_| host.call("Exerciser/a", "Calls", &Value::Null));
    let replies = futures::future::try_join_all(fifty).await?;
    let seen = replies.iter().filter_map(Value::as_u64).collect::<BTreeSet<_>>();
    assert_eq!(seen, (13..63).collect());
    assert_eq!(host.call("Exerciser/a", "Activations", &Value::Null).await?, json!(1));
    Ok(())
}

#[tokio::test]
async fn a_waiting_actor_holds_up_no_other_one() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser("")).await?);
    let waiting = (0..8)
        .map(|n| host.begin(&format!("Exerciser/waits-{n}"), "Sleep", &json!({"ms": 20_000})))
        .collect::<Vec<_>>();
    for n in 0..8 {
        host.until_busy(&format!("Exerciser/waits-{n}"), 0).await?;
    }
    assert_eq!(host.call("Exerciser/b", "Echo", &json!("here")).await?, json!("here"));
    assert!(waiting.iter().all(|call| !call.is_finished()), "they were to wait meanwhile");
    // The host is killed with them.
    waiting.iter().for_each(JoinHandle::abort);
    Ok(())
}

#[tokio::test]
async fn a_full_queue_is_answered_429_and_the_others_are_served() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&exerciser("limits = { queue = 2 }")).await?);
    let slow = host.begin("Exerciser/a", "Sleep", &json!({"ms": 2_000}));
    host.until_busy("Exerciser/a", 0).await?;
    let waiting = [1, 2].map(|n| host.begin("Exerciser/a", "Echo", &json!(n)));
    host.until_busy("Exerciser/a", 2).await?;
    let answer = host.invoke("Exerciser/a", "Echo", &json!(3)).await?;
    assert_eq!(answer.outcome(), (429, Some("actor-queue-full")));
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("Exerciser/a") && detail.contains('2'), "{detail}");
    assert_eq!(host.call("Exerciser/b", "Echo", &json!("b")).await?, json!("b"), "another actor");
    assert_eq!(slow.await??.status, 200);
    for (n, call) in (1..).zip(waiting) {
        assert_eq!(call.await??.body, json!(n));
    }
    assert_eq!(host.call("Exerciser/a", "Echo", &json!(4)).await?, json!(4));
    Ok(())
}

#[tokio::test]
async fn a_full_host_is_answered_503_until_there_is_room() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&(exerciser("") + "[host]\nmax-turns-in-flight = 2\n")).await?);
    let slow = ["a", "b"].map(|id| host.begin(&format!("Exerciser/{id}"), "Sleep", &json!({"ms": 1_500})));
    for id in ["a", "b"] {
        host.until_busy(&format!("Exerciser/{id}"), 0).await?;
    }
    let answer = host.invoke("Exerciser/c", "Echo", &json!(1)).await?;
    assert_eq!(answer.outcome(), (503, Some("host-busy")));
    assert_eq!(host.get("/healthz").await?.status, 200, "a busy host is a healthy one");
    for call in slow {
        assert_eq!(call.await??.status, 200);
    }
    assert_eq!(host.call("Exerciser/c", "Echo", &json!(1)).await?, json!(1));
    Ok(())
}

#[tokio::test]
async fn an_idle_actor_is_deactivated_and_comes_back_with_its_state() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("idle-timeout = \"200ms\"")).await?;
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": [1, 2]})).await?;
    let hour = json!({"name": "hour", "due_ms": 3_600_000, "period_ms": null, "ttl_ms": null, "data": 1});
    host.call("Exerciser/a", "RegisterReminder", &hour).await?;
    host.call("Exerciser/a", "RegisterTimer", &hour).await?;
    eventually("the actor is deactivated", async || {
        Ok(host.get_admin("/health").await?.body["active_actors"] == 0)
    })
    .await?;
    assert_eq!(host.get_admin("/health").await?.body["live_instances"], 0);
    let keys = json!({"keys": ["k", "activations", "deactivated"]});
    assert_eq!(host.call("Exerciser/a", "GetMany", &keys).await?, json!([[1, 2], 2, 1]));
    let name = json!({"name": "hour"});
    assert_eq!(host.call("Exerciser/a", "GetTimer", &name).await?, Value::Null, "timers end");
    assert_eq!(host.call("Exerciser/a", "GetReminder", &name).await?, hour, "reminders do not");
    Ok(())
}

#[tokio::test]
async fn few_live_instances_serve_many_actors() -> anyhow::Result<()> {
    let host = Host::start(&(exerciser("") + "[host]\nmax-live-instances = 2\n")).await?;
    let within_cap = async || -> anyhow::Result<()> {
        let health = host.get_admin("/health").await?.body;
        assert_eq!(health["max_live_instances"], 2);
        assert!(health["live_instances"].as_u64().is_some_and(|live| live <= 2), "{health}");
        Ok(())
    };
    for round in 0..3 {
        for n in 0..20 {
            let actor = format!("Exerciser/{n}");
            let mine = json!({"key": "mine", "value": [n, round]});
            if round > 0 {
                let kept = host.call(&actor, "GetState", &json!({"key": "mine"})).await?;
                assert_eq!(kept, json!([n, round - 1]));
            }
            host.call(&actor, "SetState", &mine).await?;
            within_cap().await?;
        }
    }
    // All at once, more than there is room for: they take turns.
    let all = (0..20).map(async |n| {
        host.call(&format!("Exerciser/{n}"), "Sleep", &json!({"ms": 5})).await?;
        within_cap().await?;
        host.call(&format!("Exerciser/{n}"), "GetState", &json!({"key": "mine"})).await
    });
    let kept = futures::future::try_join_all(all).await?;
    assert_eq!(kept, (0..20).map(|n| json!([n, 2])).collect::<Vec<_>>());
    // They were dropped and made again, and yet stayed active.
    assert_eq!(host.get_admin("/health").await?.body["active_actors"], 20);
    let activations = host.call("Exerciser/0", "Activations", &Value::Null).await?;
    assert!(activations.as_u64().is_some_and(|number| number >= 3), "{activations}");
    Ok(())
}

#[tokio::test]
async fn actors_that_wait_for_one_another_get_an_answer_in_the_end() -> anyhow::Result<()> {
    let echo = |id: &str| json!({"type": "Exerciser", "id": id, "method": "Echo", "payload": "hi"});
    // One instance for two actors: the caller has it, and the callee needs it.
    let limits = "limits = { turn-time = \"500ms\" }";
    let host = Host::start(&(exerciser(limits) + "[host]\nmax-live-instances = 1\n")).await?;
    let answer = host.invoke("Exerciser/a", "CallActor", &echo("b")).await?;
    assert_ne!(answer.body, json!("hi"), "there is no room for both");
    assert!(answer.code.is_some() || answer.body["error"]["case"].is_string(), "{answer:?}");
    assert_eq!(host.call("Exerciser/a", "Echo", &json!(1)).await?, json!(1));
    assert_eq!(host.call("Exerciser/b", "Echo", &json!(2)).await?, json!(2));

    // Two actors that call one another at the same time: neither call is part of the other's.
    let host = Host::start(&exerciser(limits)).await?;
    for _ in 0..5 {
        let (a_to_b, b_to_a) = (echo("b"), echo("a"));
        let (one, other) = futures::try_join!(
            host.invoke("Exerciser/a", "CallActor", &a_to_b),
            host.invoke("Exerciser/b", "CallActor", &b_to_a),
        )?;
        for answer in [one, other] {
            let ok = answer.body == json!("hi");
            let refused = answer.code.as_deref() == Some("turn-time-exceeded")
                || answer.body["error"]["case"].is_string();
            assert!(ok || refused, "{answer:?}");
        }
    }
    for id in ["a", "b"] {
        assert_eq!(host.call(&format!("Exerciser/{id}"), "Echo", &json!(1)).await?, json!(1));
    }
    Ok(())
}

#[tokio::test]
async fn with_reentrancy_an_actor_is_called_while_it_waits() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("[agents.Exerciser.reentrancy]\nmax-stack-depth = 4\n")).await?;
    let call_of = |id: &str, method: &str, payload: Value| json!({"type": "Exerciser", "id": id, "method": method, "payload": payload});
    let circle = call_of("b", "CallActor", call_of("a", "Echo", json!("back")));
    assert_eq!(host.call("Exerciser/a", "CallActor", &circle).await?, "back");
    let to_itself = call_of("a", "Echo", json!("self"));
    assert_eq!(host.call("Exerciser/a", "CallActor", &to_itself).await?, "self");

    // The nested turn writes, and the outer one reads it afterwards.
    let write = call_of("a", "SetState", json!({"key": "k", "value": "nested"}));
    let over_b = json!({"key": "k", "call": call_of("b", "CallActor", write)});
    let seen = host.call("Exerciser/a", "WriteCallRead", &over_b).await?;
    assert_eq!(seen, json!({"before": null, "reply": null, "after": "nested"}));

    // Four turns of one actor may wait for one another, and the fifth is refused to the fourth.
    let nested = |turns: usize| {
        (2..turns)
            .fold(call_of("deep", "Echo", json!("end")), |payload, _| call_of("deep", "CallActor", payload))
    };
    assert_eq!(host.call("Exerciser/deep", "CallActor", &nested(4)).await?, "end");
    let refused = host.call("Exerciser/deep", "CallActor", &nested(5)).await?;
    assert_eq!(refused["error"]["case"], "invalid", "{refused}");
    assert_eq!(host.call("Exerciser/deep", "CallActor", &nested(4)).await?, "end");

    // Here a reminder's turn may be entered again as well.
    let wake = json!({"name": "r", "due_ms": 0, "data": {"call": circle}});
    host.call("Exerciser/a", "RegisterReminder", &wake).await?;
    eventually("the reminder's call is answered", async || {
        Ok(host.call("Exerciser/a", "GetState", &json!({"key": "called-r"})).await? == "back")
    })
    .await
}

/// The number of the message that a text of the ChatAgent's conversation carries.
fn content(entry: &Value) -> (String, String) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    (text("role"), text("content"))
}

const ACTORS: usize = 200;
const MESSAGES: usize = 50;

/// Lines of the ChatAgent's log, as far as they begin so, by actor and in order.
fn lines_by_actor(host: &Host, starts: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut lines = BTreeMap::<String, Vec<String>>::new();
    for line in host.log() {
        let text = message(&line);
        if starts.iter().any(|start| text.starts_with(start)) {
            let actor = line["span"]["actor_id"].as_str().unwrap_or_default();
            lines.entry(actor.to_owned()).or_default().push(text.to_owned());
        }
    }
    lines
}

/// Sends every actor its messages, and checks the answers.
async fn send_all(host: &Host) -> anyhow::Result<()> {
    const CONNECTIONS: usize = 64;
    // Eight actors at a time, each with several messages under way: they contend for the actor and for the host.
    let messages = (0..ACTORS / 8)
        .flat_map(|block| (0..MESSAGES).flat_map(move |m| (0..8).map(move |n| (block * 8 + n, m))));
    let answers = stream::iter(messages).map(async |(actor, m)| {
        let text = format!("{actor}-{m}");
        let answer = host.post(&format!("/chat/u{actor}"), &json!({"role": "user", "content": text})).await?;
        let reply =
            json!({"response": {"role": "assistant", "content": format!("Got your message: {text}")}});
        anyhow::ensure!(answer.status == 200 && answer.body == reply, "{text}: {answer:?}");
        Ok(())
    });
    let answers: Vec<anyhow::Result<()>> = answers.buffer_unordered(CONNECTIONS).collect().await;
    assert_eq!(answers.len(), ACTORS * MESSAGES);
    answers.into_iter().collect()
}

/// An actor took its own messages, each once, and its events and its SMS left in the order of their turns.
fn assert_in_order(number: usize, taken: &[String], published: &[String], sent: &[String]) {
    let actor = format!("u{number}");
    for (index, text) in taken.iter().enumerate() {
        for (lines, part) in [
            (published, format!("\"content\":\"{text}\"")),
            (sent, format!("New message from {actor}: {text} -> ")),
        ] {
            assert!(
                lines.get(index).is_some_and(|line| line.contains(&part)),
                "{part} is not next: {lines:?}"
            );
        }
    }
    let distinct = taken.iter().cloned().collect::<BTreeSet<_>>();
    let all = (0..MESSAGES).map(|m| format!("{number}-{m}")).collect::<BTreeSet<_>>();
    assert_eq!(distinct, all, "{actor} took its own messages, all of them");
    assert_eq!(taken.len(), MESSAGES, "{actor} took each once");
}

#[tokio::test]
async fn two_hundred_actors_with_fifty_messages_each_mix_and_lose_nothing() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    send_all(&host).await?;
    let all_sent = json!({"pending": 0, "sent": 2 * ACTORS * MESSAGES, "failed": 0});
    eventually("all events and SMS are delivered", async || {
        Ok(host.get_admin("/outbox").await?.body["counts"] == all_sent)
    })
    .await?;
    // The last line of the last delivery: with it the log is complete for all of them.
    eventually("the log is complete", async || {
        let count = |text: &str| host.log().iter().filter(|line| message(line).starts_with(text)).count();
        let all = ACTORS * MESSAGES;
        Ok([count("Published event for"), count("Sent SMS for"), count("Received event: ")] == [all; 3])
    })
    .await?;

    // By the log, in the order in which each actor took its messages.
    let mut taken = lines_by_actor(&host, &["Processed message for history-"]);
    let mut published = lines_by_actor(&host, &["Published event for "]);
    let mut sent = lines_by_actor(&host, &["Sent SMS for "]);
    for number in 0..ACTORS {
        let actor = format!("u{number}");
        let start = format!("Processed message for history-{actor}: ");
        // A line of another actor's message would be kept as it is, and be none of the expected.
        let text = |line: String| line.strip_prefix(&start).map(str::to_owned).unwrap_or(line);
        let taken = taken.remove(&actor).unwrap_or_default().into_iter().map(text).collect::<Vec<_>>();
        let [published, sent] =
            [&mut published, &mut sent].map(|lines| lines.remove(&actor).unwrap_or_default());
        assert_in_order(number, &taken, &published, &sent);
        let exchange = |text: &String| {
            [("user".to_owned(), text.clone()), ("assistant".to_owned(), format!("Got your message: {text}"))]
        };
        let expected = taken[MESSAGES - 3..].iter().flat_map(exchange).skip(1).collect::<Vec<_>>();
        let history = host.get(&format!("/chat/{actor}/history")).await?.body;
        let history = history["history"].as_array().cloned().unwrap_or_default();
        assert_eq!(history.iter().map(content).collect::<Vec<_>>(), expected, "{actor}");
    }
    Ok(())
}
