//! The contract, import by import: what a component may ask of the host, and what it gets.

use std::sync::Arc;

use daca_tests::{Host, eventually, exerciser, manifest_of, message};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The case of a refusal, such as `denied`; none for a reply that is no refusal.
fn case(reply: &Value) -> Option<&str> {
    reply["error"]["case"].as_str()
}

fn call_of(id: &str, method: &str, payload: &Value) -> Value {
    json!({"type": "Exerciser", "id": id, "method": method, "payload": payload})
}

// ---- State.

#[tokio::test]
async fn state_is_set_read_and_deleted() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let value = json!({"text": "ü", "list": [1, null, 2.5]});
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, Value::Null);
    host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": value})).await?;
    host.call("Exerciser/a", "SetBytes", &json!({"key": "raw", "bytes": [0, 255, 10]})).await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, value);
    assert_eq!(host.call("Exerciser/a", "GetBytes", &json!({"key": "raw"})).await?, json!([0, 255, 10]));
    // Another actor of the same type has a state of its own.
    assert_eq!(host.call("Exerciser/b", "GetState", &json!({"key": "k"})).await?, Value::Null);

    let many = json!({"keys": ["none", "k", "none", "k"]});
    assert_eq!(host.call("Exerciser/a", "GetMany", &many).await?, json!([null, value, null, value]));
    host.call("Exerciser/a", "DeleteState", &json!({"key": "k"})).await?;
    assert_eq!(host.call("Exerciser/a", "DeleteState", &json!({"key": "none"})).await?, Value::Null);
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, Value::Null);

    let own = host.call("Exerciser/a", "ReadOwnWrites", &json!({"key": "own", "value": 7})).await?;
    assert_eq!(own, json!([7, null, 7]));
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "own"})).await?, json!(7));
    Ok(())
}

#[tokio::test]
async fn a_time_to_live_ends_a_value_and_a_later_set_without_one_keeps_it() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let set = async |key: &str, ttl: Value| {
        host.call("Exerciser/a", "SetState", &json!({"key": key, "value": key, "ttl_seconds": ttl})).await
    };
    set("stays", json!(1)).await?;
    set("stays", Value::Null).await?;
    set("is-set-again", json!(1)).await?;
    set("lives-long", json!(3600)).await?;
    // The last one: when it is gone, whatever else lives for a second is as well.
    set("goes", json!(1)).await?;
    let keys = json!({"keys": ["goes", "stays", "lives-long"]});
    assert_eq!(
        host.call("Exerciser/a", "GetMany", &keys).await?,
        json!(["goes", "stays", "lives-long"]),
        "nothing may expire before its time"
    );
    // The actor stays active throughout, so this reads what it has in its cache.
    eventually("the value expires", async || {
        Ok(host.call("Exerciser/a", "GetState", &json!({"key": "goes"})).await?.is_null())
    })
    .await?;
    assert_eq!(host.call("Exerciser/a", "GetMany", &keys).await?, json!([null, "stays", "lives-long"]));
    set("is-set-again", Value::Null).await?;
    let again = json!({"key": "is-set-again"});
    assert_eq!(host.call("Exerciser/a", "GetState", &again).await?, json!("is-set-again"));

    // And this reads the file.
    let manifest = exerciser("");
    let host = Host::start_in(host.kill()?, &manifest).await?;
    assert_eq!(host.call("Exerciser/a", "GetMany", &keys).await?, json!([null, "stays", "lives-long"]));
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let long = "k".repeat(513);
    let refused = [
        ("SetState", json!({"key": "", "value": 1}), "invalid"),
        ("SetState", json!({"key": "a||b", "value": 1}), "invalid"),
        ("SetState", json!({"key": "a\nb", "value": 1}), "invalid"),
        ("SetState", json!({"key": long, "value": 1}), "too-large"),
        ("SetState", json!({"key": "k", "value": 1, "ttl_seconds": 0}), "invalid"),
        ("GetState", json!({"key": ""}), "invalid"),
        ("GetMany", json!({"keys": ["k", ""]}), "invalid"),
        ("DeleteState", json!({"key": ""}), "invalid"),
        // The host's own keys.
        ("SetState", json!({"key": "daca:label", "value": 1}), "invalid"),
        ("GetState", json!({"key": "daca:label"}), "invalid"),
        ("GetMany", json!({"keys": ["k", "daca:label"]}), "invalid"),
        ("DeleteState", json!({"key": "daca:"}), "invalid"),
        ("RegisterReminder", json!({"name": "", "due_ms": 0}), "invalid"),
        ("RegisterReminder", json!({"name": long, "due_ms": 0}), "too-large"),
        ("RegisterTimer", json!({"name": "a||b", "due_ms": 0}), "invalid"),
        ("CallActor", call_of("", "Echo", &json!(1)), "invalid"),
        ("CallActor", call_of("b", "NoSuchMethod", &json!(1)), "not-found"),
        ("CallActor", json!({"type": "Nowhere", "id": "b", "method": "Echo", "payload": 1}), "not-found"),
        ("CallActor", call_of("b", "Echo", &json!("x".repeat(1024 * 1024))), "too-large"),
        ("GetSecret", json!({"name": "absent"}), "not-found"),
    ];
    for (method, payload, expected) in &refused {
        let reply = host.call("Exerciser/a", method, payload).await?;
        assert_eq!(case(&reply), Some(*expected), "{method}: {reply}");
    }
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, Value::Null);
    // Of a reminder it is a name like any other.
    let reminder = json!({"name": "daca:label", "due_ms": 3_600_000});
    assert_eq!(host.call("Exerciser/a", "RegisterReminder", &reminder).await?, Value::Null);
    Ok(())
}

// ---- Permissions.

#[tokio::test]
async fn what_the_manifest_does_not_list_is_denied_with_the_line_to_add() -> anyhow::Result<()> {
    let half = "[agents.Exerciser.permissions]
publish = [\"daca-pubsub/user-chat\"]
bindings = [\"twilio-binding/create\"]";
    let cases = [
        ("Publish", json!({"pubsub": "p", "topic": "t", "event": 1}), "publish", "p/t"),
        (
            "Publish",
            json!({"pubsub": "daca-pubsub", "topic": "other", "event": 1}),
            "publish",
            "daca-pubsub/other",
        ),
        (
            "Publish",
            json!({"pubsub": "other", "topic": "user-chat", "event": 1}),
            "publish",
            "other/user-chat",
        ),
        ("PublishBytes", json!({"pubsub": "p", "topic": "bytes", "bytes": [1]}), "publish", "p/bytes"),
        (
            "Send",
            json!({"binding": "twilio-binding", "operation": "delete"}),
            "bindings",
            "twilio-binding/delete",
        ),
        ("InvokeBinding", json!({"binding": "weather", "operation": "get"}), "bindings", "weather/get"),
        ("CallActor", call_of("b", "Echo", &json!(1)), "actors", "Exerciser"),
        ("GetSecret", json!({"name": "single"}), "secrets", "single"),
    ];
    let nothing = Host::start(&manifest_of("Exerciser", "exerciser", "")).await?;
    let half = Host::start(&manifest_of("Exerciser", "exerciser", half)).await?;
    for host in [&nothing, &half] {
        for (method, payload, list, entry) in &cases {
            let reply = host.call("Exerciser/a", method, payload).await?;
            assert_eq!(case(&reply), Some("denied"), "{method} {payload}: {reply}");
            let help = format!("add {entry:?} to the list {list} in [agents.Exerciser.permissions]");
            let line = host.wait_for_message(&help).await?;
            assert_eq!((&line["level"], &line["code"]), (&json!("WARN"), &json!("denied")));
            assert_eq!(line["span"]["actor_id"], "a");
        }
        let outbox = host.get_admin("/outbox").await?;
        assert_eq!(outbox.body["entries"], json!([]), "what is denied must not be sent");
    }
    let permitted = json!({"pubsub": "daca-pubsub", "topic": "user-chat", "event": 1});
    assert_eq!(case(&nothing.call("Exerciser/a", "Publish", &permitted).await?), Some("denied"));
    assert_eq!(half.call("Exerciser/a", "Publish", &permitted).await?, json!({"effect": 0}));
    Ok(())
}

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
    assert_eq!((answer.status.as_u16(), answer.code.as_deref()), (500, Some("failed")));
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

// ---- Secrets, settings, identity, logs.

#[tokio::test]
async fn secrets_and_settings_are_those_of_the_type() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let secrets = json!({"single": "s3cret", "several": {"user": "u", "password": "p"}, "hidden": "h"});
    std::fs::write(folder.path().join("secrets.json"), secrets.to_string())?;
    let settings = "[agents.Exerciser.settings]\ngreeting = \"Grüß\"\nsize = \"3\"\n";
    let manifest = exerciser(settings) + "[embedded]\nsecrets-file = \"secrets.json\"\n";
    let host = Host::start_in(folder, &manifest).await?;
    let secret = async |name: &str| host.call("Exerciser/a", "GetSecret", &json!({"name": name})).await;
    let single = secret("single").await?;
    assert!(single.to_string().contains("s3cret") && single.to_string().contains("single"), "{single}");
    let several = secret("several").await?.to_string();
    assert!(["user", "\"u\"", "password", "\"p\""].iter().all(|part| several.contains(part)), "{several}");
    assert_eq!(case(&secret("hidden").await?), Some("denied"), "it is there, but not listed");
    assert_eq!(case(&secret("absent").await?), Some("not-found"));

    let setting = async |key: &str| host.call("Exerciser/a", "GetConfig", &json!({"key": key})).await;
    assert_eq!(setting("greeting").await?, json!("Grüß"));
    assert_eq!(setting("PATH").await?, Value::Null);
    let all = host.call("Exerciser/a", "GetAllConfig", &Value::Null).await?;
    assert!(all.to_string().contains("greeting") && all.to_string().contains("size"), "{all}");
    Ok(())
}

#[tokio::test]
async fn an_actor_knows_who_it_is_and_its_log_lines_say_so() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let host =
        Host::start_with(folder, &exerciser(""), &[("DACA_LOG", "info,agent=trace,daca_runtime=debug")])
            .await?;
    let first = host.call("Exerciser/a", "WhoAmI", &Value::Null).await?;
    let second = host.call("Exerciser/a", "WhoAmI", &Value::Null).await?;
    assert_eq!((&first["agent_type"], &first["actor_id"]), (&json!("Exerciser"), &json!("a")));
    assert_ne!(first["turn_id"], second["turn_id"]);
    for who in [first, second] {
        let line = host.wait_for_log("the turn", |line| line["span"]["turn"] == who["turn_id"]).await?;
        assert_eq!(line["span"]["agent_type"], "Exerciser");
    }

    let levels = [
        ("trace", "TRACE"),
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("warn", "WARN"),
        ("error", "ERROR"),
        ("critical", "ERROR"),
    ];
    for (level, expected) in levels {
        let text = format!("at {level}");
        host.call("Exerciser/a", "Log", &json!({"level": level, "context": "ctx", "message": text})).await?;
        let line = host.wait_for_log(&text, |line| message(line) == format!("ctx: {text}")).await?;
        assert_eq!((&line["level"], &line["target"]), (&json!(expected), &json!("agent")));
        let span = &line["span"];
        assert_eq!((&span["agent_type"], &span["actor_id"]), (&json!("Exerciser"), &json!("a")));
        assert!(span["turn"].is_string() && span["component"].is_string(), "{line}");
    }

    // One line from a guest is one line of the log, whatever is in it.
    let forged = json!({"level": "info", "message": "one\n{\"message\":\"forged\"}\u{1b}[31m"});
    host.call("Exerciser/a", "Log", &forged).await?;
    let line = host.wait_for_message("one").await?;
    assert!(!message(&line).contains(['\n', '\u{1b}']), "{line}");
    assert!(!host.log().iter().any(|line| message(line) == "forged"));

    host.call("Exerciser/a", "Print", &json!({"line": "printed"})).await?;
    for (text, level) in [("out: printed", "INFO"), ("err: printed", "WARN")] {
        let line = host.wait_for_log(text, |line| message(line) == text).await?;
        assert_eq!((&line["level"], &line["target"]), (&json!(level), &json!("agent")));
        assert_eq!(line["span"]["actor_id"], "a");
    }

    // A line without an end is that of the turn that wrote it, and does not wait for another one.
    let mut turns = Vec::new();
    for text in ["first half", "second half"] {
        host.call("Exerciser/a", "PrintUnended", &json!({"line": text})).await?;
        let line = host.wait_for_log(text, |line| message(line) == text).await?;
        turns.push(line["span"]["turn"].clone());
    }
    assert!(turns[0].is_string() && turns[0] != turns[1], "{turns:?}");
    Ok(())
}

#[tokio::test]
async fn a_guest_sees_nothing_of_the_machine() -> anyhow::Result<()> {
    let written = std::path::Path::new("/tmp/written-by-a-guest");
    let folder = Arc::new(TempDir::new()?);
    let secret = folder.path().join("secret.txt");
    std::fs::write(&secret, "for the host alone")?;
    let host = Host::start_with(folder, &exerciser(""), &[("DACA_TEST_SECRET", "x")]).await?;
    let address = host.admin.trim_start_matches("http://").to_owned();
    let seen = host.call("Exerciser/a", "Environment", &json!({"file": secret, "address": address})).await?;
    for what in ["read_file", "write_file", "list_root", "tcp_connect", "tcp_listen"] {
        assert!(seen[what].as_str().is_some_and(|text| text.starts_with("error: ")), "{what}: {seen}");
    }
    assert_eq!(seen["variables"], json!({}));
    assert_eq!(seen["arguments"].as_array().map_or(0, Vec::len), 0, "{seen}");
    assert!(!written.exists());

    // Clocks and random are there.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let clock = host.call("Exerciser/a", "Clock", &Value::Null).await?;
    let wall = u128::from(clock["wall_ms"].as_u64().unwrap_or_default());
    assert!(wall.abs_diff(now) < daca_tests::PATIENCE.as_millis(), "{clock}");
    // Each in an instance of its own.
    let one = host.call("Exerciser/a", "Random", &Value::Null).await?;
    let other = host.call("Exerciser/b", "Random", &Value::Null).await?;
    assert_ne!(one, other);
    Ok(())
}

// ---- Optional exports.

#[tokio::test]
async fn optional_exports_may_be_left_out() -> anyhow::Result<()> {
    let manifest = format!(
        "{}{}",
        manifest_of("Plain", "plain", "idle-timeout = \"100ms\""),
        manifest_of("Deaf", "deaf", "")
    );
    let host = Host::start(&manifest).await?;
    assert_eq!(host.call("Plain/a", "Hello", &json!("Ada")).await?, json!("Hello, Ada"));
    for method in ["RegisterReminder", "RegisterTimer"] {
        let reply = host.call("Deaf/a", method, &Value::Null).await?;
        assert_eq!(case(&reply), Some("invalid"), "{method}: {reply}");
    }
    eventually("the plain actor is deactivated without a hook", async || {
        Ok(host.get_admin("/activations").await?.body["active"] == 1)
    })
    .await?;
    assert_eq!(host.call("Plain/a", "Hello", &json!("Bo")).await?, json!("Hello, Bo"));
    Ok(())
}
