//! The heads of requests: what is larger than people need is refused in the host's form, and what a broker's message may have
//! arrives.

use daca_tests::{Answer, Host, default_manifest, exchange};

/// A request with so many header lines of so many bytes each.
fn request(path: &str, lines: usize, bytes: usize, more: &str, body: &str) -> String {
    let lines = (0..lines).map(|n| format!("h{n}: {}\r\n", "x".repeat(bytes))).collect::<String>();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}{more}\r\n{body}"
    )
}

fn code(answer: &Answer) -> (u16, Option<&str>) {
    assert_eq!(answer.body["code"].as_str(), answer.code.as_deref(), "{answer:?}");
    answer.outcome()
}

#[tokio::test]
async fn a_head_that_nobody_needs_is_refused_with_a_code() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let send = |request: &str| Answer::of_text(&exchange(&host.app, request.as_bytes())?);
    let message = r#"{"role": "user", "content": "Hi"}"#;
    let long_path = format!("/chat/{}", "x".repeat(65_000));
    for (what, request, expected) in [
        ("101 lines", request("/chat/a", 101, 10, "", message), (200, None)),
        ("300 lines", request("/chat/b", 300, 10, "", message), (431, Some("head-too-large"))),
        ("600 KB in a line", request("/chat/b", 1, 600_000, "", message), (431, Some("head-too-large"))),
        ("7,500 lines", request("/chat/b", 7_500, 100, "", message), (431, Some("head-too-large"))),
        ("12,000 lines", request("/chat/b", 12_000, 10, "", message), (431, Some("head-too-large"))),
        ("6 MB in a line", request("/chat/b", 1, 6_000_000, "", message), (431, Some("head-too-large"))),
        (
            "a name of 20 KB",
            request("/chat/b", 0, 0, &format!("{}: x\r\n", "n".repeat(20_000)), message),
            (431, Some("head-too-large")),
        ),
        ("a path of 65 KB", request(&long_path, 4, 1_000, "", message), (431, Some("head-too-large"))),
        (
            "no host",
            request("/chat/b", 0, 0, "", message).replace("Host: localhost\r\n", ""),
            (400, Some("host-invalid")),
        ),
        ("two hosts", request("/chat/b", 0, 0, "Host: other\r\n", message), (400, Some("host-invalid"))),
        (
            "HTTP/1.0 without a host",
            request("/chat/c", 0, 0, "", message)
                .replace("Host: localhost\r\n", "")
                .replace("HTTP/1.1", "HTTP/1.0"),
            (200, None),
        ),
        // A sidecar brings an event with the headers of its broker.
        (
            "an event",
            request("/subscribe", 300, 10, "", r#"{"data": {"user_id": "c", "content": "Hi"}}"#),
            (200, None),
        ),
    ] {
        assert_eq!(code(&send(&request)?), expected, "{what}");
    }
    let text = exchange(&host.admin, request("/actors/ChatAgent/b/method/M", 300, 10, "", "").as_bytes())?;
    assert_eq!(code(&Answer::of_text(&text)?), (431, Some("head-too-large")));
    let line = host.wait_for_log("the refusal", |line| line["code"] == "head-too-large").await?;
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    // None of those that were refused was called.
    assert_eq!(host.get_admin("/activations").await?.body.to_string().matches("\"b\"").count(), 0);
    Ok(())
}

/// Two readers of such a head may find the end of its body in two places (RFC 9112, section 6.1).
#[tokio::test]
async fn a_body_with_an_uncertain_end_is_refused_and_the_connection_closed() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let two = (400, Some("request-unreadable"));
    let foreign = (501, Some("transfer-encoding-unsupported"));
    for (lines, expected) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", two),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", two),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", two),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", two),
        ("Content-Length: 5, 5\r\n", two),
        ("Transfer-Encoding: gzip\r\n", foreign),
        ("Transfer-Encoding: , chunked\r\n", foreign),
    ] {
        // The text comes back once the host has closed the connection.
        let head = format!("POST /chat/a HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        let answer = Answer::of_text(&exchange(&host.app, head.as_bytes())?)?;
        assert_eq!(code(&answer), expected, "{lines:?}");
    }
    Ok(())
}

/// hyper would take each of these heads, and the one that is smuggled behind it as well.
#[tokio::test]
async fn no_form_of_a_head_leads_another_one_past_the_host() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let bad = "POST /chat/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for head in [
        bad.to_owned(),
        format!("\r\n{bad}"),
        format!("\n\r\n{bad}"),
        format!("{}{bad}", "\r\n".repeat(100)),
        bad.replacen("\r\n", "\n", 1),
        bad.replace("localhost\r\n", "localhost\n"),
        bad.replace("chunked\r\n\r\n", "chunked\r\n\n"),
        bad.replacen("\r\n", "\n", 5),
        bad.replace("Transfer-Encoding: chunked", "Content-Length: 4"),
        bad.replace("chunked", ", chunked"),
    ] {
        let text = exchange(&host.app, format!("{head}{smuggled}").as_bytes())?;
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head:?}: {text}");
        assert_eq!(text.matches("\r\ndaca-error: ").count(), 1, "{head:?}: {text}");
        assert_eq!(code(&Answer::of_text(&text)?), (400, Some("request-unreadable")), "{head:?}");
    }
    // Some old clients send an empty line behind a body.
    let text = exchange(&host.app, format!("\r\n{smuggled}\r\n{bad}{smuggled}").as_bytes())?;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{text}");
    assert_eq!(text.matches("\r\ndaca-error: request-unreadable\r\n").count(), 1, "{text}");
    Ok(())
}

/// Behind what a body may have besides its bytes, too.
#[tokio::test]
async fn a_bad_head_is_refused_behind_a_body_in_any_form_that_is_taken() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let first = "POST /chat/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let message = r#"{"role": "user", "content": "Hi"}"#;
    let length = message.len();
    let second = first.replace("Transfer-", "Content-Length: 5\r\nTransfer-");
    for body in [
        format!("{length:x};a=\"b\"\r\n{message}\r\n0 ; c\r\nx: y\r\nz: y\r\n\r\n"),
        format!("{length:020x}\r\n{message}\r\n0\r\n\r\n"),
    ] {
        let text = exchange(&host.app, format!("{first}{body}{second}").as_bytes())?;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("Got your message: Hi"), "{text}");
        assert_eq!(text.matches("\r\ndaca-error: request-unreadable\r\n").count(), 1, "{body:?}: {text}");
        assert!(text.contains("\"code\":\"request-unreadable\""), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn http_2_is_answered_that_it_is_not_spoken() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    for port in [&host.app, &host.admin] {
        let answer = Answer::of_text(&exchange(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?)?;
        assert_eq!(code(&answer), (505, Some("request-unreadable")));
        assert!(answer.detail().contains("HTTP/1.1"), "{answer:?}");
    }
    let line = host.wait_for_log("the refusal", |line| line["code"] == "request-unreadable").await?;
    assert_eq!(line["answered"], "request-unreadable", "{line}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_parsed_is_logged_with_its_peer() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    for _ in 0..20 {
        // A host that hangs up while a request is still being sent is right, too.
        let _ = exchange(&host.app, request(&format!("/{}", "x".repeat(70_000)), 1, 1, "", "").as_bytes());
    }
    let line = host.wait_for_log("the refusal", |line| line["code"] == "request-unreadable").await?;
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    assert_eq!(line["answered"], "head-too-large", "{line}");
    assert_eq!(host.get("/healthz").await?.status, 200);
    let answer = Answer::of_text(&exchange(&host.app, b"no HTTP\r\n\r\n")?)?;
    assert_eq!(code(&answer), (400, Some("request-unreadable")));
    Ok(())
}

/// hyper refuses such a length as if the head were too large, or no HTTP.
#[tokio::test]
async fn a_length_that_no_body_has_is_that_of_a_body_that_is_too_large() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    for length in [
        "9999999999999999",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000000000",
    ] {
        let request = request("/chat/b", 0, 0, "", "");
        let request = request.replace("Content-Length: 0", &format!("Content-Length: {length}"));
        let answer = Answer::of_text(&exchange(&host.app, request.as_bytes())?)?;
        assert_eq!(code(&answer), (413, Some("body-too-large")), "{length}");
    }
    Ok(())
}

/// Who sends them is only known by a token, and this host has none.
#[tokio::test]
async fn nobody_escapes_a_rate_by_the_headers_of_a_message() -> anyhow::Result<()> {
    let log = "log = \"Received Kafka message: {}\"\n";
    let manifest = default_manifest();
    assert!(manifest.contains(log));
    let rate = format!("{log}rate = \"2/h\"\nrate-by = \"peer\"\n");
    let host = Host::start_without_sidecar(&manifest.replace(log, &rate)).await?;
    let place = "__topic: user-messages\r\n__partition: 0\r\n__offset: 7\r\n";
    for expected in
        [(503, Some("set-aside-failed")), (503, Some("set-aside-failed")), (429, Some("rate-exceeded"))]
    {
        let text = exchange(&host.app, request("/receive-message", 0, 0, place, "no JSON").as_bytes())?;
        assert_eq!(code(&Answer::of_text(&text)?), expected);
    }
    Ok(())
}

/// The sidecar makes headers of those of a Kafka message, and sends a message that is refused again without end.
#[tokio::test]
async fn a_message_of_a_binding_arrives_whatever_its_headers_are() -> anyhow::Result<()> {
    let host = Host::start_without_sidecar(&default_manifest()).await?;
    let place = "__topic: user-messages\r\n__partition: 0\r\n__offset: 7\r\n";
    for (what, lines, bytes) in [
        ("few", 3, 10),
        ("150", 150, 20),
        ("7,500", 7_500, 100),
        ("one of 600 KB", 1, 600_000),
        ("3 MB", 3, 1_000_000),
    ] {
        let text =
            exchange(&host.app, request("/receive-message", lines, bytes, place, "no JSON").as_bytes())?;
        // It came as far as the dead-letter topic, which is away with the sidecar.
        assert_eq!(code(&Answer::of_text(&text)?), (503, Some("set-aside-failed")), "{what}");
    }
    let message = r#"{"actor_id": "a", "message": {"role": "user", "content": "Hi"}}"#;
    let send = |lines, bytes| {
        let text = exchange(&host.app, request("/receive-message", lines, bytes, place, message).as_bytes())?;
        anyhow::Ok(code(&Answer::of_text(&text)?).1.map(str::to_owned))
    };
    assert_ne!(send(150, 20)?.as_deref(), Some("set-aside-failed"), "it is handled");
    // Nobody knows what the lines said that were not read.
    for (lines, bytes) in [(12_000, 20), (1, 6_000_000), (8, 1_000_000), (100, 60_000)] {
        assert_eq!(send(lines, bytes)?.as_deref(), Some("set-aside-failed"), "{lines} lines of {bytes}");
    }
    // One after the other on a connection, with bodies in chunks.
    let chunked = |close: &str| {
        let text = request("/receive-message", 12_000, 20, place, "");
        let text = text.replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let chunk = format!("{:x}\r\n{message}\r\n0\r\n\r\n", message.len());
        format!("{}{chunk}", text.replace("Connection: close\r\n", close))
    };
    let three = format!("{0}{0}{1}", chunked(""), chunked("Connection: close\r\n"));
    let text = exchange(&host.app, three.as_bytes())?;
    assert_eq!(text.matches("daca-error: set-aside-failed").count(), 3, "{text}");
    // What only looks like the path of a binding has the bounds of people.
    let text = exchange(&host.app, request("/receive-message", 300, 10, "", "no JSON").as_bytes())?;
    assert_eq!(code(&Answer::of_text(&text)?), (431, Some("head-too-large")));
    Ok(())
}
