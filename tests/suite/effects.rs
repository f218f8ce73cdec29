//! Effects: sent after the commit, in order, tried again, and given up aloud; and events that become calls.

mod letters;

use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::{
    Host, default_manifest, eventually, exerciser, manifest_of, message, replaced, until_released,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A subscription that calls a method of the actor named in the event, with a part of the event.
fn subscription(topic: &str, agent: &str, method: &str) -> String {
    format!(
        "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"{topic}\"
path = \"/events/{topic}\"
agent = \"{agent}\"
call = \"{method}\"
actor-id = {{ field = \"to\" }}
payload = {{ field = \"payload\" }}
"
    )
}

/// Those who publish, and the type `Sink` that takes events and has little room for them.
fn manifest(more: &str) -> String {
    let held = "limits = { queue = 1, turn-time = \"10m\" }\npermissions = { actors = [\"Exerciser\"] }";
    let sink = manifest_of("Sink", "exerciser", held);
    [exerciser(more), sink, subscription("set", "Sink", "SetState"), subscription("fail", "Sink", "Fail")]
        .concat()
}

fn event(topic: &str, to: &str, payload: Value) -> Value {
    json!({
        "pubsub": "daca-pubsub", "topic": topic, "event": {"to": to, "payload": payload},
        "delivered": format!("{topic} to {to} is delivered"), "undeliverable": format!("{topic} to {to} is lost"),
    })
}

fn set(to: &str, value: u32) -> Value {
    event("set", to, json!({"key": "k", "value": value}))
}

async fn counts(host: &Host) -> anyhow::Result<Value> {
    Ok(host.get_admin("/outbox").await?.body["counts"].clone())
}

/// Turns that an agent failed in its own words.
fn failed_turns(host: &Host) -> usize {
    host.log().iter().filter(|line| line["level"] == "ERROR" && line["code"] == "failed").count()
}

async fn until_counts(host: &Host, pending: u32, sent: u32, failed: u32) -> anyhow::Result<()> {
    let expected = json!({"pending": pending, "sent": sent, "failed": failed});
    eventually(&format!("the outbox has {expected}"), async || Ok(counts(host).await? == expected)).await
}

#[tokio::test]
async fn an_event_reaches_the_actor_that_subscribes() -> anyhow::Result<()> {
    let host = Host::start(&(manifest("") + &subscription("self", "Exerciser", "SetState"))).await?;
    host.call("Exerciser/a", "Publish", &set("s", 1)).await?;
    host.wait_for_message("set to s is delivered").await?;
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(1));
    // To the one that published it: the turn is over by then, so it waits for nobody.
    let to_itself = event("self", "a", json!({"key": "k", "value": "mine"}));
    host.call("Exerciser/a", "Publish", &to_itself).await?;
    host.wait_for_message("self to a is delivered").await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, json!("mine"));
    // One that the actor refuses as invalid will never be of use: it is dropped, and that is said.
    host.call(
        "Exerciser/a",
        "Publish",
        &event("fail", "s", json!({"fault": "invalid", "message": "no use"})),
    )
    .await?;
    let dropped = host.wait_for_log("the drop", |line| line["code"] == "event-dropped").await?;
    assert_eq!(dropped["level"], "WARN");
    assert!(message(&dropped).contains("no use"), "{dropped}");
    until_counts(&host, 0, 3, 0).await
}

#[tokio::test]
async fn no_event_speaks_of_a_state_that_was_not_saved() -> anyhow::Result<()> {
    let table = "[agents.ChatAgent.settings]";
    let small = format!("[agents.ChatAgent.limits]\nstate-total = \"2KiB\"\n{table}");
    let host = Host::start(&replaced(&default_manifest(), table, &small)?).await?;
    let message = |content: &str| json!({"role": "user", "content": content});
    assert_eq!(host.post("/chat/ada", &message("short")).await?.status, 200);
    until_counts(&host, 0, 2, 0).await?;
    // The turn ends well, with an event and an SMS, and its commit is what fails.
    let answer = host.post("/chat/ada", &message(&"long".repeat(500))).await?;
    assert_eq!(answer.outcome(), (507, Some("state-total-exceeded")));
    assert_eq!(host.post("/chat/ada", &message("short again")).await?.status, 200);
    until_counts(&host, 0, 4, 0).await?;
    assert!(!host.get_admin("/outbox").await?.body.to_string().contains("longlong"));
    let history = host.get("/chat/ada/history").await?.body;
    assert_eq!(history["history"].as_array().map(Vec::len), Some(4), "{history}");
    Ok(())
}

#[tokio::test]
async fn an_event_whose_taker_is_busy_is_tried_again() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&manifest("")).await?);
    let held = host.hold("Sink/s");
    host.until_busy("Sink/s", 0).await?;
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    host.until_busy("Sink/s", 1).await?;
    // Its queue is full now.
    host.call("Exerciser/a", "Publish", &set("s", 7)).await?;
    assert_eq!(counts(&host).await?, json!({"pending": 1, "sent": 0, "failed": 0}));
    host.release("Sink/s").await?;
    until_counts(&host, 0, 1, 0).await?;
    assert_eq!((held.await??.status.as_u16(), queued.await??.status.as_u16()), (200, 200));
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(7));
    host.wait_for_message("set to s is delivered").await?;
    Ok(())
}

#[tokio::test]
async fn an_event_that_cannot_be_delivered_holds_its_place_and_is_given_up_aloud() -> anyhow::Result<()> {
    let host = Host::start(&(manifest("") + &subscription("held", "Sink", "WaitFor"))).await?;
    // Its taker fails each time, and the first time when the test has seen what it is about.
    let mut payload = until_released("Sink/bad");
    payload["then_fail"] = json!({"fault": "failed", "message": "not today"});
    host.call("Exerciser/a", "Publish", &event("held", "bad", payload)).await?;
    host.call("Exerciser/a", "Publish", &set("s", 1)).await?;
    host.call("Exerciser/a", "Publish", &set("s", 2)).await?;
    // Another actor's events do not wait for it.
    host.call("Exerciser/b", "Publish", &set("other", 3)).await?;
    until_counts(&host, 3, 1, 0).await?;
    assert_eq!(host.call("Sink/other", "GetState", &json!({"key": "k"})).await?, json!(3));
    assert_eq!(
        host.call("Sink/s", "GetState", &json!({"key": "k"})).await?,
        Value::Null,
        "nothing overtakes"
    );

    host.release("Sink/bad").await?;
    until_counts(&host, 0, 3, 1).await?;
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(2), "in order");
    let entries = host.get_admin("/outbox").await?.body["entries"].clone();
    let failed = entries.as_array().into_iter().flatten().find(|entry| entry["status"] == "failed");
    let failed = failed.cloned().unwrap_or_default();
    assert_eq!((&failed["actor"], &failed["target"]), (&json!("Exerciser/a"), &json!("daca-pubsub/held")));
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("not today")), "{failed}");
    let line = host.wait_for_message("held to bad is lost: ").await?;
    assert_eq!((&line["level"], &line["target"]), (&json!("ERROR"), &json!("agent")));
    assert!(message(&line).contains("not today"), "{line}");
    assert_eq!(line["span"]["turn"], failed["turn"]);
    let given_up = host.wait_for_log("giving up", |line| line["code"] == "effect-given-up").await?;
    assert_eq!(given_up["level"], "ERROR");
    assert!(failed["identity"].is_string() && given_up["effect_id"] == failed["identity"], "{given_up}");
    assert!(message(&given_up).contains("for daca-pubsub/held "), "{given_up}");
    let attempts = failed_turns(&host);
    assert!(attempts > 1, "it was tried {attempts} times");
    assert!(!host.log().iter().any(|line| message(line).contains("held to bad is delivered")));
    Ok(())
}

#[tokio::test]
async fn a_long_outbox_refuses_calls_but_not_its_own_events() -> anyhow::Result<()> {
    // Tried again a minute later: it waits for as long as this host lives.
    let limits = "[host]\nmax-pending-effects = 1\neffect-retry-delay = \"60s\"\n";
    let with = |method: &str| [limits, &manifest(""), &subscription("one", "Sink", method)].concat();
    let host = Host::start(&with("Fail")).await?;
    // It fits both methods.
    let payload = json!({"fault": "failed", "message": "not yet", "key": "k", "value": 1});
    host.call("Exerciser/a", "Publish", &event("one", "s", payload)).await?;
    let answer = host.invoke("Exerciser/b", "Echo", &json!(1)).await?;
    assert_eq!(answer.outcome(), (503, Some("effects-backlog")), "{answer:?}");
    // The taker is mended. To deliver the event takes a call, and that call is what makes the backlog shorter.
    let host = Host::start_in(host.kill()?, &with("SetState")).await?;
    until_counts(&host, 0, 1, 0).await?;
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(1));
    Ok(())
}

/// An event as a broker posts it, to the type `Sink`.
fn posted(id: &str, payload: &Value) -> Value {
    json!({"specversion": "1.0", "source": "test", "id": id, "data": {"to": "s", "payload": payload}})
}

#[tokio::test]
async fn an_event_that_comes_twice_is_handled_once_by_each_subscription() -> anyhow::Result<()> {
    let add = |topic: &str| subscription(topic, "Sink", "AddSlowly").replace("/events/", "/added/");
    let host = Host::start(&(manifest("") + &add("one") + &add("two"))).await?;
    let sum = async || host.call("Sink/s", "GetState", &json!({"key": "k"})).await;
    for (path, id, expected) in [
        ("/added/one", "1", 1),
        ("/added/one", "1", 1),
        ("/added/two", "1", 2),
        ("/added/one", "2", 3),
        ("/added/one", "1", 3),
    ] {
        let answer = host.post(path, &posted(id, &json!({"key": "k"}))).await?;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("SUCCESS")), "{path} {id}");
        assert_eq!(sum().await?, json!(expected), "{path} {id}");
    }
    // Without a source or an id nobody can tell.
    let mut unnamed = posted("1", &json!({"key": "k"}));
    unnamed["source"] = Value::Null;
    for expected in [4, 5] {
        host.post("/added/one", &unnamed).await?;
        assert_eq!(sum().await?, json!(expected));
    }
    Ok(())
}

/// Dead letters, as lines of the log.
const LETTERS: &str = "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"letters\"
path = \"/letters\"
log = \"letter: {}\"
";

/// Waits for a dead letter.
async fn letter(host: &Host, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let of = |line: &Value| -> Option<Value> {
        serde_json::from_str(message(line).strip_prefix("letter: ")?).ok()
    };
    let line = host.wait_for_log("the letter", |line| of(line).is_some_and(|letter| is_it(&letter))).await?;
    of(&line).context("a letter")
}

/// A broker whose acknowledgement was lost brings an event again, also to the next host. And a producer may use an id
/// twice.
#[tokio::test]
async fn an_event_is_handled_once_also_by_the_next_host_and_its_id_is_of_one_content() -> anyhow::Result<()> {
    let add = subscription("add", "Sink", "AddSlowly") + "dead-letter = \"daca-pubsub/letters\"\n";
    let manifest = [&manifest(""), LETTERS, &add].concat();
    let post = async |host: &Host, event: &Value| {
        let answer = host.post("/events/add", event).await?;
        anyhow::ensure!(answer.body["status"] == "SUCCESS", "{event}: {answer:?}");
        anyhow::Ok(())
    };
    let sum = async |host: &Host, key: &str| host.call("Sink/s", "GetState", &json!({ "key": key })).await;
    let event = posted("1", &json!({"key": "k"}));

    let host = Host::start(&manifest).await?;
    for _ in 0..2 {
        post(&host, &event).await?;
        assert_eq!(sum(&host, "k").await?, json!(1));
    }
    let host = Host::start_in(host.kill()?, &manifest).await?;
    post(&host, &event).await?;
    assert_eq!(sum(&host, "k").await?, json!(1));

    post(&host, &posted("1", &json!({"key": "other"}))).await?;
    assert_eq!(sum(&host, "other").await?, Value::Null);
    let letter = letter(&host, |letter| letter["id"] == "1").await?;
    let reason = letter["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("another event with this source and id"), "{letter}");

    let mut elsewhere = event;
    elsewhere["source"] = json!("elsewhere");
    post(&host, &elsewhere).await?;
    assert_eq!(sum(&host, "k").await?, json!(2));
    Ok(())
}

#[tokio::test]
async fn an_event_that_a_broker_brings_while_its_taker_is_busy_waits_in_the_host() -> anyhow::Result<()> {
    let debug = [("DACA_LOG", "info,daca_server=debug")];
    let host = Arc::new(Host::start_with(Arc::new(TempDir::new()?), &manifest(""), &debug).await?);
    let held = host.hold("Sink/s");
    host.until_busy("Sink/s", 0).await?;
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    host.until_busy("Sink/s", 1).await?;
    let event = posted("1", &json!({"key": "k", "value": 7}));
    let released = async {
        let is_retried = |line: &Value| line["path"] == "/events/set" && line["attempt"].is_number();
        host.wait_for_log("the retry", is_retried).await?;
        host.release("Sink/s").await
    };
    let (answer, ()) = futures::try_join!(host.post("/events/set", &event), released)?;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("SUCCESS")));
    assert_eq!((held.await??.status.as_u16(), queued.await??.status.as_u16()), (200, 200));
    assert_eq!(host.call("Sink/s", "GetState", &json!({"key": "k"})).await?, json!(7));
    Ok(())
}
