//! The contract, import by import: what a component may ask of the host, and what it gets.

mod calls;
mod surroundings;

use daca_tests::{Host, eventually, exerciser, manifest_of};
use serde_json::{Value, json};

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
        ("RegisterReminder", json!({"name": "daca:effects", "due_ms": 0}), "invalid"),
        ("RegisterTimer", json!({"name": "daca:label", "due_ms": 0}), "invalid"),
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
