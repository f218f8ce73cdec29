//! Requests that no client should send: each gets a clear error with a code, and nothing is lost.

use daca_tests::{Answer, Host, default_manifest, eventually, exchange};
use reqwest::Method;
use serde_json::{Value, json};

/// A host with a history that must survive whatever is done to it.
struct Witnessed {
    host: Host,
    history: Value,
}

impl Witnessed {
    async fn start() -> anyhow::Result<Witnessed> {
        let host = Host::start(&default_manifest()).await?;
        host.post("/chat/witness", &json!({"role": "user", "content": "Hi"})).await?;
        let history = host.get("/chat/witness/history").await?.body;
        assert_eq!(history["history"].as_array().map(Vec::len), Some(2));
        Ok(Witnessed { host, history })
    }

    async fn assert_unharmed(&self, after: &str) -> anyhow::Result<()> {
        let answer = self.host.get("/chat/witness/history").await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &self.history), "after {after}");
        Ok(())
    }
}

/// The status, the code in its header, the same code in the body where the host itself speaks, and a word of the text.
fn assert_refused(what: &str, answer: &Answer, status: u16, code: &str, word: &str) {
    assert_eq!(answer.outcome(), (status, Some(code)), "{what}: {answer:?}");
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(word), "{what}: {detail:?} does not say {word:?}");
    if !matches!(code, "invalid" | "not-found" | "failed") {
        assert_eq!(answer.body["code"], code, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let content = "Invalid or missing 'content' field";
    let cases = [
        ("nothing", Vec::new(), "body-not-json", "not JSON"),
        ("text", b"Hello".to_vec(), "body-not-json", "not JSON"),
        ("half of it", br#"{"role": "user", "con"#.to_vec(), "body-not-json", "not JSON"),
        ("two documents", br#"{"role": "user", "content": "a"} {}"#.to_vec(), "body-not-json", "trailing"),
        (
            "bytes that are no UTF-8",
            b"{\"role\": \"user\", \"content\": \"\xff\"}".to_vec(),
            "body-not-json",
            "UTF-8",
        ),
        ("half a surrogate pair", br#"{"role": "user", "content": "\ud800"}"#.to_vec(), "invalid", content),
        ("a form", b"role=user&content=Hi".to_vec(), "body-not-json", "not JSON"),
        ("a number", b"5".to_vec(), "invalid", content),
        ("a list of messages", br#"[{"role": "user", "content": "a"}]"#.to_vec(), "invalid", content),
        (
            "the message in a string",
            br#""{\"role\": \"user\", \"content\": \"a\"}""#.to_vec(),
            "invalid",
            content,
        ),
        ("100,000 brackets", b"[".repeat(100_000), "body-not-json", "not JSON"),
        (
            "a list in a list, 100,000 deep",
            [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
            "body-too-deep",
            "128",
        ),
        (
            "UTF-16",
            "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "body-not-json",
            "UTF-16",
        ),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "body-not-json", "gzip"),
    ];
    for (what, body, code, word) in cases {
        let answer = witnessed.host.send(Method::POST, "/chat/witness", body).await?;
        assert_refused(what, &answer, 400, code, word);
        witnessed.assert_unharmed(what).await?;
    }
    Ok(())
}

/// A mark of UTF-8 harms nobody, `null` is no actor id, and a compressed body is not taken for broken JSON.
#[tokio::test]
async fn encodings_and_null_are_what_they_are() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let message = json!({"role": "user", "content": "Hi"});
    let marked = format!("\u{feff}{message}");
    assert_eq!(host.send(Method::POST, "/chat/marked", marked).await?.status, 200);
    let for_nobody = json!({"actor_id": null, "message": message});
    assert_eq!(host.post("/receive-message", &for_nobody).await?.status, 200);
    let history = host.get("/chat/unknown/history").await?.body;
    assert_eq!(history["history"].as_array().map(Vec::len), Some(2), "the default id is used: {history}");

    for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 200)] {
        for path in ["/chat/a", "/receive-message"] {
            let body = json!({"role": "user", "content": "Hi", "message": message}).to_string();
            let answer = host.send_with(Method::POST, path, body, &[("content-encoding", encoding)]).await?;
            assert_eq!(answer.status, status, "{encoding} to {path}: {answer:?}");
            let code = (status == 415).then_some("body-encoding-unsupported");
            assert_eq!(answer.code.as_deref(), code);
        }
    }
    let event = json!({"data": null, "data_base64": "eyJhY3Rvcl9pZCI6ImIifQ=="}).to_string();
    let answer = host.send(Method::POST, "/subscribe", event.clone()).await?;
    assert_eq!(answer.body["status"], "SUCCESS");
    let answer = host.send_with(Method::POST, "/subscribe", event, &[("content-encoding", "gzip")]).await?;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("DROP")));
    let line = host.wait_for_log("the reason", |line| line["code"] == "event-unreadable").await?;
    assert!(daca_tests::message(&line).contains("gzip"), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_body_of_5_mb_is_refused_and_one_of_100_kb_is_not() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let message = |bytes: usize| json!({"role": "user", "content": "a".repeat(bytes)}).to_string();
    for path in ["/chat/witness", "/receive-message"] {
        let answer = witnessed.host.send(Method::POST, path, message(5_000_000)).await?;
        assert_refused(path, &answer, 413, "body-too-large", "max-body");
        witnessed.assert_unharmed(path).await?;
    }
    // What the host lets pass is refused by the agent, and does not exhaust its memory.
    let answer = witnessed.host.send(Method::POST, "/chat/witness", message(4_100_000)).await?;
    assert_eq!((answer.status.as_u16(), answer.code.as_deref()), (400, Some("invalid")), "{answer:?}");
    assert!(
        answer.body["detail"].as_str().is_some_and(|detail| detail.contains("are the most")),
        "{answer:?}"
    );
    // Without a length in the head, the limit is found while reading.
    let piece = format!("f4240\r\n{}\r\n", "a".repeat(1_000_000)).repeat(5);
    let head = "POST /chat/witness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    // The host reads what it does not want, so that the answer is not lost.
    let text = exchange(&witnessed.host.app, format!("{head}{piece}0\r\n\r\n").as_bytes())?;
    assert_refused("chunked", &Answer::of_text(&text)?, 413, "body-too-large", "max-body");
    witnessed.assert_unharmed("chunked").await?;
    let answer = witnessed.host.send(Method::POST, "/chat/large", message(100_000)).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn odd_actor_ids_are_served_or_refused_and_never_mixed() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let host = &witnessed.host;
    let message = |content: &str| json!({"role": "user", "content": content}).to_string();

    let longest = "x".repeat(256);
    let served = [
        "a%20b",
        "a%2520b",
        "%C3%BC%20%E6%BC%A2%F0%9F%98%80",
        "a%",
        "a|b",
        "...",
        "a:b@c,d;e=f&g+h",
        &longest,
    ];
    for id in served {
        let answer = host.send_raw("POST", &format!("/chat/{id}"), &message(id))?;
        assert_eq!(answer.status, 200, "{id}: {answer:?}");
    }
    for id in served {
        let history = host.send_raw("GET", &format!("/chat/{id}/history"), "")?.body;
        assert_eq!(history["history"][0]["content"], id);
        assert_eq!(history["history"].as_array().map(Vec::len), Some(2), "{id}");
    }

    let (too_long, far_too_long) = ("x".repeat(257), "x".repeat(300));
    // 86 characters of three bytes each: the bound counts bytes.
    let too_wide = "%E6%BC%A2".repeat(86);
    let refused = [
        ("a%2Fb", 400, "actor-id-invalid", "'/'"),
        ("a%5Cb", 400, "actor-id-invalid", "character"),
        ("a%3Fb", 400, "actor-id-invalid", "'?'"),
        ("a%23b", 400, "actor-id-invalid", "'#'"),
        ("a%00b", 400, "actor-id-invalid", "character"),
        ("a%0D%0Ab", 400, "actor-id-invalid", "character"),
        ("%FF", 400, "path-invalid", "UTF-8"),
        (&too_long, 400, "actor-id-invalid", "the maximum is 256"),
        (&far_too_long, 400, "actor-id-invalid", "300 bytes"),
        (&too_wide, 400, "actor-id-invalid", "258 bytes"),
        (".", 400, "actor-id-invalid", "dot"),
        ("..", 400, "actor-id-invalid", "dot"),
        ("%2e", 400, "actor-id-invalid", "dot"),
        ("%2E%2e", 400, "actor-id-invalid", "dot"),
        ("a%7C%7Cb", 400, "actor-id-invalid", "||"),
        ("a||b", 400, "actor-id-invalid", "||"),
        ("a|", 400, "actor-id-invalid", "||"),
        ("", 404, "route-unknown", "An actor id cannot be empty"),
    ];
    for (id, status, code, word) in refused {
        let answer = host.send_raw("POST", &format!("/chat/{id}"), &message("Hi"))?;
        assert_refused(id, &answer, status, code, word);
        witnessed.assert_unharmed(id).await?;
    }
    let answer = host.send_raw("GET", "/chat//history", "")?;
    assert_refused("an empty id in the middle", &answer, 400, "actor-id-invalid", "empty");
    Ok(())
}

#[tokio::test]
async fn what_is_unknown_is_named_in_the_answer() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let host = &witnessed.host;
    for (method, path, status, code, word) in [
        ("GET", "/", 404, "route-unknown", "POST /chat/{actor_id}"),
        ("GET", "/nowhere", 404, "route-unknown", "GET /nowhere"),
        ("POST", "/chat/user1/history/more", 404, "route-unknown", "/chat/user1/history/more"),
        ("POST", "/chat/../../etc/passwd", 404, "route-unknown", "The routes are:"),
        ("GET", "/chat/user1/", 404, "route-unknown", "empty"),
        ("GET", "/chat/user1", 405, "method-not-allowed", "GET"),
        ("DELETE", "/chat/user1/history", 405, "method-not-allowed", "DELETE"),
        ("GET", "/subscribe", 405, "method-not-allowed", "GET"),
        ("BREW", "/receive-message", 405, "method-not-allowed", "BREW"),
    ] {
        let answer = host.send_raw(method, path, "")?;
        assert_refused(path, &answer, status, code, word);
        witnessed.assert_unharmed(path).await?;
    }
    for (path, allowed) in
        [("/chat/user1", "POST"), ("/receive-message", "POST"), ("/chat/user1/history", "GET")]
    {
        let head = format!("DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let text = exchange(&host.app, head.as_bytes())?;
        let allow = text.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
        assert!(allow.split(',').any(|method| method == allowed), "{path}: {text}");
    }
    let payload = json!({});
    for (actor, method, code, word) in [
        ("Nobody/user1", "ProcessMessage", "agent-type-unknown", "\"Nobody\""),
        ("Chat%20Agent/user1", "ProcessMessage", "agent-type-unknown", "\"Chat Agent\""),
        ("chatagent/user1", "ProcessMessage", "agent-type-unknown", "\"chatagent\""),
        ("ChatAgent/user1", "Explode", "not-found", "ProcessMessage, GetConversationHistory"),
        ("ChatAgent/user1", "process_message", "not-found", "`process_message`"),
    ] {
        let answer = host.invoke(actor, method, &payload).await?;
        assert_refused(&format!("{actor} {method}"), &answer, 404, code, word);
        witnessed.assert_unharmed(method).await?;
    }
    Ok(())
}

/// Every error of the admin port has the same form as those of the application's port.
#[tokio::test]
async fn the_admin_port_refuses_in_the_same_form() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let send = |method: &str, path: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        Answer::of_text(&exchange(&witnessed.host.admin, head.as_bytes())?)
    };
    for (method, path, status, code, word) in [
        ("GET", "/nowhere", 404, "route-unknown", "GET /"),
        ("POST", "/actors/ChatAgent//method/ProcessMessage", 400, "actor-id-invalid", "empty"),
        ("POST", "/actors/ChatAgent/a%2Fb/method/ProcessMessage", 400, "actor-id-invalid", "'/'"),
        ("POST", "/actors/ChatAgent/../method/ProcessMessage", 400, "actor-id-invalid", "dot"),
        ("POST", "/actors/ChatAgent/%FF/method/ProcessMessage", 400, "path-invalid", "UTF-8"),
        ("GET", "/actors/ChatAgent/user1/method/ProcessMessage", 405, "method-not-allowed", "GET"),
        ("DELETE", "/outbox", 405, "method-not-allowed", "DELETE"),
        ("GET", "/outbox?limit=many", 400, "query-invalid", "limit"),
        ("GET", "/effects?limit=0", 400, "query-invalid", "\"limit\""),
        ("GET", "/effects/ChatAgent?limit=1001", 400, "query-invalid", "\"limit\""),
        ("GET", "/effects/ChatAgent/a?payload=true&limit=101", 400, "query-invalid", "\"limit\""),
        ("GET", "/effects?after=X/%ff", 400, "query-invalid", "\"after\""),
        ("GET", "/activations?limit=1&limit=1", 400, "query-invalid", "\"limit\""),
        ("GET", "/health?verbose=true", 400, "query-invalid", "\"verbose\""),
        ("GET", "/top?by=name", 400, "query-invalid", "log-bytes"),
        ("GET", "/top?type=Nobody", 404, "agent-type-unknown", "Nobody"),
        ("POST", "/actors/ChatAgent/user1/method/ProcessMessage?id=b", 400, "query-invalid", "\"id\""),
    ] {
        assert_refused(path, &send(method, path)?, status, code, word);
        witnessed.assert_unharmed(path).await?;
    }
    Ok(())
}

#[tokio::test]
async fn broken_http_harms_nobody() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let app = &witnessed.host.app;
    let post = "POST /chat/witness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let large = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(1_000_000));
    for (what, request, statuses) in [
        ("garbage", "\u{1}\u{2}\u{3} garbage\r\n\r\n".to_owned(), ["400", "400"]),
        ("no HTTP version", "GET /\r\n\r\n".into(), ["400", "400"]),
        ("a negative length", format!("{post}Content-Length: -1\r\n\r\n"), ["400", "400"]),
        ("two lengths", format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), ["400", "400"]),
        (
            "a chunk without a size",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
            ["400", "400"],
        ),
        (
            "a coding that nobody decodes",
            format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"),
            ["501", "501"],
        ),
        ("a head of a megabyte", large, ["431", "400"]),
    ] {
        // A host that hangs up at once is right as well.
        if let Ok(text) = exchange(app, request.as_bytes())
            && !text.is_empty()
        {
            let status = text.split(' ').nth(1).unwrap_or_default();
            assert!(statuses.contains(&status), "{what}: {text}");
        }
        witnessed.assert_unharmed(what).await?;
    }
    // A client that promises more than it sends, and goes away.
    for sent in ["", r#"{"role": "user", "#, r#"{"role": "user", "content": "Hi"}"#] {
        let mut stream = std::net::TcpStream::connect(app.trim_start_matches("http://"))?;
        let request = format!("{post}Content-Length: 1000\r\n\r\n{sent}");
        std::io::Write::write_all(&mut stream, request.as_bytes())?;
        drop(stream);
        witnessed.assert_unharmed("a connection that was closed within a body").await?;
    }
    // None of them is left behind as a call that waits.
    eventually("no turn is in flight", async || {
        Ok(witnessed.host.get_admin("/health").await?.body["turns_in_flight"] == 0)
    })
    .await?;
    let log = witnessed.host.log();
    assert!(!log.iter().any(|line| line["code"] == "internal"), "{log:#?}");
    Ok(())
}

/// A client that is slow holds up nobody else.
#[tokio::test]
async fn slow_clients_hold_up_nobody() -> anyhow::Result<()> {
    let witnessed = Witnessed::start().await?;
    let address = witnessed.host.app.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for part in [
        "POST /chat/witness HT",
        "POST /chat/witness HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ] {
        for _ in 0..100 {
            let mut stream = std::net::TcpStream::connect(&address)?;
            std::io::Write::write_all(&mut stream, part.as_bytes())?;
            slow.push(stream);
        }
    }
    witnessed.assert_unharmed("200 slow clients").await?;
    assert_eq!(witnessed.host.get_admin("/health").await?.body["status"], "ready");
    Ok(())
}
