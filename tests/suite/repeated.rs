//! Calls that come again with the key that their caller has given them: each is handled once, and answered as the first time.

use std::sync::Arc;

use daca_tests::{Answer, Host, client, default_manifest};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Replies that are kept of one actor (`host/runtime/src/actor/replies.rs`).
const KEPT: usize = 64;

/// Tells an actor something, once for each key.
async fn say(host: &Host, actor: &str, content: &str, keys: &[&str]) -> anyhow::Result<Answer> {
    let body = json!({"role": "user", "content": content}).to_string();
    let headers = keys.iter().map(|key| ("Idempotency-Key", *key)).collect::<Vec<_>>();
    host.send_with(Method::POST, &format!("/chat/{actor}"), body, &headers).await
}

/// What users have said, as the actor remembers.
async fn heard(host: &Host, actor: &str) -> anyhow::Result<Vec<String>> {
    let history = host.get(&format!("/chat/{actor}/history")).await?.body["history"].take();
    let entries = history.as_array().cloned().unwrap_or_default().into_iter();
    let said = entries.filter(|entry| entry["role"] == "user");
    Ok(said.map(|entry| entry["content"].as_str().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn a_call_with_a_key_is_handled_once_also_by_the_next_host() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let host = Host::start_in(folder, &default_manifest()).await?;
    let first = say(&host, "u", "Hi", &["a"]).await?;
    assert_eq!(first.body["response"]["content"], "Got your message: Hi");
    let again = (0..8).map(|_| say(&host, "u", "Hi", &["a"]));
    for answer in futures::future::try_join_all(again).await? {
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &first.body));
    }
    let at_once = (0..8).map(|_| say(&host, "u", "Ho", &["b"]));
    for answer in futures::future::try_join_all(at_once).await? {
        assert_eq!(answer.body["response"]["content"], "Got your message: Ho");
    }
    assert_eq!(heard(&host, "u").await?, ["Hi", "Ho"]);
    let outbox = || async { anyhow::Ok(host.get_admin("/outbox").await?.body.to_string()) };
    daca_tests::eventually("both SMS have left", async || Ok(outbox().await?.contains("from u: Ho"))).await?;
    assert_eq!(outbox().await?.matches("New message from u: Hi").count(), 1);

    let host = Host::start_in(host.kill()?, &default_manifest()).await?;
    let answer = say(&host, "u", "Hi", &["a"]).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &first.body));
    // Without a key each call is a new one, and another actor knows nothing of this one's keys.
    say(&host, "u", "Ho", &[]).await?;
    say(&host, "v", "Hi", &["a"]).await?;
    assert_eq!(heard(&host, "u").await?, ["Ho", "Ho"], "the last five entries");
    assert_eq!(heard(&host, "v").await?, ["Hi"]);
    Ok(())
}

#[tokio::test]
async fn a_key_stands_for_one_call_and_what_failed_may_be_corrected() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    say(&host, "u", "Hi", &["a"]).await?;
    let other = say(&host, "u", "Ho", &["a"]).await?;
    assert_eq!(other.outcome(), (422, Some("idempotency-key-reused")), "{other:?}");
    assert_eq!(say(&host, "u", "", &["b"]).await?.outcome(), (400, Some("invalid")));
    assert_eq!(say(&host, "u", "Hi again", &["b"]).await?.status, 200);
    assert_eq!(heard(&host, "u").await?, ["Hi", "Hi again"]);

    // The admin port reads the same log, with the same codes.
    let url = format!("{}/actors/ChatAgent/u/method/ProcessMessage", host.admin);
    for (content, keys, expected) in [
        ("Hi", &["a"][..], (200, None)),
        ("Ho", &["a"], (422, Some("idempotency-key-reused"))),
        ("Ho", &["c", "d"], (400, Some("idempotency-key-invalid"))),
    ] {
        let request = client()?.post(&url).body(json!({"role": "user", "content": content}).to_string());
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        assert_eq!(Answer::of(request).await?.outcome(), expected, "{content} {keys:?}");
    }
    assert_eq!(heard(&host, "u").await?, ["Hi", "Hi again"]);

    for number in 0..KEPT {
        say(&host, "u", "later", &[&format!("later {number}")]).await?;
    }
    let forgotten = say(&host, "u", "Hi", &["a"]).await?;
    assert_eq!(forgotten.outcome(), (409, Some("reply-forgotten")), "{forgotten:?}");
    assert_eq!(heard(&host, "u").await?, ["later", "later"]);
    Ok(())
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_refused_before_anything_is_done() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for keys in [vec![""], vec![" "], vec!["\u{e4}"], vec![&too_long], vec!["a", "b"]] {
        let refused = say(&host, "u", "Hi", &keys).await?;
        assert_eq!(refused.outcome(), (400, Some("idempotency-key-invalid")), "{keys:?}");
    }
    assert_eq!(host.get("/chat/u/history").await?.body, json!({"history": Value::Array(Vec::new())}));
    for keys in [vec!["~ !\"'"], vec![&longest]] {
        assert_eq!(say(&host, "u", "Hi", &keys).await?.status, 200, "{keys:?}");
    }
    let read = host.send_with(Method::GET, "/chat/u/history", "", &[("Idempotency-Key", "")]).await?;
    assert_eq!(read.status, 200);
    Ok(())
}
