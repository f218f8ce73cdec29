//! The commands that change or show versions: what they ask the host for, and what they print of its answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use daca_tests::{run_in, run_with};
use tempfile::TempDir;

use super::{Refusal, assert_refused};

/// Answers one request with a status and a body, and gives the request back.
fn answers_once(
    status: u16,
    body: &'static str,
) -> anyhow::Result<(String, JoinHandle<std::io::Result<String>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let mut reader = BufReader::new(&stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") && reader.read_line(&mut request)? > 0 {}
        let length = request.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut sent = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut sent)?;
        request.push_str(&String::from_utf8_lossy(&sent));
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )?;
        Ok(request)
    });
    Ok((address, served))
}

/// What each command that changes or shows versions asks the host for, and what it prints of the answer.
#[tokio::test]
async fn commands_about_versions_ask_as_the_admin_api_wants_it() -> anyhow::Result<()> {
    const ANSWER: &str = r#"{"agent_type":"A","outcome":"deployed","version":"3f2a91bc0d1e4455","label":"3f2a91bc0d1e","share":100,"before":null,"revision":7,"milliseconds":{"check":140,"total":200}}"#;
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agent.wasm"), "not looked at here")?;
    std::fs::write(folder.path().join("agent.wasm.sig"), "c2lnbmF0dXJl\n")?;
    std::fs::write(folder.path().join("other.sig"), "b3RoZXI=\n")?;
    std::fs::write(folder.path().join("my agent.ts"), "nor here")?;
    let cases: [(&[&str], &str, &[&str]); 9] = [
        (
            &["deploy", "A", "agent.wasm", "--share", "10", "--label", "a b&c"],
            "PUT /agents/A/component?share=10&label=a%20b%26c HTTP/1.1",
            &["daca-signature: c2lnbmF0dXJl\r", "daca-by: someone@", "\r\n\r\nnot looked at here"],
        ),
        (
            &["deploy", "A", "agent.wasm", "--signature", "other.sig"],
            "PUT /agents/A/component HTTP/1.1",
            &["daca-signature: b3RoZXI=\r"],
        ),
        (
            &["deploy", "A", "./my agent.ts"],
            "PUT /agents/A/component?file=my%20agent%2Ets HTTP/1.1",
            &["\r\n\r\nnor here"],
        ),
        (
            &["deploy", "A", "3f2a91bc", "--share", "5"],
            "POST /agents/A/version HTTP/1.1",
            &["daca-by: someone@", r#"{"version":"3f2a91bc","share":5}"#],
        ),
        (&["rollback", "A", "--force"], "POST /agents/A/rollback HTTP/1.1", &[r#"{"force":true}"#]),
        (&["rollback", "A"], "POST /agents/A/rollback HTTP/1.1", &[r#"{"force":false}"#]),
        (&["pin", "A/x y", "3f2a91bc"], "PUT /agents/A/pins/x%20y HTTP/1.1", &[r#"{"version":"3f2a91bc"}"#]),
        (
            &["unpin", "A/x"],
            "DELETE /agents/A/pins/x HTTP/1.1",
            &["authorization: Bearer 0123456789abcdef\r"],
        ),
        (&["deploy", "A", "agent.wasm", "--json"], "PUT /agents/A/component HTTP/1.1", &[]),
    ];
    let variables = [("USER", "someone"), ("DACA_ADMIN_TOKEN", "0123456789abcdef")];
    for (arguments, line, parts) in cases {
        let (address, served) = answers_once(200, ANSWER)?;
        let ended = run_with(folder.path(), [arguments, &["--admin", &address]].concat(), &variables).await?;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let request = served.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
        assert_eq!(request.lines().next(), Some(line), "{arguments:?}");
        for part in parts {
            assert!(request.contains(part), "{arguments:?}: {part:?} is not in {request}");
        }
        let told = if arguments.contains(&"--json") { ANSWER } else { "serves, checked in 140 ms" };
        assert!(ended.stdout.ends_with(&format!("{told}\n")), "{arguments:?}: {}", ended.stdout);
    }

    let (address, served) = answers_once(200, r#"{"agents":[],"hosts":[]}"#)?;
    let ended = run_in(folder.path(), ["versions", "A", "--admin", &address]).await?;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    let request = served.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
    assert!(request.starts_with("GET /versions?type=A HTTP/1.1"), "{request}");
    Ok(())
}

#[tokio::test]
async fn commands_about_versions_say_why_not() -> anyhow::Result<()> {
    const REFUSAL: &str =
        r#"{"detail":"it is cut\u001b[2J short","code":"component-invalid","help":"build it again"}"#;
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agent.wasm"), "not looked at here")?;
    std::fs::write(folder.path().join("long.sig"), "x".repeat(2_000))?;
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let (refusing, _served) = answers_once(422, REFUSAL)?;
    let (strange, _served) = answers_once(200, "<html>")?;
    let [refusing, strange, closed] =
        [&refusing, &strange, &closed].map(|address| [("DACA_ADMIN", address.as_str())]);
    let cases: [Refusal; 9] = [
        (
            "a refusal with its help",
            &["deploy", "A", "agent.wasm"],
            &refusing,
            "component-invalid",
            &["it is cut\\u{1b}[2J short", "\n  help: build it again"],
        ),
        ("something else at the port", &["rollback", "A"], &strange, "answer-unreadable", &["--admin"]),
        ("no host", &["versions"], &closed, "host-unreachable", &["Connection refused"]),
        ("no such file", &["deploy", "A", "none.wasm"], &closed, "component-missing", &["none.wasm"]),
        ("a folder", &["deploy", "A", "."], &closed, "component-missing", &["Is a directory"]),
        (
            "no such signature",
            &["deploy", "A", "agent.wasm", "--signature", "none.sig"],
            &closed,
            "signature-unreadable",
            &["none.sig"],
        ),
        (
            "what is no signature",
            &["deploy", "A", "agent.wasm", "--signature", "long.sig"],
            &closed,
            "signature-unreadable",
            &["too large"],
        ),
        ("no digest", &["pin", "A/x", "newest"], &closed, "version-invalid", &["newest"]),
        ("no type", &["rollback", "../x"], &closed, "agent-type-unknown", &["../x"]),
    ];
    for (what, arguments, admin, code, words) in cases {
        let ended = run_with(folder.path(), arguments, admin).await?;
        assert_refused(what, &ended, code, words);
        assert_eq!(ended.stderr.matches("\n  help: ").count(), 1, "{what}: {}", ended.stderr);
    }
    Ok(())
}
