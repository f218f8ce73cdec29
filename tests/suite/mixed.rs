//! Many actors at the same time: their messages, events and log lines do not mix.

use std::collections::{BTreeMap, BTreeSet};

use daca_tests::{Host, default_manifest, eventually, message};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

/// The number of the message that a text of the ChatAgent's conversation carries.
fn content(entry: &Value) -> (String, String) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    (text("role"), text("content"))
}

const ACTORS: usize = 200;
const MESSAGES: usize = 50;

/// Lines of the ChatAgent's log, as far as they begin so, by actor and in order.
fn lines_by_actor(host: &Host, starts: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut lines = BTreeMap::<String, Vec<String>>::new();
    for line in host.log() {
        let text = message(&line);
        if starts.iter().any(|start| text.starts_with(start)) {
            let actor = line["span"]["actor_id"].as_str().unwrap_or_default();
            lines.entry(actor.to_owned()).or_default().push(text.to_owned());
        }
    }
    lines
}

/// Sends every actor its messages, and checks the answers.
async fn send_all(host: &Host) -> anyhow::Result<()> {
    const CONNECTIONS: usize = 64;
    // Eight actors at a time, each with several messages under way: they contend for the actor and for the host.
    let messages = (0..ACTORS / 8)
        .flat_map(|block| (0..MESSAGES).flat_map(move |m| (0..8).map(move |n| (block * 8 + n, m))));
    let answers = stream::iter(messages).map(async |(actor, m)| {
        let text = format!("{actor}-{m}");
        let answer = host.post(&format!("/chat/u{actor}"), &json!({"role": "user", "content": text})).await?;
        let reply =
            json!({"response": {"role": "assistant", "content": format!("Got your message: {text}")}});
        anyhow::ensure!(answer.status == 200 && answer.body == reply, "{text}: {answer:?}");
        Ok(())
    });
    let answers: Vec<anyhow::Result<()>> = answers.buffer_unordered(CONNECTIONS).collect().await;
    assert_eq!(answers.len(), ACTORS * MESSAGES);
    answers.into_iter().collect()
}

/// An actor took its own messages, each once, and its events and its SMS left in the order of their turns.
fn assert_in_order(number: usize, taken: &[String], published: &[String], sent: &[String]) {
    let actor = format!("u{number}");
    for (index, text) in taken.iter().enumerate() {
        for (lines, part) in [
            (published, format!("\"content\":\"{text}\"")),
            (sent, format!("New message from {actor}: {text} -> ")),
        ] {
            assert!(
                lines.get(index).is_some_and(|line| line.contains(&part)),
                "{part} is not next: {lines:?}"
            );
        }
    }
    let distinct = taken.iter().cloned().collect::<BTreeSet<_>>();
    let all = (0..MESSAGES).map(|m| format!("{number}-{m}")).collect::<BTreeSet<_>>();
    assert_eq!(distinct, all, "{actor} took its own messages, all of them");
    assert_eq!(taken.len(), MESSAGES, "{actor} took each once");
}

#[tokio::test]
async fn two_hundred_actors_with_fifty_messages_each_mix_and_lose_nothing() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    send_all(&host).await?;
    let all_sent = json!({"pending": 0, "sent": 2 * ACTORS * MESSAGES, "failed": 0});
    eventually("all events and SMS are delivered", async || {
        Ok(host.get_admin("/outbox").await?.body["counts"] == all_sent)
    })
    .await?;
    // The last line of the last delivery: with it the log is complete for all of them.
    eventually("the log is complete", async || {
        let count = |text: &str| host.log().iter().filter(|line| message(line).starts_with(text)).count();
        let all = ACTORS * MESSAGES;
        Ok([count("Published event for"), count("Sent SMS for"), count("Received event: ")] == [all; 3])
    })
    .await?;

    // By the log, in the order in which each actor took its messages.
    let mut taken = lines_by_actor(&host, &["Processed message for history-"]);
    let mut published = lines_by_actor(&host, &["Published event for "]);
    let mut sent = lines_by_actor(&host, &["Sent SMS for "]);
    for number in 0..ACTORS {
        let actor = format!("u{number}");
        let start = format!("Processed message for history-{actor}: ");
        // A line of another actor's message would be kept as it is, and be none of the expected.
        let text = |line: String| line.strip_prefix(&start).map(str::to_owned).unwrap_or(line);
        let taken = taken.remove(&actor).unwrap_or_default().into_iter().map(text).collect::<Vec<_>>();
        let [published, sent] =
            [&mut published, &mut sent].map(|lines| lines.remove(&actor).unwrap_or_default());
        assert_in_order(number, &taken, &published, &sent);
        let exchange = |text: &String| {
            [("user".to_owned(), text.clone()), ("assistant".to_owned(), format!("Got your message: {text}"))]
        };
        let expected = taken[MESSAGES - 3..].iter().flat_map(exchange).skip(1).collect::<Vec<_>>();
        let history = host.get(&format!("/chat/{actor}/history")).await?.body;
        let history = history["history"].as_array().cloned().unwrap_or_default();
        assert_eq!(history.iter().map(content).collect::<Vec<_>>(), expected, "{actor}");
    }
    Ok(())
}
