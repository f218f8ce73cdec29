//! What a message sets off: its event, its SMS, and what the log says of them.

use std::path::Path;

use daca_tests::{Host, eventually, manifest_of, message, replaced};
use serde_json::{Value, json};

use super::agent::{Agent, PUBLISHED, SENT, answered, manifest, said};

pub(super) async fn a_message_sets_off_its_event_and_its_sms_and_the_log_says_so(
    agent: &Agent,
) -> anyhow::Result<()> {
    let (host, actor) = (&agent.host, "ChatAgent/user1");
    let input = json!({"role": "user", "content": "Hi ü", "lang": "en"});
    host.post("/chat/user1", &input).await?;
    agent.wait_for_line(actor, SENT).await?;
    agent.wait_for_line(actor, PUBLISHED).await?;

    let event = json!({
        "actor_id": "user1",
        "history_key": "history-user1",
        "actor_type": "ChatAgent",
        "event_type": "ConversationUpdated",
        "input": input,
        "output": answered("Hi ü"),
    });
    let sms = "New message from user1: Hi ü -> Got your message: Hi ü";
    let effects = agent.sent(actor, 2).await?;
    let [published, sent] = &effects[..] else { anyhow::bail!("{effects:#?}") };
    assert_eq!(
        (&published["kind"], &published["target"]),
        (&json!("publish"), &json!("daca-pubsub/user-chat"))
    );
    assert_eq!(published["data"], event.to_string());
    assert_eq!((&sent["kind"], &sent["target"]), (&json!("send"), &json!("twilio-binding/create")));
    assert_eq!((&sent["data"], &sent["metadata"]), (&json!(sms), &json!({"toNumber": "+1987654321"})));

    let expected = [
        "Activating actor for history-user1".to_owned(),
        "State not found for history-user1, initializing".to_owned(),
        format!("Processing message for history-user1: {input}"),
        "Processed message for history-user1: Hi ü".to_owned(),
        format!("{PUBLISHED} history-user1: {event}"),
        format!("{SENT} history-user1: {}", json!({"toNumber": "+1987654321", "body": sms})),
    ];
    let lines = agent.lines(actor);
    let mut texts = lines.iter().map(message).collect::<Vec<_>>();
    // The event and the SMS do not wait for each other.
    if let Some(effects) = texts.get_mut(4..) {
        effects.sort_unstable();
    }
    assert_eq!(texts, expected);
    let span = json!({
        "agent_type": "ChatAgent",
        "actor_id": "user1",
        "turn": published["turn"],
        "component": agent.version,
        "name": "turn",
    });
    for line in &lines {
        assert_eq!((&line["level"], &line["span"]), (&json!("INFO"), &span), "{line}");
    }
    assert!(span["turn"].as_str().is_some_and(|turn| !turn.is_empty()), "{span}");
    // The default manifest subscribes to its own event.
    let received = "Received event: User user1 sent 'Hi ü', got 'Got your message: Hi ü'";
    host.wait_for_message(received).await?;
    Ok(())
}

pub(super) async fn the_setting_says_who_gets_the_sms(agent: &Agent) -> anyhow::Result<()> {
    let cases = [
        ("Told/u", json!([null, "+4930123456"])),
        // Without the setting, the seed's number.
        ("Unset/u", json!([null, "+1987654321"])),
        // Nobody.
        ("Quiet/u", json!([null])),
    ];
    for (actor, expected) in cases {
        agent.host.call(actor, "ProcessMessage", &said("Hi")).await?;
        let effects = agent.sent(actor, expected.as_array().map_or(0, Vec::len)).await?;
        let numbers = effects.iter().map(|effect| &effect["metadata"]["toNumber"]).collect::<Vec<_>>();
        assert_eq!(json!(numbers), expected, "{actor}");
    }
    Ok(())
}

pub(super) async fn what_is_not_permitted_fails_no_turn_and_the_log_names_the_line_to_add(
    agent: &Agent,
) -> anyhow::Result<()> {
    let (host, actor) = (&agent.host, "Denied/user1");
    assert_eq!(host.call(actor, "ProcessMessage", &said("Hi")).await?, answered("Hi"));
    let history = host.call(actor, "GetConversationHistory", &Value::Null).await?;
    assert_eq!(history, json!([said("Hi"), answered("Hi")]));

    for (list, entry, failure) in [
        ("publish", "daca-pubsub/user-chat", "Failed to publish event"),
        ("bindings", "twilio-binding/create", "Failed to send SMS"),
    ] {
        let line = format!("add {entry:?} to the list {list} in [agents.Denied.permissions]");
        let denied = host.wait_for_message(&line).await?;
        assert_eq!((&denied["level"], &denied["code"]), (&json!("WARN"), &json!("denied")));
        assert_eq!(agent.wait_for_line(actor, failure).await?["level"], "ERROR");
    }
    assert_eq!(agent.effects(actor).await?, Vec::<Value>::new());
    for line in agent.lines(actor) {
        let text = message(&line);
        assert!(!text.starts_with(PUBLISHED) && !text.starts_with(SENT), "{text}");
    }
    Ok(())
}

/// On a host of its own: it has another subscriber.
pub(super) async fn an_event_that_nobody_takes_fails_no_turn_and_is_never_called_published(
    component: &Path,
) -> anyhow::Result<()> {
    // The subscriber panics at each try.
    let panics = manifest_of("Panics", "panics", "");
    let subscription = r#"path = "/subscribe"
agent = "Panics"
call = "Panic"
actor-id = { field = "actor_id" }
payload = { field = "history_key" }"#;
    let manifest = replaced(&manifest(component)?, r#"path = "/subscribe""#, subscription)?;
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
