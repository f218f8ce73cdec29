//! Connections and bodies: who is slow, or takes more than there is, harms nobody else.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use daca_tests::{Answer, Host, TIMEOUT, default_manifest, eventually, exchange, exerciser, manifest_of};
use serde_json::json;

const MESSAGE: &str = r#"{"role": "user", "content": "Hi"}"#;

/// A client that sends bytes as it likes.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn connect(url: &str) -> anyhow::Result<Raw> {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Raw(BufReader::new(stream)))
    }

    fn send(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.0.get_mut().write_all(text.as_bytes())?)
    }

    /// The status of an answer whose connection stays open.
    fn status(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let mut status = String::new();
        let mut length = 0;
        while self.0.read_line(&mut line)? > 2 {
            if status.is_empty() {
                line.clone_into(&mut status);
            }
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.trim().parse()?;
            }
            line.clear();
        }
        self.0.read_exact(&mut vec![0; length])?;
        Ok(status.split(' ').nth(1).unwrap_or_default().to_owned())
    }

    /// All that comes until the connection is closed.
    fn rest(mut self) -> anyhow::Result<String> {
        let mut text = Vec::new();
        self.0.read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Begins a request, and waits until the host asks for its body: then it is being handled.
    fn begin_body(&mut self, path: &str, length: usize) -> anyhow::Result<()> {
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ))?;
        anyhow::ensure!(self.status()? == "100");
        Ok(())
    }
}

fn refused(text: &str) -> anyhow::Result<(u16, Option<String>)> {
    let answer = Answer::of_text(text)?;
    assert_eq!(answer.body["code"].as_str(), answer.code.as_deref(), "{answer:?}");
    Ok((answer.status.as_u16(), answer.code))
}

fn with_host(settings: &str) -> String {
    format!("[host]\n{settings}\n{}", default_manifest())
}

/// A host whose calls of `/sleep` last.
fn sleeps(settings: &str) -> String {
    exerciser(&format!(
        "limits = {{ turn-time = \"10m\" }}
[host]
{settings}
[[routes]]
method = \"POST\"
path = \"/sleep/{{id}}\"
agent = \"Exerciser\"
call = \"Sleep\"
actor-id = {{ path = \"id\" }}"
    ))
}

/// Begins a call that lasts longer than the test. It ends when this is dropped.
fn sleep(host: &Host, more: &str) -> anyhow::Result<Raw> {
    let body = json!({ "ms": 590_000, "more": more }).to_string();
    let mut raw = Raw::connect(&host.app)?;
    let length = body.len();
    raw.send(&format!(
        "POST /sleep/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    ))?;
    Ok(raw)
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_refused() -> anyhow::Result<()> {
    for settings in ["body-time = \"300ms\"", "least-body-rate = \"1MiB\""] {
        let host = Host::start(&with_host(settings)).await?;
        // An event may come faster the next time, so it is no more dropped than taken.
        for path in ["/chat/a", "/subscribe"] {
            let mut slow = Raw::connect(&host.app)?;
            slow.begin_body(path, 1_000)?;
            assert_eq!(refused(&slow.rest()?)?, (408, Some("body-too-slow".into())), "{settings} {path}");
        }
        assert_eq!(host.send_raw("POST", "/chat/a", MESSAGE)?.status, 200);
    }
    Ok(())
}

#[tokio::test]
async fn health_is_answered_while_all_connections_are_busy() -> anyhow::Result<()> {
    let host = Host::start(&with_host("max-connections = 3")).await?;
    let mut busy = Vec::new();
    for id in 0..3 {
        let mut raw = Raw::connect(&host.app)?;
        raw.begin_body(&format!("/chat/{id}"), MESSAGE.len())?;
        busy.push(raw);
    }
    for _ in 0..50 {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(host.send_raw("GET", path, "")?.status, 200, "{path}");
        }
        let refused = host.send_raw("POST", "/chat/more", MESSAGE)?;
        let code = refused.code.as_deref();
        assert_eq!((refused.status.as_u16(), code), (503, Some("connections-exhausted")), "{refused:?}");
    }
    host.wait_for_log("the shortage", |line| line["code"] == "connections-exhausted").await?;
    // Who only holds a connection does not keep health from being answered either.
    let _silent = (0..100).map(|_| Raw::connect(&host.app)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(host.send_raw("GET", "/healthz", "")?.status, 200);
    for raw in &mut busy {
        raw.send(MESSAGE)?;
        assert_eq!(raw.status()?, "200");
    }
    eventually(
        "the others are idle",
        async || Ok(host.send_raw("POST", "/chat/more", MESSAGE)?.status == 200),
    )
    .await
}

/// Clients that connect again and again, and send nothing. They end when this is dropped.
struct Reconnecting(Vec<tokio::task::JoinHandle<()>>);

impl Reconnecting {
    fn start(host: &Host, number: usize) -> Reconnecting {
        let address = host.app.trim_start_matches("http://").to_owned();
        let client = |address: String| async move {
            loop {
                if let Ok(stream) = tokio::net::TcpStream::connect(&address).await {
                    // Until the host closes it.
                    let _closed = stream.readable().await;
                }
            }
        };
        Reconnecting((0..number).map(|_| tokio::spawn(client(address.clone()))).collect())
    }
}

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_answered_however_many_clients_reconnect() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&sleeps("max-connections = 1")).await?);
    let _busy = sleep(&host, "")?;
    host.until_busy("Exerciser/a", 0).await?;
    let _strangers = Reconnecting::start(&host, 500);
    host.wait_for_log("the shortage", |line| line["code"] == "connections-exhausted").await?;
    for _ in 0..3 {
        let probe =
            |host: Arc<Host>| tokio::task::spawn_blocking(move || host.send_raw("GET", "/healthz", ""));
        let probes = (0..10).map(|_| probe(host.clone()));
        for answer in futures::future::try_join_all(probes).await? {
            assert_eq!(answer?.status, 200);
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_connection_that_is_idle_longest_makes_room() -> anyhow::Result<()> {
    let host = Host::start(&with_host("max-connections = 2")).await?;
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut first = Raw::connect(&host.app)?;
    first.send(get)?;
    assert_eq!(first.status()?, "200");
    let mut busy = Raw::connect(&host.app)?;
    busy.begin_body("/chat/a", MESSAGE.len())?;
    // The host knows a moment later than the client that its answer is written.
    eventually("the first is idle", async || Ok(host.send_raw("POST", "/chat/b", MESSAGE)?.status == 200))
        .await?;
    assert_eq!(first.rest()?, "", "it was closed");
    busy.send(MESSAGE)?;
    assert_eq!(busy.status()?, "200");
    Ok(())
}

/// A call that waits or runs holds its payload.
#[tokio::test]
async fn the_bytes_of_all_bodies_are_bounded_as_long_as_they_are_held() -> anyhow::Result<()> {
    let bounds = "max-body = \"64KiB\"\nmax-held-body-bytes = \"64KiB\"";
    let host = Host::start(&sleeps(bounds)).await?;
    let more = "x".repeat(10_000);
    let payload = json!({ "ms": 0, "more": more }).to_string();
    for _ in 0..3 {
        assert_eq!(host.send_raw("POST", "/sleep/b", &payload)?.status, 200);
    }
    let _sleeper = sleep(&host, &more)?;
    host.until_busy("Exerciser/a", 0).await?;
    let answer = host.send_raw("POST", "/sleep/b", &payload)?;
    let code = answer.code.as_deref();
    assert_eq!((answer.status.as_u16(), code), (503, Some("bodies-exhausted")), "{answer:?}");
    assert_eq!(host.send_raw("GET", "/healthz", "")?.status, 200);
    Ok(())
}

/// More bytes than the kernel keeps for a client that does not read.
const LARGE: usize = 48_000_000;

/// A host whose answers to `/large` are large.
async fn with_large_answers(settings: &str) -> anyhow::Result<Host> {
    let more = format!(
        "limits = {{ memory = \"128MiB\", reply = \"64MiB\", running-time = \"20s\" }}
[host]
{settings}
[[routes]]
method = \"POST\"
path = \"/large/{{id}}\"
agent = \"Floods\"
call = \"Reply\"
actor-id = {{ path = \"id\" }}"
    );
    Host::start(&manifest_of("Floods", "floods", &more)).await
}

fn large_request() -> String {
    format!("POST /large/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n{LARGE}")
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_disconnected() -> anyhow::Result<()> {
    let host = with_large_answers("body-time = \"300ms\"\nmax-connections = 1").await?;
    // The second request is handled when the first one's answer is in the server's hands.
    let mut deaf = Raw::connect(&host.app)?;
    deaf.send(&large_request().repeat(2))?;
    host.wait_for_log("the answer", |line| line["code"] == "answer-too-slow").await?;
    eventually("its place is free", async || Ok(host.send_raw("GET", "/no-such-route", "")?.status == 404))
        .await?;
    let mut text = Vec::new();
    let _reset = deaf.0.read_to_end(&mut text);
    assert!((1..LARGE).contains(&text.len()), "{} bytes", text.len());
    Ok(())
}

#[tokio::test]
async fn a_client_that_still_reads_its_answer_makes_no_room() -> anyhow::Result<()> {
    let host = with_large_answers("max-connections = 1").await?;
    let mut slow = Raw::connect(&host.app)?;
    slow.send(&large_request())?;
    let mut line = String::new();
    slow.0.read_line(&mut line)?;
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    let refused = host.send_raw("POST", "/large/a", "8")?;
    assert_eq!(refused.code.as_deref(), Some("connections-exhausted"), "{refused:?}");
    while slow.0.read_line(&mut line)? > 2 {}
    slow.0.read_exact(&mut vec![0; LARGE])?;
    eventually("now it rests", async || Ok(host.send_raw("POST", "/large/a", "8")?.status == 200)).await
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_not_asked_for() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let announced = |path: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99000000\r\n\r\n"
        );
        exchange(&host.app, head.as_bytes())
    };
    for path in ["/chat/a", "/receive-message"] {
        let text = announced(path)?;
        assert_eq!(refused(&text)?, (413, Some("body-too-large".into())), "{text}");
    }
    // A broker would send it again for ever.
    let answer = Answer::of_text(&announced("/subscribe")?)?;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("DROP")), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_has_sent_all_and_says_so_gets_its_answer() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let mut raw = Raw::connect(&host.app)?;
    let length = MESSAGE.len();
    raw.send(&format!(
        "POST /chat/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{MESSAGE}"
    ))?;
    raw.0.get_ref().shutdown(Shutdown::Write)?;
    assert!(raw.rest()?.starts_with("HTTP/1.1 200"));
    Ok(())
}

#[tokio::test]
async fn nobody_locks_the_operator_out() -> anyhow::Result<()> {
    let folder = Arc::new(tempfile::TempDir::new()?);
    let token = [("DACA_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")];
    let host = Host::start_with(folder, &default_manifest(), &token).await?;
    let mut strangers = Vec::new();
    for _ in 0..150 {
        let mut stranger = Raw::connect(&host.admin)?;
        stranger.send("POST /agents HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{")?;
        strangers.push(stranger);
    }
    let silent = (0..150).map(|_| Raw::connect(&host.admin)).collect::<Result<Vec<_>, _>>()?;
    let request = "GET /agents HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::of_text(&exchange(&host.admin, request.as_bytes())?)?.status, 200);
    drop((strangers, silent));
    // A stranger's connection is closed with its answer.
    let text = exchange(&host.admin, b"GET /agents HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    assert_eq!(refused(&text)?, (401, Some("admin-unauthorized".into())));
    Ok(())
}

/// Connections would take the files that health, state and the sidecar need.
#[test]
fn a_host_that_may_open_few_files_does_not_start() -> anyhow::Result<()> {
    let folder = tempfile::TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), default_manifest())?;
    let run = "ulimit -n 128; exec \"$0\" run --listen 127.0.0.1:0 --admin 127.0.0.1:0 --backend embedded --data data --manifest agents.toml";
    let ended = std::process::Command::new("sh")
        .args(["-c", run])
        .arg(daca_tests::daca())
        .current_dir(folder.path())
        .output()?;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[open-files-scarce]") && stderr.contains("128"), "{stderr}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
    Ok(())
}
