//! The tutorial "Step 5: Bindings", step by step, with its own expected outputs, on the real servers.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{self, Chat};

#[tokio::test]
async fn every_step_of_the_tutorial_gives_its_expected_output() -> anyhow::Result<()> {
    let chat = Chat::start().await?;

    chat.produce(
        Some("user1"),
        &json!({"actor_id": "user1", "message": {"role": "user", "content": "Hi from Kafka"}}),
    )
    .await?;
    chat.until_history("user1", 2).await?;
    let answer = chat.post("/chat/user1", &json!({"role": "user", "content": "Test SMS"})).await?;
    assert_eq!(
        answer,
        (200, json!({"response": {"role": "assistant", "content": "Got your message: Test SMS"}}))
    );
    let history = chat.get("/chat/user1/history").await?;
    assert_eq!(
        history,
        (
            200,
            json!({"history": [
                {"role": "user", "content": "Hi from Kafka"},
                {"role": "assistant", "content": "Got your message: Hi from Kafka"},
                {"role": "user", "content": "Test SMS"},
                {"role": "assistant", "content": "Got your message: Test SMS"},
            ]})
        )
    );

    let sms = support::eventually("both SMS arrive", async || {
        let received = chat.stack.twilio.received();
        Ok((received.len() == 2).then_some(received))
    })
    .await?;
    let secrets: Value = serde_json::from_str(include_str!("../../../components/local/secrets.json"))?;
    let secrets = &secrets["twilio-credentials"];
    let text = |name: &str| secrets[name].as_str().context("a secret is a string").map(str::to_owned);
    for (sms, content) in sms.iter().zip(["Hi from Kafka", "Test SMS"]) {
        assert_eq!(sms.path, format!("/2010-04-01/Accounts/{}/Messages.json", text("accountSid")?));
        assert_eq!(sms.to, "+1987654321");
        assert_eq!(sms.from, text("fromNumber")?);
        assert_eq!(sms.body, format!("New message from user1: {content} -> Got your message: {content}"));
        let credentials = format!("{}:{}", text("accountSid")?, text("authToken")?);
        assert_eq!(sms.authorization, format!("Basic {}", STANDARD.encode(credentials)));
        assert_eq!(sms.content_type, "application/x-www-form-urlencoded");
    }

    for line in ["Received Kafka message", "Sent SMS for history-user1", "Published event for history-user1"]
    {
        chat.until_logged(line).await?;
    }
    for content in ["Hi from Kafka", "Test SMS"] {
        let line = format!("Received event: User user1 sent '{content}', got 'Got your message: {content}'");
        chat.until_logged(&line).await?;
        assert_eq!(chat.count_logged(&line)?, 1, "{line}");
    }
    // Every event was acknowledged: the defect of the tutorial's app was that none ever was.
    support::until_settled(&chat.stack, "user-chat").await?;
    chat.no_errors_logged()
}
