//! Messages from Kafka: none is lost, whatever it is, and none stops the others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};

use crate::support::{self, Chat, ledger_manifest, numbered};

/// Messages that can never be handled, with the code of the reason.
fn hopeless() -> Vec<(Vec<u8>, &'static str)> {
    let json = |value: Value| value.to_string().into_bytes();
    let message = |content: Value| json!({"role": "user", "content": content});
    vec![
        (b"not JSON".to_vec(), "body-not-json"),
        (vec![0xff, 0x00, 0x80], "body-not-json"),
        (b"".to_vec(), "body-not-json"),
        (b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "body-not-json"),
        (["[".repeat(129), "]".repeat(129)].concat().into_bytes(), "body-too-deep"),
        // What serde_json reads in place of the object, with a depth limit that begins anew.
        (json(json!([{"$serde_json::private::RawValue": "[1]"}])), "body-not-object"),
        (json(json!([1, 2])), "body-not-object"),
        (json(json!({"actor_id": "good"})), "field-missing"),
        (json(json!({"actor_id": "good", "message": {"role": "user"}})), "invalid"),
        (json(json!({"actor_id": "good", "message": "text"})), "invalid"),
        (json(json!({"actor_id": "good", "message": message(json!(5))})), "invalid"),
        (json(json!({"actor_id": 7, "message": message(json!("x"))})), "actor-id-invalid"),
        (json(json!({"actor_id": "a/b", "message": message(json!("x"))})), "actor-id-invalid"),
        (json(json!({"actor_id": "good", "message": message(json!("x".repeat(40_000)))})), "body-too-large"),
    ]
}

#[tokio::test]
async fn a_message_that_can_never_be_handled_is_set_aside_once_and_holds_up_nothing() -> anyhow::Result<()> {
    let small = "[host]\nmax-body = \"32 KiB\"\n\n[agents.ChatAgent]\n";
    let chat = Chat::start_with(1, &support::manifest(&[("[agents.ChatAgent]\n", small)])?).await?;
    let good = |content: &str| json!({"actor_id": "good", "message": {"role": "user", "content": content}});

    chat.produce(Some("k"), &good("before")).await?;
    let mut sent = Vec::new();
    for (number, (message, code)) in hopeless().into_iter().enumerate() {
        let value = number.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: "number", value: Some(&value) });
        let place = chat.produce_bytes(Some("k"), &message, headers).await?;
        sent.push((message, code, place));
    }
    chat.produce(Some("k"), &good("after")).await?;
    chat.until_history("good", 4).await?;
    chat.until_committed().await?;

    let contents =
        chat.history("good").await?.iter().map(|entry| entry["content"].clone()).collect::<Vec<_>>();
    assert_eq!([&contents[0], &contents[2]], ["before", "after"]);
    let letters = chat.dead_letters().await?;
    assert_eq!(letters.len(), sent.len(), "{letters:#?}");
    for (number, (letter, (message, code, place))) in letters.iter().zip(&sent).enumerate() {
        assert_eq!(letter["reason"]["code"], *code, "{letter}");
        assert_eq!(
            (letter["topic"].as_str(), letter["partition"].as_i64(), letter["offset"].as_i64()),
            (Some("user-messages"), Some(place.partition.into()), Some(place.offset)),
        );
        assert_eq!((&letter["key"], &letter["headers"]["number"]), (&json!("k"), &json!(number.to_string())));
        // What is too large to be read stays in its topic, where the letter says.
        let data = if *code == "body-too-large" { Value::Null } else { STANDARD.encode(message).into() };
        assert_eq!(letter["data_base64"], data);
    }

    // A person is told.
    let (status, body) = chat.post("/receive-message", &json!("no object")).await?;
    assert_eq!((status, body), (400, json!({"detail": "Invalid message format"})));
    assert_eq!(chat.dead_letters().await?.len(), sent.len());
    Ok(())
}

/// Dapr hands the key and the headers of a message on as HTTP headers, and cannot send some of them.
#[tokio::test]
async fn a_key_or_a_header_that_http_does_not_allow_stops_no_partition() -> anyhow::Result<()> {
    let chat = Chat::start_with(1, &ledger_manifest("", "")).await?;
    let odd_headers: [(&str, &[u8]); 9] = [
        ("binary", b"\x00\xff\r\nx: y"),
        ("with space", b"1"),
        ("colon:", b"1"),
        ("", b"1"),
        ("content-length", b"3"),
        ("transfer-encoding", b"chunked"),
        ("connection", b"close"),
        ("__offset", b"0"),
        ("dapr-api-token", b"guess"),
    ];
    for (number, (name, value)) in (1..).zip(odd_headers) {
        let headers = OwnedHeaders::new().insert(Header { key: name, value: Some(value) });
        let message = numbered("odd", number).to_string();
        chat.produce_bytes(Some("k"), message.as_bytes(), headers).await?;
    }
    chat.produce_bytes(Some("k"), numbered("odd", 10).to_string().as_bytes(), OwnedHeaders::new()).await?;
    assert_eq!(chat.until_entries("odd", 10).await?, (1..=10).collect::<Vec<_>>());
    let key = "line\r\nbreak";
    chat.produce(Some(key), &numbered("key", 1)).await?;
    assert_eq!(chat.until_entries("key", 1).await?, [1]);
    chat.until_committed().await?;
    assert_eq!(chat.dead_letters().await?, Vec::<Value>::new());
    Ok(())
}

/// The sidecar makes a header of HTTP from each header of a message, and sends a message that is refused for ever.
#[tokio::test]
async fn headers_of_any_number_and_size_stop_no_partition() -> anyhow::Result<()> {
    let chat = Chat::start_with(1, &ledger_manifest("", "")).await?;
    let header = |headers: OwnedHeaders, name: &str, value: &[u8]| {
        headers.insert(Header { key: name, value: Some(value) })
    };
    let many = (0..150).fold(OwnedHeaders::new(), |headers, n| header(headers, &format!("h{n}"), b"1"));
    let large = header(OwnedHeaders::new(), "large", &[b'x'; 600 * 1024]);
    for (number, headers) in (1..).zip([many, large, OwnedHeaders::new()]) {
        chat.produce_bytes(Some("k"), numbered("headers", number).to_string().as_bytes(), headers).await?;
    }
    assert_eq!(chat.until_entries("headers", 3).await?, [1, 2, 3]);
    chat.until_committed().await?;
    assert_eq!(chat.dead_letters().await?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn a_message_is_tried_as_often_as_the_manifest_says_and_set_aside_when_that_is_possible()
-> anyhow::Result<()> {
    let chat = Chat::start_with(1, &ledger_manifest("", "")).await?;
    let trapping = json!({"actor_id": "a", "message": {"number": 2, "trap": true}});
    for message in [numbered("a", 1), trapping, numbered("a", 3)] {
        chat.produce(Some("a"), &message).await?;
    }
    assert_eq!(chat.until_entries("a", 2).await?, [1, 3]);
    let letters = chat.dead_letters().await?;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["reason"]["code"], "guest-trapped", "{}", letters[0]);
    support::eventually("three turns that failed are logged", async || {
        let failed = chat.count_with(&[("level", "ERROR"), ("code", "guest-trapped")])?;
        Ok((failed == 3).then_some(()))
    })
    .await?;

    // Nowhere to set it aside: it stays in front of the others until there is.
    chat.stack.redis.process.stop().await?;
    chat.produce(Some("a"), &json!("hopeless")).await?;
    chat.produce(Some("a"), &numbered("a", 4)).await?;
    chat.until_with(&[("code", "set-aside-failed")]).await?;
    chat.stack.redis.start_again().await?;
    assert_eq!(chat.until_entries("a", 3).await?, [1, 3, 4]);
    chat.until_committed().await?;
    let letters = chat.dead_letters().await?;
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[1]["reason"]["code"], "body-not-object", "{}", letters[1]);
    Ok(())
}

/// Posts a message as the Kafka binding does, from a place of a topic.
async fn deliver(chat: &Chat, message: &Value, place: (u32, u64, u64)) -> anyhow::Result<u16> {
    let (partition, offset, time) = place;
    let request = chat.client.post(chat.hosts[0].app.url("/receive-message")).body(message.to_string());
    let request = request.header("__topic", "user-messages").header("__partition", partition);
    let answer = request.header("__offset", offset).header("__timestamp", time).send().await?;
    Ok(answer.status().as_u16())
}

/// An acknowledgement that is lost with its host has the message delivered again, to whoever has the actor then.
#[tokio::test]
async fn a_message_that_was_handled_is_not_handled_again_by_the_next_host_of_its_actor() -> anyhow::Result<()>
{
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 1, &ledger_manifest("", "")).await?;
    for place in [(0, 7, 1_000), (1, 2, 1_001)] {
        assert_eq!(deliver(&chat, &numbered("a", u64::from(place.0)), place).await?, 200);
    }
    for end in ["killed", "stopped"] {
        let app = &chat.hosts[0].app;
        match end {
            "killed" => app.process.kill()?,
            _ => app.process.stop().await?,
        };
        app.start_again().await?;
        app.wait_ready().await?;
        for place in [(0, 7, 1_000), (1, 2, 1_001)] {
            // Until the sidecar has found the host again, calls fail, as with Kafka's own messages.
            support::eventually("the message is acknowledged", async || {
                Ok((deliver(&chat, &numbered("a", u64::from(place.0)), place).await? == 200).then_some(()))
            })
            .await?;
        }
        assert_eq!(chat.entries(0, "a").await?, [0, 1], "the host was {end}");
    }
    assert_eq!(deliver(&chat, &numbered("a", 2), (0, 8, 1_002)).await?, 200);
    assert_eq!(chat.entries(0, "a").await?, [0, 1, 2]);
    Ok(())
}
