//! The ChatAgent on the default manifest: every row of the README's table of endpoints.

use daca_tests::{Host, default_manifest};
use serde_json::json;

#[tokio::test]
async fn a_message_is_answered_and_kept() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let answer = host.post("/chat/user1", &json!({"role": "user", "content": "Hi"})).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({"response": {"role": "assistant", "content": "Got your message: Hi"}}));
    let history = host.get("/chat/user1/history").await?;
    let expected = [json!({"role": "user", "content": "Hi"}), json!({"role": "assistant", "content": "Got your message: Hi"})];
    assert_eq!(history.body, json!({"history": expected}));
    Ok(())
}
