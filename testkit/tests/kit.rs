//! What a test of an agent may rely on. The agent is the Exerciser of `tests/guests`, which does what it is told.

use std::time::Duration;

use anyhow::{Context as _, Result};
use daca_testkit::{BindingAnswer, Error, Host, HostBuilder, How, Permit, StartError};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn exerciser() -> HostBuilder {
    Host::embedded().agent("Exerciser", "target/wasm32-wasip2/guest/examples/exerciser.wasm")
}

/// The names of the firings that the actor has recorded.
async fn fired(host: &Host, actor: &str) -> Result<Vec<String>> {
    let state = host.state(actor).await?;
    let fired = state.get("fired").and_then(Value::as_array).cloned().unwrap_or_default();
    Ok(fired.iter().filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn what_the_agent_and_the_host_refuse_has_a_code() -> Result<()> {
    let host = exerciser()
        .permit("Exerciser", Permit::Publish("daca-pubsub/*"))
        .permit("Exerciser", Permit::Binding("twilio-binding/*"))
        .start()
        .await?;
    let fail = json!({"fault": "not-found", "message": "no such thing"});
    let refused = host.call("Exerciser/a", "Fail", &fail).await.expect_err("it fails");
    let call = refused.call().context("it is a call's")?;
    assert_eq!((refused.code(), call.status, &*call.message), ("not-found", 404, "no such thing"));
    let trapped = host.call("Exerciser/a", "SetThenTrap", &json!({"key": "k", "value": 1})).await;
    assert_eq!(trapped.expect_err("it traps").code(), "guest-trapped");
    assert_eq!(host.state("Exerciser/a").await?.get("k"), None);
    assert!(host.events().await?.is_empty() && host.bindings().await?.is_empty());
    let unknown = host.call("Nobody/a", "Any", &()).await.expect_err("there is no such type");
    assert_eq!(unknown.code(), "agent-type-unknown");
    let no_actor = host.call("Exerciser", "Any", &()).await.expect_err("it has no id");
    assert_eq!(no_actor.code(), "testkit-address");
    assert!(no_actor.to_string().contains("Counter/a"), "{no_actor}");
    Ok(())
}

#[tokio::test]
async fn a_component_that_is_missing_says_what_builds_it() {
    let missing = Host::embedded().agent("A", "target/wasm32-wasip2/guest/no_such_agent.wasm").start().await;
    let text = missing.err().map(|error| error.to_string()).unwrap_or_default();
    let command = "cargo build -p no-such-agent --target wasm32-wasip2 --profile guest";
    assert!(text.contains(command), "{text}");
}

#[tokio::test]
async fn time_passes_when_the_test_says_so_and_for_everything_that_goes_by_it() -> Result<()> {
    let host = exerciser().start().await?;
    let wall = async || Ok::<_, Error>(host.call("Exerciser/a", "Clock", &()).await?["wall_ms"].clone());
    assert_eq!(wall().await?, 1_767_225_600_000_u64);
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": 1, "ttl_seconds": 3_600})).await?;
    host.advance(HOUR - SECOND).await?;
    assert_eq!(host.state("Exerciser/a").await?["k"], 1);
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, 1);
    host.advance(SECOND).await?;
    assert!(!host.state("Exerciser/a").await?.contains_key("k"));
    // The instance has cached it.
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, Value::Null);
    assert_eq!(wall().await?, 1_767_225_600_000_u64 + 3_600_000);
    let other = exerciser().start().await?;
    assert_eq!(host.now().duration_since(other.now())?, HOUR, "each host has its own clock");
    Ok(())
}

#[tokio::test]
async fn reminders_and_timers_fire_at_each_of_their_times_in_order() -> Result<()> {
    let host = exerciser().start().await?;
    let hourly = json!({"name": "hourly", "due_ms": 3_600_000, "period_ms": 3_600_000, "data": 7});
    host.call("Exerciser/a", "RegisterReminder", &hourly).await?;
    host.call("Exerciser/a", "RegisterTimer", &json!({"name": "once", "due_ms": 5_400_000})).await?;
    host.call("Exerciser/a", "RegisterReminder", &json!({"name": "now", "due_ms": 0})).await?;
    assert_eq!(fired(&host, "Exerciser/a").await?, ["now"]);
    let reserved = json!({"name": "daca:mine", "due_ms": 0});
    let refused = host.call("Exerciser/a", "RegisterReminder", &reserved).await?;
    assert_eq!(refused["error"]["case"], "invalid", "{refused}");

    let timers = host.timers("Exerciser/a").await?;
    let [once] = &timers[..] else { panic!("one timer, not {timers:?}") };
    assert_eq!((&*once.name, once.fires_in, once.every), ("once", HOUR + HOUR / 2, None));

    host.advance(HOUR * 3 + SECOND).await?;
    assert_eq!(fired(&host, "Exerciser/a").await?, ["now", "hourly", "once", "hourly", "hourly"]);
    let reminders = host.reminders("Exerciser/a").await?;
    let [hourly] = &reminders[..] else { panic!("one reminder, not {reminders:?}") };
    assert_eq!((hourly.fires_in, hourly.every, &hourly.data), (HOUR - SECOND, Some(HOUR), &json!(7)));
    Ok(())
}

#[tokio::test]
async fn a_firing_that_fails_is_tried_again_as_time_passes() -> Result<()> {
    let host = exerciser().start().await?;
    let data = json!({"fails_without": "k"});
    let reminder = json!({"name": "once", "due_ms": 1_000, "data": data});
    host.call("Exerciser/a", "RegisterReminder", &reminder).await?;
    host.advance(HOUR).await?;
    assert!(fired(&host, "Exerciser/a").await?.is_empty());
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": 1})).await?;
    host.advance(HOUR).await?;
    assert_eq!(fired(&host, "Exerciser/a").await?, ["once"]);
    Ok(())
}

/// A host whose waits end soon. The time counts for its start as well, in which a busy machine may compile for longer.
async fn with_little_time() -> Result<Host> {
    for seconds in [5, 20] {
        match exerciser().timeout(SECOND * seconds).start().await {
            Err(StartError::TimedOut(_)) => {}
            started => return Ok(started?),
        }
    }
    Ok(exerciser().start().await?)
}

#[tokio::test]
async fn a_wait_without_an_end_is_an_error() -> Result<()> {
    let host = with_little_time().await?;
    let restless = json!({"name": "restless", "due_ms": 1, "period_ms": 10});
    host.call("Exerciser/a", "RegisterTimer", &restless).await?;
    let late = host.advance(HOUR * 24).await.expect_err("it fires 8 million times");
    assert_eq!(late.code(), "testkit-timed-out");
    Ok(())
}

#[tokio::test]
async fn bindings_answer_what_the_test_says() -> Result<()> {
    let host = exerciser()
        .permit("Exerciser", Permit::Binding("weather/*"))
        .binding_response("weather", json!({"sky": "blue"}))
        .binding_response("weather/read", BindingAnswer::from("text").with("statusCode", "200"))
        .start()
        .await?;
    let ask = async |operation: &str| {
        let request = json!({"binding": "weather", "operation": operation, "data": "Oslo"});
        host.call("Exerciser/a", "InvokeBinding", &request).await
    };
    assert_eq!(ask("get").await?["data"], r#"{"sky":"blue"}"#);
    assert_eq!(ask("read").await?, json!({"data": "text", "metadata": {"statusCode": "200"}}));
    host.answer_binding("weather", BindingAnswer::unavailable("it is night"));
    assert_eq!(ask("get").await?["error"], json!({"case": "unavailable", "message": "it is night"}));

    // What is sent is recorded when it has left.
    host.answer_binding("weather", BindingAnswer::from("day"));
    let send = json!({"binding": "weather", "operation": "set", "data": "rain", "metadata": {"for": "me"}});
    host.call("Exerciser/a", "Send", &send).await?;
    let calls = host.bindings().await?;
    let calls = calls.iter().map(|call| (call.how, &*call.operation, call.json())).collect::<Vec<_>>();
    let oslo = || json!("Oslo");
    let expected = [
        (How::Invoked, "get", oslo()),
        (How::Invoked, "read", oslo()),
        (How::Invoked, "get", oslo()),
        (How::Sent, "set", json!("rain")),
    ];
    assert_eq!(calls, expected);
    Ok(())
}

fn told() -> HostBuilder {
    Host::embedded()
        .agent("Told", "target/wasm32-wasip2/guest/examples/told.wasm")
        .permit("Told", Permit::Binding("twilio-binding/*"))
        .permit("Told", Permit::Publish("daca-pubsub/*"))
}

#[tokio::test]
async fn what_a_binding_refuses_is_a_dead_letter_of_which_the_agent_is_told() -> Result<()> {
    let host =
        told().binding_response("twilio-binding", BindingAnswer::invalid("no such number")).start().await?;
    host.call("Told/a", "Send", "hello").await?;
    let letters = host.dead_letters("Told/a").await?;
    let [letter] = &letters[..] else { panic!("one letter, not {letters:?}") };
    assert_eq!((&*letter.target, &letter.data), ("twilio-binding/create", &json!("hello")));
    assert_eq!((&*letter.code, &*letter.reason, letter.attempts), ("invalid", "no such number", 1));
    assert!(letter.told);
    let failures = host.call("Told/a", "Failures", &()).await?;
    assert_eq!((&failures[0]["identity"], &failures[0]["definite"]), (&json!(letter.id), &json!(true)));
    assert_eq!(host.bindings().await?[0].failed.as_deref(), Some("no such number"));
    assert_eq!(host.events().await?.len(), 1, "that of the handler");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_sent_now_is_tried_again_as_time_passes() -> Result<()> {
    let host = told().manifest_text("[agents.Told.effects]\nretry-for = \"10m\"\n").start().await?;
    host.answer_binding("twilio-binding", BindingAnswer::unavailable("it is night"));
    host.call("Told/a", "Send", "hello").await?;
    host.call("Told/a", "Send", "again").await?;
    let pending = host.pending_effects("Told/a").await?;
    let seen = pending.iter().map(|one| (one.data.clone(), one.attempts, one.error.as_deref()));
    let expected = [(json!("hello"), 1, Some("it is night")), (json!("again"), 0, None)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert!(host.bindings().await?.is_empty() && host.dead_letters("Told/a").await?.is_empty());
    host.answer_binding("twilio-binding", "");
    host.advance(SECOND).await?;
    let sent = host.bindings().await?.iter().map(|call| call.data.clone()).collect::<Vec<_>>();
    assert_eq!(sent, ["hello", "again"], "in order");

    host.answer_binding("twilio-binding", BindingAnswer::unavailable("it is night"));
    host.call("Told/a", "Send", "never").await?;
    host.advance(9 * 60 * SECOND).await?;
    assert!(host.dead_letters("Told/a").await?.is_empty(), "ten minutes have not passed");
    host.advance(HOUR).await?;
    let letters = host.dead_letters("Told/a").await?;
    assert_eq!((letters.len(), &*letters[0].code), (1, "unavailable"));
    assert!(letters[0].attempts > 5, "{letters:?}");
    assert_eq!(host.call("Told/a", "Failures", &()).await?[0]["definite"], false);
    Ok(())
}

#[tokio::test]
async fn a_handler_that_traps_is_tried_again_as_time_passes_and_then_given_up() -> Result<()> {
    let host = told().binding_response("twilio-binding", BindingAnswer::invalid("no")).start().await?;
    host.call("Told/a", "Send", "trap").await?;
    host.call("Told/a", "Send", "other").await?;
    host.advance(HOUR).await?;
    let letters = host.dead_letters("Told/a").await?;
    assert_eq!(letters.iter().map(|letter| letter.told).collect::<Vec<_>>(), [false, true]);
    assert_eq!(host.call("Told/a", "Failures", &()).await?.as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn events_reach_the_subscriptions_before_the_test_looks() -> Result<()> {
    let manifest = "[[subscriptions]]
pubsub = \"bus\"
topic = \"set\"
path = \"/set\"
agent = \"Exerciser\"
call = \"SetState\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";
    let host = exerciser()
        .manifest_text(manifest)
        .permit("Exerciser", Permit::Publish("bus/*"))
        .secret("key", "value")
        .permit("Exerciser", Permit::Secret("key"))
        .start()
        .await?;
    let event = json!({"to": "b", "payload": {"key": "k", "value": [1]}});
    let publish = json!({"pubsub": "bus", "topic": "set", "event": event});
    host.call("Exerciser/a", "Publish", &publish).await?;
    assert_eq!(host.state("Exerciser/b").await?["k"], json!([1]));
    let events = host.events().await?;
    let [seen] = &events[..] else { panic!("one event, not {events:?}") };
    assert_eq!(
        (&*seen.source, &*seen.topic, &seen.data, &seen.failed),
        ("Exerciser/a", "set", &event, &None)
    );
    let secret = host.call("Exerciser/a", "GetSecret", &json!({"name": "key"})).await?;
    assert_eq!(secret, json!({"key": "value"}));
    Ok(())
}

#[tokio::test]
async fn requests_pass_through_the_routes_of_the_manifest() -> Result<()> {
    let manifest = "[[routes]]
method = \"POST\"
path = \"/echo/{id}\"
agent = \"Exerciser\"
call = \"Echo\"
actor-id = { path = \"id\" }
reply = { said = \"{reply}\" }

[[routes]]
method = \"POST\"
path = \"/calls/{id}\"
agent = \"Exerciser\"
call = \"Calls\"
actor-id = { path = \"id\" }

[[subscriptions]]
pubsub = \"bus\"
topic = \"set\"
path = \"/set\"
agent = \"Exerciser\"
call = \"SetState\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";
    let host = exerciser().manifest_text(manifest).start().await?;
    let echoed = host.post("/echo/a", &json!([1])).await?;
    assert_eq!((echoed.status, echoed.body), (200, json!({"said": [1]})));
    let refused = host.request("POST", "/echo/a", &[], "{").await?;
    assert_eq!((refused.status, refused.code.as_deref()), (400, Some("body-not-json")));
    let unknown = host.get("/nowhere").await?;
    assert_eq!((unknown.status, unknown.code.as_deref()), (404, Some("route-unknown")));
    let key = [("Idempotency-Key", "key-1")];
    for _ in 0..2 {
        assert_eq!(host.request("POST", "/calls/a", &key, "null").await?.body, 1);
    }
    let event = json!({"data": {"to": "b", "payload": {"key": "k", "value": 7}}});
    assert_eq!(host.post("/set", &event).await?.body["status"], "SUCCESS");
    assert_eq!(host.state("Exerciser/b").await?["k"], 7);
    let no_path = host.get("a path").await.expect_err("it has a space");
    assert_eq!(no_path.code(), "testkit-request");
    Ok(())
}

#[tokio::test]
async fn only_state_outlives_a_deactivation() -> Result<()> {
    let host = exerciser().start().await?;
    for expected in [1, 2] {
        assert_eq!(host.call_as::<u64>("Exerciser/a", "Calls", &()).await?, expected);
    }
    host.deactivate_all().await?;
    assert_eq!(host.state("Exerciser/a").await?["deactivated"], 1);
    assert_eq!(host.call_as::<u64>("Exerciser/a", "Calls", &()).await?, 1, "a new instance");
    assert_eq!(host.state("Exerciser/a").await?["activations"], 2);
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_repeated_with_its_key_is_handled_once() -> Result<()> {
    let host = exerciser().start().await?;
    for _ in 0..2 {
        let calls = host.call_with_key::<u64>("key-1", "Exerciser/a", "Calls", &()).await?;
        assert_eq!(calls, 1);
    }
    assert_eq!(host.call_as::<u64>("Exerciser/a", "Calls", &()).await?, 2);
    Ok(())
}

#[tokio::test]
async fn another_version_takes_over_with_the_state_that_it_migrates() -> Result<()> {
    let guest = |name: &str| format!("target/wasm32-wasip2/guest/examples/swapped_{name}.wasm");
    let host = Host::embedded().agent("Swapped", guest("v1")).start().await?;
    host.call("Swapped/a", "Add", &json!({"number": 1})).await?;
    let refused = host.deploy("Swapped", guest("fails_activate")).await.expect_err("it fails when activated");
    assert!(refused.to_string().contains("Swapped"), "{refused}");
    assert_eq!(host.call("Swapped/a", "Entries", &()).await?, json!({"version": "v1", "entries": [1]}));

    host.deploy("Swapped", guest("migrates")).await?;
    assert_eq!(host.state("Swapped/a").await?, [("entries".to_owned(), json!([1]))].into());
    assert_eq!(host.call("Swapped/a", "Entries", &()).await?, json!({"version": "v3", "entries": [1]}));
    assert_eq!(host.state("Swapped/a").await?, [("numbers".to_owned(), json!([{"n": 1}]))].into());
    Ok(())
}

#[tokio::test]
async fn a_canary_serves_some_actors_until_it_is_rolled_back() -> Result<()> {
    let guest = |name: &str| format!("target/wasm32-wasip2/guest/examples/swapped_{name}.wasm");
    let host = Host::embedded().agent("Swapped", guest("v1")).start().await?;
    let answering = async || {
        let mut versions = Vec::new();
        for number in 0..40 {
            let entries = host.call(&format!("Swapped/{number}"), "Entries", &()).await?;
            versions.push(entries["version"].as_str().unwrap_or_default().to_owned());
        }
        versions.sort();
        versions.dedup();
        Ok::<_, Error>(versions)
    };
    assert_eq!(answering().await?, ["v1"]);
    let refused = host.roll_back("Swapped").await.expect_err("there is no version before");
    assert!(refused.to_string().contains("Swapped"), "{refused}");

    host.deploy_to("Swapped", guest("v2"), 50).await?;
    assert_eq!(answering().await?, ["v1", "v2"]);
    host.roll_back("Swapped").await?;
    assert_eq!(answering().await?, ["v1"]);
    let v2 = host.deploy("Swapped", guest("v2")).await?;
    assert_eq!(answering().await?, ["v2"]);
    assert_ne!(host.roll_back("Swapped").await?, v2);
    assert_eq!(answering().await?, ["v1"]);
    Ok(())
}
