//! What the endpoints answer, and what is kept of it.

use daca_tests::{Answer, exchange};
use reqwest::Method;
use serde_json::{Value, json};

use super::agent::{Agent, answered, said};

const NO_CONTENT: &str = "Invalid or missing 'content' field";
const NO_ROLE: &str = "Invalid or missing 'role' field";
const NO_MESSAGE: &str = "Invalid message format";
const UNREADABLE: &str = "Invalid event data format";

pub(super) async fn every_request_has_the_answer_of_the_table(agent: &Agent) -> anyhow::Result<()> {
    let host = &agent.host;
    let odd = "ü \u{0} \" \\ 漢 \u{1f600}";
    for (path, body, (status, expected)) in cases(odd) {
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

/// The path and the body of each request, with the status and the body of its answer.
fn cases(odd: &str) -> Vec<(&'static str, String, (u16, Value))> {
    let refused = |detail: &str| (400, json!({ "detail": detail }));
    let processed = |text: &str| (200, json!({"status": "Message processed", "response": answered(text)}));
    let success = (200, json!({"status": "SUCCESS", "message": "Event processed"}));
    let dropped = (200, json!({"status": "DROP", "message": UNREADABLE}));
    let event = json!({"actor_id": "u", "input": said("Hi"), "output": answered("Hi")});
    let chat = "/chat/u";
    let receive = "/receive-message";
    let subscribe = "/subscribe";
    vec![
        (chat, said("Hi").to_string(), (200, json!({"response": answered("Hi")}))),
        (chat, said(odd).to_string(), (200, json!({"response": answered(odd)}))),
        (chat, said("").to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user"}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": 5}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": null}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"role": "user", "content": ["Hi"]}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"ROLE": "user", "CONTENT": "Hi"}).to_string(), refused(NO_CONTENT)),
        (chat, json!({"content": "Hi"}).to_string(), refused(NO_ROLE)),
        (chat, json!({"role": 5, "content": "Hi"}).to_string(), refused(NO_ROLE)),
        (chat, "[]".into(), refused(NO_CONTENT)),
        (chat, "null".into(), refused(NO_CONTENT)),
        (chat, "\"Hi\"".into(), refused(NO_CONTENT)),
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
    ]
}

pub(super) async fn the_last_five_entries_are_kept_with_every_field(agent: &Agent) -> anyhow::Result<()> {
    let host = &agent.host;
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

/// The wire's own text, because a client that parses numbers would round them as the host might. The second message has the
/// first one read and written again.
pub(super) async fn numbers_of_unknown_fields_keep_every_digit(agent: &Agent) -> anyhow::Result<()> {
    let host = &agent.host;
    let message = r#"{"role":"user","content":"Hi","order":123456789012345678901234567890}"#;
    host.send_raw("POST", "/chat/number", message)?;
    host.post("/chat/number", &said("again")).await?;
    let head = "GET /chat/number/history HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let history = exchange(&host.app, head.as_bytes())?;
    assert!(history.contains(r#""order":123456789012345678901234567890}"#), "{history}");
    Ok(())
}

/// Half of a surrogate pair can be written as an escape, and is no text. What is too long has more bytes than a message may
/// have, in fewer characters.
pub(super) async fn what_is_no_text_or_too_long_is_refused(agent: &Agent) -> anyhow::Result<()> {
    let host = &agent.host;
    for half in [r"\ud800", r"\udc00 ", r"\ud83d\u0041", r"\\\ud800"] {
        let body = format!(r#"{{"role": "user", "content": "{half}"}}"#);
        let answer = host.send(Method::POST, "/chat/refused", body).await?;
        assert_eq!(answer.status, 400, "{half}: {answer:?}");
    }
    let whole =
        host.send(Method::POST, "/chat/whole", r#"{"role": "user", "content": "\\ud800 \ud83d\ude00"}"#);
    assert_eq!(whole.await?.body, json!({"response": answered("\\ud800 \u{1f600}")}));
    let answer = host.post("/chat/refused", &said(&"é".repeat(65_600))).await?;
    assert!(answer.status == 400 && answer.detail().contains("131072 are the most"), "{answer:?}");
    assert_eq!(host.get("/chat/refused/history").await?.body, json!({"history": []}));
    Ok(())
}
