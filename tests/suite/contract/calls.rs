//! What a turn asks of others: effects, bindings, other actors, reminders and timers.

use daca_tests::{Host, eventually, exerciser, manifest_of, message};
use serde_json::{Value, json};

use super::{call_of, case};

// ---- Effects.

#[tokio::test]
async fn effects_of_a_turn_leave_in_order_and_log_their_outcome() -> anyhow::Result<()> {
    let floods = manifest_of(
        "Floods",
        "floods",
        "[agents.Floods.permissions]\npublish = [\"daca-pubsub/user-chat\"]\n",
    );
    let host = Host::start(&format!("{}{floods}", exerciser(""))).await?;
    host.call("Floods/a", "Publish1000", &Value::Null).await?;
    let outcome = json!({
        "binding": "twilio-binding", "operation": "create", "data": "text", "metadata": {"toNumber": "+1"},
        "delivered": "the SMS is out", "undeliverable": "no SMS",
    });
    assert_eq!(host.call("Exerciser/a", "Send", &outcome).await?, json!({"effect": 0}));
    let bytes = json!({"pubsub": "daca-pubsub", "topic": "raw", "bytes": [255, 0]});
    assert_eq!(host.call("Exerciser/a", "PublishBytes", &bytes).await?, json!({"effect": 0}));
    eventually("everything is sent", async || {
        Ok(host.get_admin("/outbox").await?.body["counts"] == json!({"pending": 0, "sent": 102, "failed": 0}))
    })
    .await?;
    let outbox = host.get_admin("/outbox").await?.body;
    let entries = outbox["entries"].as_array().cloned().unwrap_or_default();
    let flood = entries.iter().filter(|entry| entry["actor"] == "Floods/a").collect::<Vec<_>>();
    let data = flood.iter().map(|entry| entry["data"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(data, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(flood.iter().all(|entry| entry["turn"] == flood[0]["turn"] && entry["status"] == "sent"));
    let sms = entries.iter().find(|entry| entry["kind"] == "send").cloned().unwrap_or_default();
    assert_eq!(sms["target"], "twilio-binding/create");
    assert_eq!((&sms["data"], &sms["metadata"]), (&json!("text"), &json!({"toNumber": "+1"})));
    let line = host.wait_for_message("the SMS is out").await?;
    assert_eq!((&line["level"], &line["target"]), (&json!("INFO"), &json!("agent")));
    assert_eq!(line["span"]["turn"], sms["turn"], "the line belongs to the turn that asked for it");
    assert!(!host.log().iter().any(|line| message(line).contains("no SMS")));

    // An effect belongs to its turn.
    host.call("Exerciser/a", "KeepEffect", &json!({"pubsub": "daca-pubsub", "topic": "t", "event": 1}))
        .await?;
    let other_turn = host.call("Exerciser/a", "LogKeptEffect", &Value::Null).await?;
    assert_eq!(case(&other_turn), Some("not-found"));
    Ok(())
}

#[tokio::test]
async fn a_binding_is_invoked_at_once() -> anyhow::Result<()> {
    let manifest = exerciser("") + "[embedded]\nbinding-responses = { weather = \"sunny\" }\n";
    let host = Host::start(&manifest).await?;
    let weather =
        json!({"binding": "weather", "operation": "get", "data": "Oslo", "metadata": {"unit": "C"}});
    let reply = host.call("Exerciser/a", "InvokeBinding", &weather).await?;
    assert_eq!(reply, json!({"data": "sunny", "metadata": {}}));
    let unset = json!({"binding": "twilio-binding", "operation": "create"});
    assert_eq!(host.call("Exerciser/a", "InvokeBinding", &unset).await?, json!({"data": "", "metadata": {}}));
    let outbox = host.get_admin("/outbox").await?.body;
    let first = &outbox["entries"][0];
    assert_eq!((&first["kind"], &first["target"]), (&json!("invoke"), &json!("weather/get")));
    assert_eq!((&first["data"], &first["metadata"]), (&json!("Oslo"), &json!({"unit": "C"})));
    Ok(())
}

// ---- Calls to other actors.

#[tokio::test]
async fn actors_call_one_another_and_hear_of_failures() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let call = async |payload: Value| host.call("Exerciser/a", "CallActor", &payload).await;
    assert_eq!(call(call_of("b", "Echo", &json!({"x": [1]}))).await?, json!({"x": [1]}));
    let who = call(call_of("b", "WhoAmI", &Value::Null)).await?;
    assert_eq!((&who["agent_type"], &who["actor_id"]), (&json!("Exerciser"), &json!("b")));

    let fail = |fault: &str| call_of("b", "Fail", &json!({"fault": fault, "message": "my words"}));
    let trap = call_of("b", "SetThenTrap", &json!({"key": "k", "value": 1}));
    let mapped = [
        (fail("invalid"), "invalid", "my words"),
        (fail("not-found"), "not-found", "my words"),
        (fail("failed"), "other", "my words"),
        (trap, "other", "trapped"),
    ];
    for (payload, expected, text) in mapped {
        let reply = call(payload.clone()).await?;
        assert_eq!(case(&reply), Some(expected), "{payload}: {reply}");
        assert!(reply["error"]["message"].as_str().is_some_and(|message| message.contains(text)), "{reply}");
    }

    // What a call did stays, whatever becomes of its caller.
    let set = call_of("b", "SetState", &json!({"key": "kept", "value": true}));
    let answer = host.invoke("Exerciser/a", "CallActorThenFail", &set).await?;
    assert_eq!(answer.outcome(), (500, Some("failed")));
    assert_eq!(host.call("Exerciser/b", "GetState", &json!({"key": "kept"})).await?, json!(true));
    Ok(())
}

#[tokio::test]
async fn a_call_that_would_wait_for_itself_is_refused_at_once() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let back_to_a = call_of("a", "Echo", &json!(1));
    let over_b = call_of("b", "CallActor", &back_to_a);
    let over_c_and_b = call_of("c", "CallActor", &over_b);
    for payload in [back_to_a, over_b, over_c_and_b] {
        let reply = host.call("Exerciser/a", "CallActor", &payload).await?;
        assert_eq!(case(&reply), Some("invalid"), "{payload}: {reply}");
        let text = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(text.contains("Exerciser/a"), "the message says who: {reply}");
    }
    // Calling two actors one after the other is no cycle.
    let twice = call_of("b", "CallActor", &call_of("c", "Echo", &json!(2)));
    assert_eq!(host.call("Exerciser/a", "CallActor", &twice).await?, json!(2));
    assert_eq!(host.call("Exerciser/a", "CallActor", &twice).await?, json!(2));
    Ok(())
}

// ---- Reminders and timers, as far as they are registrations.

#[tokio::test]
async fn registrations_are_read_back_replaced_and_removed() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for kind in ["Reminder", "Timer"] {
        let register = format!("Register{kind}");
        let get = format!("Get{kind}");
        let unregister = format!("Unregister{kind}");
        let name = json!({"name": "r"});
        assert_eq!(host.call("Exerciser/a", &get, &name).await?, Value::Null);
        let hour = json!({"name": "r", "due_ms": 3_600_000, "period_ms": 5_000, "ttl_ms": 9_000_000, "data": {"n": 1}});
        host.call("Exerciser/a", &register, &hour).await?;
        assert_eq!(host.call("Exerciser/a", &get, &name).await?, hour);
        let once = json!({"name": "r", "due_ms": 7_200_000, "period_ms": null, "ttl_ms": null, "data": [2]});
        host.call("Exerciser/a", &register, &once).await?;
        assert_eq!(host.call("Exerciser/a", &get, &name).await?, once);
        assert_eq!(host.call("Exerciser/b", &get, &name).await?, Value::Null, "it is another actor's");
        host.call("Exerciser/a", &unregister, &name).await?;
        assert_eq!(host.call("Exerciser/a", &get, &name).await?, Value::Null);
        assert_eq!(host.call("Exerciser/a", &unregister, &name).await?, Value::Null, "no error");
    }
    Ok(())
}
