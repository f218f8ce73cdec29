//! The ChatAgent in every language: one conversation, and what must follow from it. `conversation.rs` says more of the one in
//! Rust, and of the routes, which are the same for all.

use std::path::{Path, PathBuf};

use daca_tests::{
    Host, chat_agent, default_manifest, eventually, exchange, folders, foreign_agent, message, replaced,
};
use reqwest::Method;
use serde_json::{Value, json};

const NO_CONTENT: &str = "Invalid or missing 'content' field";
const NO_ROLE: &str = "Invalid or missing 'role' field";

/// A number in a field that the agent does not know.
const NUMBER: &str = "123456789012345678901234567890";

/// What a language's JSON does that others do not: the known differences.
#[derive(Clone, Copy)]
struct Json {
    /// What becomes of [`NUMBER`].
    number: &'static str,
    /// Half of a surrogate pair is refused; otherwise it is replaced.
    refuses_halves: bool,
}

const EXACT: Json = Json { number: NUMBER, refuses_halves: true };
/// All numbers are 64-bit floating point.
const JAVASCRIPT: Json = Json { number: "1.2345678901234568e+29", refuses_halves: true };
const GO: Json = Json { number: NUMBER, refuses_halves: false };

#[tokio::test]
async fn the_chat_agent_in_rust_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    holds_the_conversation(Some(chat_agent()), EXACT).await
}

#[tokio::test]
async fn the_chat_agent_as_a_script_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    let script = folders::root().join("guest/chat-agents/typescript/chat_agent.ts");
    holds_the_conversation(Some(script), JAVASCRIPT).await
}

#[tokio::test]
async fn the_chat_agent_in_typescript_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    holds_the_conversation(foreign_agent("chat-typescript")?, JAVASCRIPT).await
}

#[tokio::test]
async fn the_chat_agent_in_python_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    holds_the_conversation(foreign_agent("chat-python")?, EXACT).await
}

#[tokio::test]
async fn the_chat_agent_in_go_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    holds_the_conversation(foreign_agent("chat-go")?, GO).await
}

#[tokio::test]
async fn the_chat_agent_in_c_holds_the_conversation_of_the_tutorial() -> anyhow::Result<()> {
    holds_the_conversation(foreign_agent("chat-c")?, EXACT).await
}

async fn holds_the_conversation(component: Option<PathBuf>, json: Json) -> anyhow::Result<()> {
    // One that is left out has been named.
    let Some(component) = component else { return Ok(()) };
    let host = Host::start(&manifest(&component)?).await?;
    refuses_what_is_no_message(&host).await?;
    keeps_the_last_five_with_every_field(&host).await?;
    keeps_numbers(&host, json.number)?;
    takes_only_texts(&host, json.refuses_halves).await?;
    tells_subscribers_and_sends_an_sms(&host).await?;
    goes_on_without_permission_and_number(&host).await
}

/// The default manifest with this component, and a type `Quiet` of it that may not publish, and has nobody to send an SMS to.
fn manifest(component: &Path) -> anyhow::Result<String> {
    let line = |component: &Path| format!("component = {:?}", component.display().to_string());
    let agent = format!("{}\nlimits = {{ memory = \"32MiB\" }}", line(component));
    let manifest = replaced(&default_manifest(), &line(&chat_agent()), &agent)?;
    Ok(format!(
        "{manifest}
[agents.Quiet]
{agent}
settings = {{ to-number = \"\" }}
permissions = {{ bindings = [\"twilio-binding/create\"] }}
"
    ))
}

fn said(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

fn answered(content: &str) -> Value {
    json!({"role": "assistant", "content": format!("Got your message: {content}")})
}

async fn refuses_what_is_no_message(host: &Host) -> anyhow::Result<()> {
    // More bytes than a message may have, in fewer characters.
    let large = said(&"é".repeat(65_600)).to_string();
    for (body, detail) in [
        (json!({"role": "user"}).to_string(), NO_CONTENT),
        (said("").to_string(), NO_CONTENT),
        (json!({"role": "user", "content": 5}).to_string(), NO_CONTENT),
        (json!({"role": "user", "content": null}).to_string(), NO_CONTENT),
        (json!({"role": "user", "content": ["Hi"]}).to_string(), NO_CONTENT),
        (json!({"ROLE": "user", "CONTENT": "Hi"}).to_string(), NO_CONTENT),
        (json!({"content": "Hi"}).to_string(), NO_ROLE),
        (json!({"role": 5, "content": "Hi"}).to_string(), NO_ROLE),
        ("[]".to_owned(), NO_CONTENT),
        ("null".to_owned(), NO_CONTENT),
        ("\"Hi\"".to_owned(), NO_CONTENT),
        (large, "131072 are the most"),
    ] {
        let shown = body.chars().take(80).collect::<String>();
        let answer = host.send(Method::POST, "/chat/refused", body).await?;
        assert_eq!(answer.status, 400, "{shown}: {answer:?}");
        assert!(answer.detail().contains(detail), "{shown}: {answer:?}");
    }
    assert_eq!(host.get("/chat/refused/history").await?.body, json!({"history": []}));
    Ok(())
}

async fn keeps_the_last_five_with_every_field(host: &Host) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for content in ["Hi", "ü \u{0} \" \\ 漢 \u{1f600} \u{2028} <&>", "{\"text\": \"of JSON\"}", "again"] {
        let mut message = said(content);
        message["extra"] = json!({"deep": [1, null, {"text": "ü"}], "fraction": 0.5, "true": true});
        let answer = host.post("/chat/five", &message).await?;
        assert_eq!((answer.status.as_u16(), answer.body), (200, json!({"response": answered(content)})));
        all.extend([message, answered(content)]);
        let kept = &all[all.len().saturating_sub(5)..];
        assert_eq!(host.get("/chat/five/history").await?.body, json!({ "history": kept }));
    }
    Ok(())
}

/// The wire's own text, because a client that parses numbers would round them, too.
fn keeps_numbers(host: &Host, number: &str) -> anyhow::Result<()> {
    let message = format!(r#"{{"role":"user","content":"Hi","order":{NUMBER}}}"#);
    host.send_raw("POST", "/chat/number", &message)?;
    let head = "GET /chat/number/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let history = exchange(&host.app, head.as_bytes())?;
    assert!(history.contains(&format!("\"order\":{number}}}")), "{history}");
    Ok(())
}

/// Half of a surrogate pair can be written as an escape, and is no text.
async fn takes_only_texts(host: &Host, refuses_halves: bool) -> anyhow::Result<()> {
    let body = r#"{"role": "user", "content": "\ud800"}"#;
    let answer = host.send(Method::POST, "/chat/half", body).await?;
    let mended = json!({"response": answered("\u{fffd}")});
    match refuses_halves {
        true => assert_eq!(answer.status, 400, "{answer:?}"),
        false => assert_eq!((answer.status.as_u16(), &answer.body), (200, &mended)),
    }
    Ok(())
}

/// The effects of an actor.
async fn effects(host: &Host, actor: &str) -> anyhow::Result<Vec<Value>> {
    let mut outbox = host.get_admin("/outbox?limit=1000").await?.body;
    let entries = outbox["entries"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(entries.into_iter().filter(|entry| entry["actor"] == actor).collect())
}

async fn tells_subscribers_and_sends_an_sms(host: &Host) -> anyhow::Result<()> {
    let input = json!({"role": "user", "content": "Hi ü", "lang": "en"});
    host.post("/chat/user1", &input).await?;
    eventually("both effects have left", async || {
        let found = effects(host, "ChatAgent/user1").await?;
        Ok(found.len() == 2 && found.iter().all(|effect| effect["status"] == "sent"))
    })
    .await?;

    let event = json!({
        "actor_id": "user1",
        "history_key": "history-user1",
        "actor_type": "ChatAgent",
        "event_type": "ConversationUpdated",
        "input": input,
        "output": answered("Hi ü"),
    });
    let sms = "New message from user1: Hi ü -> Got your message: Hi ü";
    let found = effects(host, "ChatAgent/user1").await?;
    let published = serde_json::from_str::<Value>(found[0]["data"].as_str().unwrap_or_default())?;
    assert_eq!((&found[0]["target"], &published), (&json!("daca-pubsub/user-chat"), &event));
    assert_eq!((&found[1]["target"], &found[1]["data"]), (&json!("twilio-binding/create"), &json!(sms)));
    assert_eq!(found[1]["metadata"], json!({"toNumber": "+1987654321"}));

    let expected = [
        ("Activating actor for history-user1", None),
        ("State not found for history-user1, initializing", None),
        ("Processing message for history-user1: ", Some(input)),
        ("Processed message for history-user1: Hi ü", None),
        ("Published event for history-user1: ", Some(event)),
        ("Sent SMS for history-user1: ", Some(json!({"toNumber": "+1987654321", "body": sms}))),
    ];
    for (start, value) in &expected {
        let is_it = |line: &Value| is_line(line, start, value.as_ref());
        let line = host.wait_for_log(start, is_it).await?;
        assert_eq!((&line["level"], &line["span"]["agent_type"]), (&json!("INFO"), &json!("ChatAgent")));
    }
    let of_actor = |line: &&Value| line["target"] == "agent" && line["span"]["actor_id"] == "user1";
    assert_eq!(host.log().iter().filter(of_actor).count(), expected.len());
    Ok(())
}

/// Is it this line of the agent: the text, or its beginning and then this value in JSON?
fn is_line(line: &Value, start: &str, value: Option<&Value>) -> bool {
    let rest = message(line).strip_prefix(start).filter(|_| line["target"] == "agent");
    match (rest, value) {
        (Some(rest), Some(value)) => serde_json::from_str::<Value>(rest).is_ok_and(|it| it == *value),
        (rest, None) => rest == Some(""),
        (None, Some(_)) => false,
    }
}

async fn goes_on_without_permission_and_number(host: &Host) -> anyhow::Result<()> {
    let answer = host.call("Quiet/q", "ProcessMessage", &said("Hi")).await?;
    assert_eq!(answer, answered("Hi"));
    let failure = |line: &Value| {
        line["span"]["actor_id"] == "q" && message(line).starts_with("Failed to publish event")
    };
    assert_eq!(host.wait_for_log("the failure", failure).await?["level"], "ERROR");
    let history = host.call("Quiet/q", "GetConversationHistory", &Value::Null).await?;
    assert_eq!(history, json!([said("Hi"), answered("Hi")]));
    assert_eq!(effects(host, "Quiet/q").await?, Vec::<Value>::new(), "nobody has a number");
    Ok(())
}
