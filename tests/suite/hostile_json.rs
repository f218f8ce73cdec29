//! JSON that overflows the stack of readers which give keys a meaning of their own, on every way into the host.

use daca_tests::{Host, default_manifest, exerciser};
use reqwest::Method;
use serde_json::{Value, json};

/// Keys that serde_json takes for its own in a `Value`.
const RAW_VALUE: &str = "$serde_json::private::RawValue";
const NUMBER: &str = "$serde_json::private::Number";

/// 34 levels, each 120 lists around an object whose text serde_json would read in its place. The escapes are chosen so that they
/// do not double with each level.
fn lists() -> String {
    format!("{}{}{}", "[".repeat(120), object(33), "]".repeat(120))
}

fn object(levels: usize) -> String {
    (0..levels).fold(format!(r#"{{"{RAW_VALUE}":"1"}}"#), |inner, _| {
        let inner = ["[".repeat(120), inner, "]".repeat(120)].concat();
        let text = inner.replace('\\', r"\u005c").replace('"', r"\u0022");
        format!(r#"{{"{RAW_VALUE}":"{text}"}}"#)
    })
}

#[tokio::test]
async fn no_key_of_a_body_or_an_event_ends_the_host() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let (lists, object) = (lists(), object(33));
    assert!(lists.len() < 32_768);
    let quoted = |text: &str| Value::from(text).to_string();
    let refused = (400, json!({"detail": "Invalid message format"}));
    let dropped = (200, json!({"status": "DROP", "message": "Invalid event data format"}));
    let success = (200, json!({"status": "SUCCESS", "message": "Event processed"}));
    for (path, body, expected) in [
        ("/receive-message", lists.clone(), &refused),
        ("/receive-message", object.clone(), &refused),
        ("/receive-message", format!(r#"{{"message":{object}}}"#), &refused),
        ("/subscribe", lists.clone(), &dropped),
        ("/subscribe", object.clone(), &dropped),
        ("/subscribe", format!(r#"{{"data":{lists}}}"#), &dropped),
        ("/subscribe", format!(r#"{{"data":{}}}"#, quoted(&lists)), &dropped),
        // To the host it is an object with one field, which is a text.
        ("/subscribe", format!(r#"{{"data":{object}}}"#), &success),
        ("/subscribe", format!(r#"{{"data":{}}}"#, quoted(&object)), &success),
    ] {
        let answer = host.send(Method::POST, path, body.clone()).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (expected.0, &expected.1), "{path} {body:.60}");
    }
    // What stands beside a good message is kept as it came.
    let message = format!(r#"{{"role":"user","content":"Hi","a":{{"{NUMBER}":"1"}},"b":{object}}}"#);
    assert_eq!(host.send(Method::POST, "/chat/u", message.clone()).await?.status, 200);
    let history = reqwest::get(format!("{}/chat/u/history", host.app)).await?.text().await?;
    assert!(history.contains(&message), "{history:.200}");
    let received = host.wait_for_message("Received Kafka message: ").await?;
    assert_eq!(received["level"], "INFO");
    Ok(())
}

/// What may be published arrives as it was; what no subscription would take is refused when it is published.
#[tokio::test]
async fn a_guest_can_publish_what_can_be_received_and_nothing_else() -> anyhow::Result<()> {
    let subscription =
        "[[subscriptions]]\npubsub = \"daca-pubsub\"\ntopic = \"own\"\npath = \"/own\"\nlog = \"Got {}\"\n";
    let host = Host::start(&(exerciser("") + subscription)).await?;
    let publish = async |topic: &str, bytes: &str| {
        let event = json!({"pubsub": "daca-pubsub", "topic": topic, "bytes": bytes.as_bytes()});
        host.call("Exerciser/a", "PublishBytes", &event).await
    };
    let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let number = format!(r#"{{"{NUMBER}":"1","n":1.0000000000000000000000000000001e400}}"#);
    for (topic, event, is_taken) in [
        ("own", number.clone(), true),
        ("own", object(33), true),
        ("own", Value::from(number.clone()).to_string(), true),
        ("own", deep(127), true),
        ("own", deep(128), false),
        ("own", lists(), false),
        ("own", "[1]".to_owned(), false),
        ("own", "5".to_owned(), false),
        ("own", "\"text\"".to_owned(), false),
        ("own", "no JSON".to_owned(), false),
        ("others", lists(), true),
        ("others", "[1]".to_owned(), true),
        ("others", "no JSON".to_owned(), true),
        ("others", deep(128), false),
    ] {
        let reply = publish(topic, &event).await?;
        let case = reply["error"]["case"].as_str();
        assert_eq!(case, (!is_taken).then_some("invalid"), "{event:.60} to {topic}: {reply}");
    }
    for event in [number, deep(127)] {
        host.wait_for_message(&format!("Got {event}")).await?;
    }
    let dropped = host.log().iter().any(|line| line["code"] == "event-unreadable");
    assert!(!dropped, "what may be published can be received");
    Ok(())
}

/// A value that an agent could never read again is refused when it is written.
#[tokio::test]
async fn state_that_could_not_be_read_again_is_not_written() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    // The method's own parameter is the outermost of the 127 levels that a guest reads.
    let nested = |depth: usize| (1..depth).fold(json!([]), |inner, _| json!([inner]));
    let deepest = nested(126);
    let write = json!({"key": "k", "value": deepest});
    assert_eq!(host.call("Exerciser/a", "SetState", &write).await?, Value::Null);
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, deepest);
    let wrapped = json!({"key": "k", "value": deepest, "lists": 2});
    let reply = host.call("Exerciser/a", "SetWrapped", &wrapped).await?;
    assert_eq!(reply["error"]["case"], "invalid", "{reply}");
    assert!(reply["error"]["message"].as_str().is_some_and(|text| text.contains("127")), "{reply}");
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, deepest);
    Ok(())
}
