//! Who may use the operator's port: no page of somebody else, and with a token only who has it.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use daca_tests::{Answer, Host, default_manifest, exchange, run_in, run_with};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A page of somebody else in the operator's browser must not reach the port: it comes with an Origin, as a part of a page
/// of another site, or by a name that somebody made point here.
#[tokio::test]
async fn web_pages_cannot_reach_the_admin_port() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let post = "POST /actors/ChatAgent/victim/method/ProcessMessage";
    let body = r#"{"role": "user", "content": "Hi"}"#;
    for (line, headers, status) in [
        ("GET /health", "Host: localhost", 200),
        ("GET /health", "Host: localhost:8001", 200),
        ("GET /health", "Host: 127.0.0.1:8001", 200),
        ("GET /health", "Host: [::1]:8001", 200),
        ("GET /health", "Host: localhost\r\nSec-Fetch-Site: none", 200),
        ("GET /health", "Host: localhost\r\nSec-Fetch-Site: same-origin", 200),
        ("GET /health", "Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
        ("GET /logs?follow=true", "Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
        ("GET /health", "Host: localhost\r\nSec-Fetch-Site: same-site", 403),
        ("GET /health", "Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site", 403),
        (post, "Host: evil.example", 403),
        (post, "Host: evil.example:8001", 403),
        (post, "Host: localhost.evil.example", 403),
        (post, "Host: 127.0.0.1.evil.example", 403),
        (post, "Host: ", 403),
        (post, "Host: localhost\r\nOrigin: http://evil.example", 403),
        (post, "Host: localhost\r\nOrigin: http://localhost:8001", 403),
        (post, "Host: localhost\r\nOrigin: null", 403),
        ("OPTIONS /health", "Host: localhost\r\nOrigin: http://evil.example", 403),
    ] {
        let head =
            format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {}", body.len());
        let answer = Answer::of_text(&exchange(&host.admin, format!("{head}\r\n\r\n{body}").as_bytes())?)?;
        assert_eq!(answer.status.as_u16(), status, "{line}, {headers}: {answer:?}");
        if status == 403 {
            assert_eq!(answer.code.as_deref(), Some("origin-refused"), "{line}, {headers}");
        }
    }
    assert_eq!(host.get("/chat/victim/history").await?.body, json!({"history": []}));
    // Without the header, as HTTP/1.0 allows, nobody can be told from a page either.
    let old = exchange(&host.admin, b"GET /health HTTP/1.0\r\n\r\n")?;
    assert!(old.contains(" 403 "), "{old}");
    Ok(())
}

/// The token of the hosts below.
const TOKEN: &str = "a-token-of-tests-that-nobody-guesses";

/// An answer to a request as it stands, with headers.
fn ask(host: &Host, line: &str, headers: &str, body: &str) -> anyhow::Result<Answer> {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}");
    Answer::of_text(&exchange(&host.admin, format!("{head}\r\n\r\n{body}").as_bytes())?)
}

/// Whoever has not the token learns nothing and does nothing, on loopback, too.
#[tokio::test]
async fn with_a_token_everybody_is_asked_for_it() -> anyhow::Result<()> {
    let host = {
        let folder = Arc::new(TempDir::new()?);
        Host::start_with(folder, &default_manifest(), &[("DACA_ADMIN_TOKEN", TOKEN)]).await?
    };
    let post = "POST /actors/ChatAgent/victim/method/ProcessMessage";
    let body = r#"{"role": "user", "content": "Hi"}"#;
    let longer = format!("{TOKEN}x");
    let (wrong, right) =
        (TOKEN.to_uppercase(), format!("Host: daca.svc.cluster.local\r\nAuthorization: Bearer {TOKEN}"));
    for line in ["GET /", "GET /health", "GET /logs", "GET /nothing", "DELETE /agents", post] {
        for headers in [
            "Host: localhost".to_owned(),
            format!("Host: localhost\r\nAuthorization: Bearer {wrong}"),
            format!("Host: localhost\r\nAuthorization: Bearer {longer}"),
            format!("Host: localhost\r\nAuthorization: Bearer {}", &TOKEN[..TOKEN.len() - 1]),
            format!("Host: localhost\r\nAuthorization: Basic {TOKEN}"),
            format!("Host: localhost\r\nAuthorization: {TOKEN}"),
            "Host: localhost\r\nAuthorization: Bearer ".to_owned(),
            format!("Host: localhost\r\nX-Authorization: Bearer {TOKEN}"),
        ] {
            let answer = ask(&host, line, &headers, body)?;
            let told = answer.outcome();
            assert_eq!(told, (401, Some("admin-unauthorized")), "{line}, {headers}");
        }
    }
    // A cluster calls the host by a name of its own; a page of somebody else stays out even so.
    assert_eq!(ask(&host, "GET /health", &right, "")?.status, 200);
    let page = ask(&host, post, &format!("{right}\r\nOrigin: http://evil.example"), body)?;
    assert_eq!(page.outcome(), (403, Some("origin-refused")));
    assert_eq!(host.get("/chat/victim/history").await?.body, json!({"history": []}));
    assert_eq!(ask(&host, post, &right, body)?.status, 200);
    let head = exchange(&host.admin, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    assert!(head.to_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{head}");

    // The body is not waited for: it may be as long as the sender says, and never come.
    let unread =
        format!("{post} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\nConnection: close\r\n\r\n");
    assert!(exchange(&host.admin, unread.as_bytes())?.starts_with("HTTP/1.1 401 "));
    let log = host.log().iter().map(Value::to_string).collect::<String>();
    assert!(!log.contains(TOKEN) && !log.contains(&wrong), "{log}");
    Ok(())
}

#[tokio::test]
async fn commands_find_the_token_where_the_host_does() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{TOKEN}\n"))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))?;
    // The file wins, and others may read it, which is said.
    let variables = [("DACA_ADMIN_TOKEN", "another-token-of-tests-0123")];
    let host = Host::start_with_options(
        folder.clone(),
        &default_manifest(),
        &variables,
        &["--admin", "0.0.0.0:0", "--admin-token-file", &file.display().to_string()],
    )
    .await?;
    host.wait_for_log("the exposed file", |line| line["code"] == "admin-token-exposed").await?;
    let port = host.admin.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
    let address = format!("127.0.0.1:{port}");
    let ps = ["ps", "--admin", &address];

    let ended = run_in(folder.path(), ps).await?;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.starts_with("error[admin-unauthorized]: 401: "), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("\n  help: give the host's own token with --admin-token-file"),
        "{}",
        ended.stderr
    );
    for (what, arguments, variables) in [
        ("the file", [&ps[..], &["--admin-token-file", "token"]].concat(), vec![("DACA_ADMIN_TOKEN", "x")]),
        ("the variables", vec!["ps"], vec![("DACA_ADMIN_TOKEN", TOKEN), ("DACA_ADMIN", &address)]),
    ] {
        let ended = run_with(folder.path(), arguments, &variables).await?;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{what}");
        assert!(ended.stdout.starts_with("TYPE       VERSION       LABEL"), "{what}: {}", ended.stdout);
    }
    daca_tests::make_pipe(&folder.path().join("pipe"))?;
    for (file, token, code) in [
        ("token", "secret-7f3a", "admin-token-invalid"),
        ("token", "", "admin-token-invalid"),
        ("token", "\0\u{1}\u{2}\u{3}", "admin-token-unreadable"),
        ("nothing", "", "admin-token-unreadable"),
        ("pipe", "", "admin-token-unreadable"),
    ] {
        std::fs::write(folder.path().join("token"), token)?;
        for command in ["ps", "run"] {
            let ended = run_in(folder.path(), [command, "--admin-token-file", file]).await?;
            assert_eq!(ended.code, Some(1), "{command} {file} {token:?}");
            assert!(ended.stderr.contains(&format!("error[{code}]: ")), "{}", ended.stderr);
            assert!(token.is_empty() || !ended.stderr.contains(token), "{}", ended.stderr);
        }
    }
    Ok(())
}
