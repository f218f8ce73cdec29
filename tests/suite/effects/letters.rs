//! Dead-lettered events: each has one dead letter, whatever came of it before.

use daca_tests::{Answer, Host, exchange, message};
use serde_json::{Value, json};

use super::{LETTERS, event, failed_turns, letter, manifest, posted, subscription, until_counts};

#[tokio::test]
async fn an_event_that_can_never_be_handled_is_set_aside_where_its_subscription_says_so() -> anyhow::Result<()>
{
    let fails = subscription("set-aside", "Sink", "Fail");
    let more = "dead-letter = \"daca-pubsub/letters\"\nattempts = 2\n";
    let host = Host::start(&[&manifest(""), LETTERS, &fails, more].concat()).await?;
    let fault = |fault: &str| posted(fault, &json!({"fault": fault, "message": "no use"})).to_string();
    for (body, words) in [
        (fault("invalid"), ["no use", "invalid"]),
        (fault("failed"), ["no use", "failed"]),
        (json!({"data": {"to": "without-payload"}}).to_string(), ["is missing", "without-payload"]),
        (json!({"id": "without-data"}).to_string(), ["has no data", "without-data"]),
        ("no JSON".to_owned(), ["not JSON", "bm8gSlNPTg=="]),
    ] {
        let answer = host.send_raw("POST", "/events/set-aside", &body)?;
        assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("SUCCESS")), "{body}");
        host.wait_for_log(&format!("the letter of {body}"), |line| {
            let text = message(line);
            let has = |word: &&str| text.contains(word);
            text.starts_with("letter: ") && text.contains("/events/set-aside") && words.iter().all(has)
        })
        .await?;
    }
    Ok(())
}

/// No broker is in between that would give up.
#[tokio::test]
async fn an_event_at_which_an_agent_fails_is_set_aside_without_a_broker_as_well() -> anyhow::Result<()> {
    let fails = subscription("set-aside", "Sink", "Fail");
    let more = "dead-letter = \"daca-pubsub/letters\"\nattempts = 2\n";
    // More attempts than an effect has: those of the subscription count.
    let quick = "[host]\neffect-attempts = 1\neffect-retry-delay = \"10ms\"\n";
    let host = Host::start(&[quick, &manifest(""), LETTERS, &fails, more].concat()).await?;
    let published = event("set-aside", "bad", json!({"fault": "failed", "message": "not today"}));
    host.call("Exerciser/a", "Publish", &published).await?;
    let letter = letter(&host, |letter| letter["path"] == "/events/set-aside").await?;
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("not today")), "{letter}");
    until_counts(&host, 0, 1, 0).await?;
    assert_eq!(failed_turns(&host), 2);
    Ok(())
}

/// The sidecar brings again without an end what is answered with an error.
#[tokio::test]
async fn an_event_that_is_too_large_to_be_read_comes_once() -> anyhow::Result<()> {
    let small = "[host]\nmax-body = \"16KiB\"\n";
    let aside = [&subscription("aside", "Sink", "Echo"), "dead-letter = \"daca-pubsub/letters\"\n"].concat();
    let host = Host::start(&[small, &manifest(""), LETTERS, &aside].concat()).await?;
    let large = posted("large", &json!("x".repeat(20_000))).to_string();
    for (path, status) in [("/events/set", "DROP"), ("/events/aside", "SUCCESS")] {
        // With a length in the head, and without.
        let lines = [format!("Content-Length: {}", large.len()), "Transfer-Encoding: chunked".to_owned()];
        let bodies = [large.clone(), format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len())];
        for (number, (line, body)) in (1..).zip(lines.iter().zip(&bodies)) {
            let head =
                format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n__offset: {number}\r\n{line}\r\n\r\n");
            let answer = Answer::of_text(&exchange(&host.app, (head + body).as_bytes())?)?;
            assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(status)), "{answer:?}");
        }
    }
    let dropped = host.wait_for_log("the drop", |line| line["code"] == "event-unreadable").await?;
    assert!(message(&dropped).contains("max-body"), "{dropped}");
    for number in ["1", "2"] {
        let letter = letter(&host, |letter| letter["headers"]["__offset"] == number).await?;
        assert_eq!(
            (&letter["path"], &letter["topic"]),
            (&json!("/events/aside"), &json!("aside")),
            "{letter}"
        );
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("max-body")), "{letter}");
    }
    Ok(())
}

/// What refuses a letter for its size may look as if it were away.
#[tokio::test]
async fn an_event_whose_letter_fails_again_and_again_is_set_aside_without_it() -> anyhow::Result<()> {
    // The taker of the letters fails at each that has an event in it.
    let letters = subscription("letters", "Sink", "Fail")
        .replace("\"to\"", "\"topic\"")
        .replace("\"payload\"", "\"event\"");
    let logged = "log = \"letter: {}\"\n";
    let aside = subscription("aside", "Sink", "Fail");
    let more = "dead-letter = \"daca-pubsub/letters\"\nattempts = 3\n";
    let once = "[host]\neffect-attempts = 1\n";
    let host = Host::start(&[once, &manifest(""), &letters, logged, &aside, more].concat()).await?;
    let refused = json!({"to": "s", "payload": {"fault": "invalid", "message": "no use".repeat(10_000)}});
    // What an agent refuses is tried again in the host, and what has no payload by the broker.
    for (id, data, statuses) in
        [("refused", refused, &["SUCCESS"][..]), ("unreadable", json!({}), &["RETRY", "RETRY", "SUCCESS"])]
    {
        let mut event = posted(id, &Value::Null);
        (event["data"], event["fault"]) = (data, json!("failed"));
        for status in statuses {
            let answer = host.post("/events/aside", &event).await?;
            assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!(status)), "{answer:?}");
        }
        let letter = letter(&host, |letter| letter["event"].is_null() && letter["id"] == id).await?;
        assert_eq!(letter["source"], "test", "{letter}");
        let reason = letter["reason"].as_str().unwrap_or_default();
        assert!((10..5_000).contains(&reason.len()), "{letter}");
    }
    Ok(())
}

/// Each dead letter is an event that cannot be handled either: one small request must not end the host.
#[tokio::test]
async fn dead_letters_of_dead_letters_do_not_wait_for_one_another() -> anyhow::Result<()> {
    const LONG: usize = 150;
    let link = |number: usize| {
        let next = format!("dead-letter = \"daca-pubsub/t{}\"\n", number + 1);
        subscription(&format!("t{number}"), "Sink", "Echo") + &next
    };
    let chain = (0..LONG).map(link).collect::<String>();
    let last = LETTERS.replace("\"letters\"", &format!("\"t{LONG}\""));
    let host = Host::start(&[manifest(""), chain, last].concat()).await?;
    let answer = host.post("/events/t0", &json!({"data": {}})).await?;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("SUCCESS")), "{answer:?}");
    host.wait_for_log("the last letter", |line| message(line).starts_with("letter: ")).await?;
    assert_eq!(host.get("/healthz").await?.status.as_u16(), 200);
    Ok(())
}
