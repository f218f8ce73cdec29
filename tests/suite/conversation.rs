//! The ChatAgent on the default manifest: every endpoint of the tutorial, and the effects of each message.

use daca_tests::{Answer, Host, chat_agent, default_manifest, digest, eventually, message, replaced};
use reqwest::Method;
use serde_json::{Value, json};

const NO_CONTENT: &str = "Invalid or missing 'content' field";
const NO_MESSAGE: &str = "Invalid message format";
const UNREADABLE: &str = "Invalid event data format";

/// How the ChatAgent's lines about a delivered event and SMS begin.
const PUBLISHED: &str = "Published event for";
const SENT: &str = "Sent SMS for";

fn said(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn answered(content: &str) -> Value {
    json!({"role": "assistant", "content": format!("Got your message: {content}")})
}

#[tokio::test]
async fn every_request_has_the_answer_of_the_table() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let refused = |detail: &str| (400, json!({ "detail": detail }));
    let processed = |text: &str| (200, json!({"status": "Message processed", "response": answered(text)}));
    let success = (200, json!({"status": "SUCCESS", "message": "Event processed"}));
    let dropped = (200, json!({"status": "DROP", "message": UNREADABLE}));
    let event = json!({"actor_id": "u", "input": said("Hi"), "output": answered("Hi")});
    let odd = "ü \u{0} \" \\ 漢 \u{1f600}";
    let chat = "/chat/u";
    let receive = "/receive-message";
    let subscribe = "/subscribe";
    let cases = [
        (chat, said("Hi").to_string(), (200, json!({"response": answered("Hi")}))),
        (chat, said(odd).to_string(), (200, json!({"response": answered(odd)}))),
        (chat, json!({"role": "user", "content": ""}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user"}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": 5}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": null}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": ["Hi"]}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"content": "Hi"}).to_string(), refused("Invalid or missing 'role' field")),
        (chat, "[]".into(), refused(NO_CONTENT)),
        (chat, "null".into(), refused(NO_CONTENT)),
        (receive, json!({"actor_id": "u", "message": said("Yo")}).to_string(), processed("Yo")),
        (receive, json!({"message": said("Yo")}).to_string(), processed("Yo")),
        (receive, json!({"actor_id": "u", "message": said("")}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": "u", "message": {"role": "user"}}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": "u", "message": {"content": "Yo"}}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": "u", "message": "Yo"}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": "u"}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": 5, "message": said("Yo")}).to_string(), refused(NO_MESSAGE)),
        (receive, json!({"actor_id": "a/b", "message": said("Yo")}).to_string(), refused(NO_MESSAGE)),
        (receive, "[]".into(), refused(NO_MESSAGE)),
        (receive, "no JSON".into(), refused(NO_MESSAGE)),
        (receive, String::new(), refused(NO_MESSAGE)),
        (subscribe, json!({"id": "1", "data": event}).to_string(), success.clone()),
        (subscribe, json!({"id": "1", "data": event.to_string()}).to_string(), success.clone()),
        (subscribe, json!({"id": null, "source": null, "data": event}).to_string(), success.clone()),
        (subscribe, json!({"id": 1, "source": "s", "data": event}).to_string(), dropped.clone()),
        (subscribe, json!({"id": "", "source": "s", "data": event}).to_string(), dropped.clone()),
        (subscribe, json!({"id": "1", "source": ["s"], "data": event}).to_string(), dropped.clone()),
        (subscribe, json!({"data": {}}).to_string(), success),
        (subscribe, json!({"data": "no JSON"}).to_string(), dropped.clone()),
        (subscribe, json!({"data": "[1]"}).to_string(), dropped.clone()),
        (subscribe, json!({"data": 5}).to_string(), dropped.clone()),
        (subscribe, json!({"id": "1"}).to_string(), dropped.clone()),
        (subscribe, "[]".into(), dropped.clone()),
        (subscribe, "no JSON".into(), dropped),
    ];
    for (path, body, (status, expected)) in cases {
        let Answer { status: got, body: answer, .. } = host.send(Method::POST, path, body.clone()).await?;
        assert_eq!((got.as_u16(), answer), (status, expected), "POST {path} {body}");
    }
    // What was refused left no trace, and the id of a message without one is `unknown`.
    let kept = [answered("Hi"), said(odd), answered(odd), said("Yo"), answered("Yo")];
    assert_eq!(host.get("/chat/u/history").await?.body, json!({ "history": kept }));
    let kept = [said("Yo"), answered("Yo")];
    assert_eq!(host.get("/chat/unknown/history").await?.body, json!({ "history": kept }));
    let fresh = host.get("/chat/nobody/history").await?;
    assert_eq!((fresh.status.as_u16(), fresh.body), (200, json!({"history": []})));
    Ok(())
}

#[tokio::test]
async fn the_last_five_entries_are_kept_with_every_field() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let mut all = Vec::new();
    for number in 0..4 {
        let content = format!("message {number}");
        let mut message = said(&content);
        message["extra"] = json!({"deep": [number, null, {"text": "ü"}], "fraction": 0.5});
        host.post("/chat/user1", &message).await?;
        all.extend([message, answered(&content)]);
        let kept = &all[all.len().saturating_sub(5)..];
        assert_eq!(host.get("/chat/user1/history").await?.body, json!({ "history": kept }));
    }
    Ok(())
}

/// The wire's own text, because a client that parses numbers would round them as the host might.
#[tokio::test]
async fn numbers_of_unknown_fields_keep_every_digit() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let message = r#"{"role":"user","content":"Hi","order":123456789012345678901234567890}"#;
    host.send_raw("POST", "/chat/user1", message)?;
    let head = "GET /chat/user1/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let history = daca_tests::exchange(&host.app, head.as_bytes())?;
    assert!(history.contains(r#""order":123456789012345678901234567890}"#), "{history}");
    Ok(())
}

/// The outbox, once two effects have left.
async fn outbox_of_two(host: &Host) -> anyhow::Result<Value> {
    let both = json!({"pending": 0, "sent": 2, "failed": 0});
    eventually("both have left", async || Ok(host.get_admin("/outbox").await?.body["counts"] == both))
        .await?;
    Ok(host.get_admin("/outbox").await?.body)
}

#[tokio::test]
async fn a_message_sets_off_its_event_and_its_sms_and_the_log_says_so() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let input = json!({"role": "user", "content": "Hi", "lang": "en"});
    host.post("/chat/user1", &input).await?;
    host.wait_for_message(SENT).await?;
    host.wait_for_message(PUBLISHED).await?;

    let event = json!({
        "actor_id": "user1",
        "history_key": "history-user1",
        "actor_type": "ChatAgent",
        "event_type": "ConversationUpdated",
        "input": input,
        "output": answered("Hi"),
    });
    let sms = "New message from user1: Hi -> Got your message: Hi";
    let outbox = outbox_of_two(&host).await?;
    let entry = |number: usize| &outbox["entries"][number];
    assert_eq!(
        (&entry(0)["kind"], &entry(0)["target"], &entry(0)["status"], &entry(0)["actor"]),
        (&json!("publish"), &json!("daca-pubsub/user-chat"), &json!("sent"), &json!("ChatAgent/user1"))
    );
    assert_eq!(entry(0)["data"], event.to_string());
    assert_eq!(
        (&entry(1)["kind"], &entry(1)["target"], &entry(1)["status"], &entry(1)["data"]),
        (&json!("send"), &json!("twilio-binding/create"), &json!("sent"), &json!(sms))
    );
    assert_eq!(entry(1)["metadata"], json!({"toNumber": "+1987654321"}));

    let expected = [
        "Activating actor for history-user1".to_owned(),
        "State not found for history-user1, initializing".to_owned(),
        format!("Processing message for history-user1: {input}"),
        "Processed message for history-user1: Hi".to_owned(),
        format!("{PUBLISHED} history-user1: {event}"),
        format!("{SENT} history-user1: {}", json!({"toNumber": "+1987654321", "body": sms})),
    ];
    let lines = host.log().into_iter().filter(|line| line["target"] == "agent").collect::<Vec<_>>();
    let mut texts = lines.iter().map(message).collect::<Vec<_>>();
    // The event and the SMS do not wait for each other.
    if let Some(effects) = texts.get_mut(4..) {
        effects.sort_unstable();
    }
    assert_eq!(texts, expected);
    let span = json!({
        "agent_type": "ChatAgent",
        "actor_id": "user1",
        "turn": entry(0)["turn"],
        "component": digest(&chat_agent())?[..12],
        "name": "turn",
    });
    for line in &lines {
        assert_eq!((&line["level"], &line["span"]), (&json!("INFO"), &span), "{line}");
    }
    assert!(span["turn"].as_str().is_some_and(|turn| !turn.is_empty()), "{span}");
    // The default manifest subscribes to its own event.
    let received = "Received event: User user1 sent 'Hi', got 'Got your message: Hi'";
    assert_eq!(host.wait_for_message("Received event").await?["message"], received);
    Ok(())
}

#[tokio::test]
async fn the_log_tells_what_arrived_from_the_broker() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let cases = [
        (
            "/receive-message",
            json!({"message": said("Yo")}),
            json!({"message": said("Yo")}).to_string(),
            "Received Kafka message: ",
        ),
        (
            "/subscribe",
            json!({"data": {"actor_id": "u", "input": said("a"), "output": said("b")}}),
            "User u sent 'a', got 'b'".into(),
            "Received event: ",
        ),
        (
            "/subscribe",
            json!({"data": "{}"}),
            "User unknown sent 'no message', got 'no response'".into(),
            "Received event: ",
        ),
        (
            "/subscribe",
            json!({"data": {"actor_id": "u\nforged line", "input": said("\u{1b}[31m")}}),
            r"User u\nforged line sent '\u{1b}[31m', got 'no response'".into(),
            "Received event: ",
        ),
    ];
    for (path, body, text, start) in cases {
        host.post(path, &body).await?;
        let line = format!("{start}{text}");
        let found = host.wait_for_log(&line, |logged| message(logged) == line).await?;
        assert_eq!(found["level"], "INFO");
    }
    host.post("/subscribe", &json!({"data": "no JSON"})).await?;
    let dropped = host.wait_for_message("an event is dropped: its data is not a JSON object").await?;
    assert_eq!((&dropped["level"], &dropped["code"]), (&json!("WARN"), &json!("event-unreadable")));
    Ok(())
}

#[tokio::test]
async fn the_setting_says_who_gets_the_sms() -> anyhow::Result<()> {
    let cases = [
        (r#"to-number = "+4930123456""#, "+4930123456"),
        // Without the setting, the seed's number.
        ("", "+1987654321"),
    ];
    for (setting, number) in cases {
        let host =
            Host::start(&replaced(&default_manifest(), r#"to-number = "+1987654321""#, setting)?).await?;
        host.post("/chat/user1", &said("Hi")).await?;
        host.wait_for_message(SENT).await?;
        let outbox = host.get_admin("/outbox").await?.body;
        assert_eq!(outbox["entries"][1]["metadata"]["toNumber"], number);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_permitted_fails_no_turn_and_the_log_names_the_line_to_add() -> anyhow::Result<()> {
    let manifest = replaced(&default_manifest(), r#"["daca-pubsub/user-chat"]"#, "[]")?;
    let host = Host::start(&replaced(&manifest, r#"["twilio-binding/create"]"#, "[]")?).await?;
    let answer = host.post("/chat/user1", &said("Hi")).await?;
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"response": answered("Hi")})));
    let history = host.get("/chat/user1/history").await?.body;
    assert_eq!(history, json!({"history": [said("Hi"), answered("Hi")]}));

    for (list, entry, failure) in [
        ("publish", "daca-pubsub/user-chat", "Failed to publish event"),
        ("bindings", "twilio-binding/create", "Failed to send SMS"),
    ] {
        let line = format!("add {entry:?} to the list {list} in [agents.ChatAgent.permissions]");
        let denied = host.wait_for_message(&line).await?;
        assert_eq!((&denied["level"], &denied["code"]), (&json!("WARN"), &json!("denied")));
        assert_eq!(host.wait_for_message(failure).await?["level"], "ERROR");
    }
    assert_eq!(host.get_admin("/outbox").await?.body["entries"], json!([]));
    for line in host.log() {
        let text = message(&line);
        assert!(!text.starts_with(PUBLISHED) && !text.starts_with(SENT), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_nobody_takes_fails_no_turn_and_is_never_called_published() -> anyhow::Result<()> {
    // The subscriber panics at each try.
    let panics = daca_tests::manifest_of("Panics", "panics", "");
    let subscription = r#"path = "/subscribe"
agent = "Panics"
call = "Panic"
actor-id = { field = "actor_id" }
payload = { field = "history_key" }"#;
    let manifest = replaced(&default_manifest(), r#"path = "/subscribe""#, subscription)?;
    let host = Host::start(&format!("{manifest}\n{panics}")).await?;
    let answer = host.post("/chat/user1", &said("Hi")).await?;
    assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"response": answered("Hi")})));
    assert_eq!(host.wait_for_message("Failed to publish event: ").await?["level"], "ERROR");
    // The SMS goes out all the same.
    host.wait_for_message("Sent SMS for history-user1").await?;
    eventually("one failed and one sent effect", async || {
        let counts = &host.get_admin("/outbox").await?.body["counts"];
        Ok(*counts == json!({"pending": 0, "sent": 1, "failed": 1}))
    })
    .await?;
    assert!(!host.log().iter().any(|line| message(line).starts_with(PUBLISHED)));
    Ok(())
}
