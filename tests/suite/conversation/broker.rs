//! What the log says of messages and events from the broker.

use daca_tests::message;
use serde_json::{Value, json};

use super::agent::{Agent, said};

pub(super) async fn the_log_tells_what_arrived_from_the_broker(agent: &Agent) -> anyhow::Result<()> {
    let host = &agent.host;
    let arrived = json!({"actor_id": "logged", "message": said("Yo")});
    let cases = [
        ("/receive-message", arrived.clone(), format!("Received Kafka message: {arrived}")),
        (
            "/subscribe",
            json!({"data": {"actor_id": "logged", "input": said("a"), "output": said("b")}}),
            "Received event: User logged sent 'a', got 'b'".into(),
        ),
        (
            "/subscribe",
            json!({"data": "{\"actor_id\": \"nameless\"}"}),
            "Received event: User nameless sent 'no message', got 'no response'".into(),
        ),
        (
            "/subscribe",
            json!({"data": {"input": said("of nobody")}}),
            "Received event: User unknown sent 'of nobody', got 'no response'".into(),
        ),
        (
            "/subscribe",
            json!({"data": {"actor_id": "u\nforged line", "input": said("\u{1b}[31m")}}),
            r"Received event: User u\nforged line sent '\u{1b}[31m', got 'no response'".into(),
        ),
    ];
    for (path, body, line) in cases {
        host.post(path, &body).await?;
        let found = host.wait_for_log(&line, |logged| message(logged) == line).await?;
        assert_eq!(found["level"], "INFO");
    }
    host.post("/subscribe", &json!({"data": "no JSON"})).await?;
    let is_dropped = |line: &Value| line["path"] == "/subscribe" && line["code"] == "event-unreadable";
    let dropped = host.wait_for_log("the drop", is_dropped).await?;
    assert_eq!(dropped["level"], "WARN");
    Ok(())
}
