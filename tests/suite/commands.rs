//! The program's commands: what they print, and how they end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread::JoinHandle;

use daca_tests::{Ended, Host, chat_agent, default_manifest, digest, run_in, run_with};
use serde_json::json;
use tempfile::TempDir;

/// Ended with code 1, one error with its code and help on standard error, and nothing on standard output.
fn assert_refused(what: &str, ended: &Ended, code: &str, words: &[&str]) {
    let Ended { code: exit, stdout, stderr } = ended;
    assert_eq!((exit, stdout.as_str()), (&Some(1), ""), "{what}: {stderr}");
    assert_eq!(stderr.matches("error[").count(), 1, "{what}: {stderr}");
    assert!(stderr.contains(&format!("error[{code}]: ")), "{what}: {stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    for word in words {
        assert_eq!(stderr.matches(word).count(), 1, "{what}: {word:?} once, in: {stderr}");
    }
}

/// What is wrong, the arguments, the environment, and the code and words of the answer.
type Refusal<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

fn folder_with(manifest: &str) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    Ok(folder)
}

#[tokio::test]
async fn check_tells_what_each_agent_type_is_and_may_do() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    let Ended { code, stdout, stderr } = run_in(folder.path(), ["check"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    let sections = [
        "agent type ChatAgent\n".to_owned(),
        format!("  version   {}\n", digest(&chat_agent())?),
        "  exports\n    daca:agent/actor@0.1.0\n    daca:agent/lifecycle@0.1.0\n".into(),
        "    daca:agent/pubsub@0.1.0\n".into(),
        "    wasi:config/store@0.2.0-rc.1\n".into(),
        "  settings\n    to-number\n".into(),
        "  may\n    publish to daca-pubsub/user-chat\n    use binding twilio-binding/create\n".into(),
        "routes\n  POST /chat/{actor_id} -> ChatAgent.ProcessMessage\n  GET /chat/{actor_id}/history -> ChatAgent.GetConversationHistory\n  POST /receive-message -> ChatAgent.ProcessMessage\n".into(),
        "subscriptions\n  daca-pubsub/user-chat at /subscribe\n".into(),
        "agents.toml is valid.\n".into(),
    ];
    let mut rest = stdout.as_str();
    for section in &sections {
        let found = rest.find(section.as_str());
        assert!(found.is_some(), "{section:?} is missing, or in the wrong place, in:\n{stdout}");
        rest = &rest[found.unwrap_or_default() + section.len()..];
    }
    assert_eq!(rest, "");
    // A setting may be a secret of somebody's.
    assert!(!stdout.contains("+1987654321"), "{stdout}");
    // It looks, and touches nothing.
    let files = std::fs::read_dir(folder.path())?.count();
    assert_eq!(files, 1);
    Ok(())
}

#[tokio::test]
async fn check_says_when_an_agent_type_may_do_nothing() -> anyhow::Result<()> {
    let folder = folder_with(&daca_tests::manifest_of("Plain", "plain", ""))?;
    let Ended { code, stdout, .. } = run_in(folder.path(), ["check"]).await?;
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains("\n  may access nothing but its own state\n"), "{stdout}");
    Ok(())
}

#[tokio::test]
async fn invoke_prints_the_reply_or_why_there_is_none() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let folder = TempDir::new()?;
    let admin = host.admin.trim_start_matches("http://").to_owned();
    let invoke = async |admin: &str, rest: &[&str]| {
        let arguments = [&["invoke", "--admin", admin][..], rest].concat();
        // A proxy of the environment must not come between.
        let proxies = [("http_proxy", "http://127.0.0.1:1"), ("HTTP_PROXY", "http://127.0.0.1:1")];
        run_with(folder.path(), arguments, &proxies).await
    };

    let payload = r#"{"role": "user", "content": "Hi"}"#;
    for actor in ["ChatAgent/user1", "ChatAgent/ü 100%"] {
        let Ended { code, stdout, stderr } = invoke(&admin, &[actor, "ProcessMessage", payload]).await?;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{actor}");
        assert_eq!(stdout, "{\"role\":\"assistant\",\"content\":\"Got your message: Hi\"}\n");
    }
    // Without a payload it is `null`.
    let Ended { code, stdout, .. } = invoke(&admin, &["ChatAgent/user1", "GetConversationHistory"]).await?;
    assert_eq!(code, Some(0), "{stdout}");
    let history = serde_json::from_str::<serde_json::Value>(&stdout)?;
    assert_eq!(history[0], json!({"role": "user", "content": "Hi"}));

    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    for (what, admin, arguments, code, words) in [
        (
            "a refusal of the agent",
            &admin,
            &["ChatAgent/user1", "ProcessMessage", "{}"][..],
            "invalid",
            &["400", "Invalid or missing 'content' field"][..],
        ),
        ("no such method", &admin, &["ChatAgent/user1", "Explode"], "not-found", &["404", "`Explode`"]),
        (
            "no such agent type",
            &admin,
            &["Nobody/user1", "Explode"],
            "agent-type-unknown",
            &["404", "\"Nobody\""],
        ),
        (
            "no host",
            &closed,
            &["ChatAgent/user1", "Explode"],
            "host-unreachable",
            &["Connection refused", "\n  help: "],
        ),
        ("no id", &admin, &["ChatAgent", "Explode"], "actor-id-invalid", &["TYPE/ID, such", "\n  help: "]),
        (
            "an empty id",
            &admin,
            &["ChatAgent/", "Explode"],
            "actor-id-invalid",
            &["it is empty", "\n  help: "],
        ),
        (
            "a slash in the id",
            &admin,
            &["ChatAgent/a/b", "Explode"],
            "actor-id-invalid",
            &["'/'", "\n  help: "],
        ),
        (
            "no JSON",
            &admin,
            &["ChatAgent/user1", "ProcessMessage", "{role: user}"],
            "body-not-json",
            &["line 1 column 2", "\n  help: "],
        ),
    ] {
        assert_refused(what, &invoke(admin, arguments).await?, code, words);
    }
    Ok(())
}

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
    let cases: [(&[&str], &str, &[&str]); 8] = [
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

#[tokio::test]
async fn a_component_is_signed_with_a_new_key() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(chat_agent(), path("agent.wasm"))?;
    let sign = async |arguments: &[&str]| run_in(folder.path(), [&["sign"][..], arguments].concat()).await;

    let Ended { code, stdout, stderr } = sign(&["--new-key", "key.pem"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("signers = [\"ed25519:"), "{stdout}");
    assert_eq!(std::fs::metadata(path("key.pem"))?.permissions().mode() & 0o777, 0o600);
    assert_eq!(sign(&["--key", "key.pem", "--public"]).await?.stdout, stdout);
    // The line is one that a manifest takes.
    let manifest = format!("{}\n[deploy]\n{stdout}", daca_tests::manifest_of("Plain", "plain", ""));
    std::fs::write(path("agents.toml"), manifest)?;
    let unsigned = run_in(folder.path(), ["check"]).await?;
    assert_refused("nobody has signed it", &unsigned, "component-unsigned", &[]);

    let Ended { code, stderr, .. } = sign(&["--key", "key.pem", "agent.wasm"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let signature = std::fs::read(path("agent.wasm.sig"))?;
    sign(&["agent.wasm", "--key", "key.pem", "--out", "other.sig"]).await?;
    assert_eq!(std::fs::read(path("other.sig"))?, signature);

    // OpenSSL reads a key of this form: the public key is not in it.
    let pem = std::fs::read_to_string(path("key.pem"))?;
    let head = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI";
    assert!(pem.starts_with(head) && pem.len() == OPENSSL_KEY.len(), "another form than OpenSSL's");
    Ok(())
}

/// Made by `openssl genpkey -algorithm ed25519`, for this test alone.
const OPENSSL_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBzn0S4wZQ3QlUeD6jjgmG986EaSxeQwj+rbVTF5Ggdu
-----END PRIVATE KEY-----
";

#[tokio::test]
async fn a_key_of_openssl_signs_as_openssl_does() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("key.pem"), OPENSSL_KEY)?;
    std::fs::set_permissions(path("key.pem"), std::fs::Permissions::from_mode(0o600))?;
    std::fs::write(path("a.wasm"), b"\0asm\x0d\0\x01\0")?;
    let Ended { stdout, .. } = run_in(folder.path(), ["sign", "--key", "key.pem", "--public"]).await?;
    assert_eq!(stdout, "signers = [\"ed25519:ndGbkE82Fexc7JtX+s4PEIqWpOqgc8n+XfSPYaDiB3E=\"]\n");
    let Ended { code, stderr, .. } = run_in(folder.path(), ["sign", "--key", "key.pem", "a.wasm"]).await?;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // What `openssl pkeyutl -sign -rawin` made of the same bytes.
    let signature =
        "/1ZJcf+ovXHBYAXumeIYT1Z4Mt6DONoz5tlGGqvID5BvVKq1EzIx6TJIfc5yl2VNqMVm9UIDBdFU6qiJm4+eBw==\n";
    assert_eq!(std::fs::read_to_string(path("a.wasm.sig"))?, signature);
    Ok(())
}

#[tokio::test]
async fn sign_says_why_it_does_not_sign() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(chat_agent(), path("agent.wasm"))?;
    std::fs::write(path("text.wasm"), "no component")?;
    let sign = async |arguments: &[&str]| run_in(folder.path(), [&["sign"][..], arguments].concat()).await;
    for key in ["key.pem", "exposed.pem", "altered.pem"] {
        sign(&["--new-key", key]).await?;
    }
    let key = std::fs::read(path("key.pem"))?;
    std::fs::set_permissions(path("exposed.pem"), std::fs::Permissions::from_mode(0o640))?;
    std::fs::OpenOptions::new().write(true).truncate(true).open(path("altered.pem"))?;

    for (what, arguments, code, words) in [
        ("a key that is there", &["--new-key", "key.pem"][..], "signing-unwritable", &["key.pem: "][..]),
        ("no key", &["--key", "none.pem", "agent.wasm"], "signing-key-unreadable", &["none.pem: "]),
        (
            "a key that others read",
            &["--key", "exposed.pem", "agent.wasm"],
            "signing-key-exposed",
            &["chmod 600"],
        ),
        (
            "a file that is no key",
            &["--key", "altered.pem", "--public"],
            "signing-key-invalid",
            &["altered.pem "],
        ),
        ("no component", &["--key", "key.pem", "none.wasm"], "component-missing", &["none.wasm: "]),
        ("something else", &["--key", "key.pem", "text.wasm"], "component-invalid", &["text.wasm: "]),
        (
            "no place",
            &["--key", "key.pem", "agent.wasm", "--out", "no/sig"],
            "signing-unwritable",
            &["no/sig: "],
        ),
    ] {
        let ended = sign(arguments).await?;
        assert_refused(what, &ended, code, words);
        assert_eq!(ended.stderr.matches("\n  help: ").count(), 1, "{what}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read(path("key.pem"))?, key);
    let mut left = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    left.sort();
    assert_eq!(left, ["agent.wasm", "altered.pem", "exposed.pem", "key.pem", "text.wasm"]);
    Ok(())
}

#[tokio::test]
async fn run_says_why_it_does_not_start() -> anyhow::Result<()> {
    let folder = folder_with(&default_manifest())?;
    std::fs::write(folder.path().join("file"), "a file where a folder should be")?;
    std::fs::create_dir(folder.path().join("damaged"))?;
    std::fs::write(folder.path().join("damaged/state.redb"), "no state file".repeat(1_000))?;
    std::fs::create_dir_all(folder.path().join("folder/state.redb"))?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();

    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let listen = ["--listen", &taken, "--admin", "127.0.0.1:0", "--data", "data"];
    let admin = ["--listen", "127.0.0.1:0", "--admin", &taken, "--data", "data"];
    let data = |folder: &'static str| ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", folder];
    let nothing: &[(&str, &str)] = &[];
    let cases: [Refusal; 15] = [
        (
            "a callbacks' token that was not expanded",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", "")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a callbacks' token of nothing",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("APP_API_TOKEN", " \n")],
            "app-token-invalid",
            &["APP_API_TOKEN"],
        ),
        (
            "a port in use",
            &listen,
            nothing,
            "listen-failed",
            &[&taken, "Address already in use", "with --listen"],
        ),
        (
            "an admin port in use",
            &admin,
            nothing,
            "listen-failed",
            &[&taken, "Address already in use", "with --admin"],
        ),
        (
            "an admin port for everybody",
            &["--admin", "0.0.0.0:1"],
            nothing,
            "admin-not-loopback",
            &["--admin 0.0.0.0:1", "--admin-token-file", "name a loopback address"],
        ),
        (
            "an admin port for everybody by IPv6",
            &["--admin", "[::]:1"],
            nothing,
            "admin-not-loopback",
            &["[::]:1"],
        ),
        (
            "a sidecar's address without a port",
            &free,
            &[("DAPR_GRPC_ENDPOINT", "http://dapr")],
            "sidecar-endpoint-invalid",
            &["http://dapr", "DAPR_GRPC_PORT"],
        ),
        (
            "a sidecar's address with TLS",
            &free,
            &[("DAPR_GRPC_ENDPOINT", "https://dapr:50001")],
            "sidecar-endpoint-invalid",
            &["https://dapr:50001"],
        ),
        (
            "a sidecar's token that cannot be sent",
            &free,
            &[("DAPR_GRPC_PORT", "50001"), ("DAPR_API_TOKEN", "a\nb")],
            "sidecar-token-invalid",
            &["DAPR_API_TOKEN"],
        ),
        ("a file as data folder", &data("file"), nothing, "data-unwritable", &["file: ", "--data DIR"]),
        (
            "a data folder below a file",
            &data("file/data"),
            nothing,
            "data-unwritable",
            &["file/data: ", "--data DIR"],
        ),
        (
            "a place that nobody can write to",
            &data("/proc/daca"),
            nothing,
            "data-unwritable",
            &["/proc/daca: ", "--data DIR"],
        ),
        (
            "a state file that is none",
            &data("damaged"),
            nothing,
            "data-damaged",
            &["damaged/state.redb: ", "move the file away"],
        ),
        ("a folder as state file", &data("folder"), nothing, "data-unwritable", &["folder/state.redb: "]),
        ("a log filter that is none", &free, &[("DACA_LOG", "=!")], "log-filter-invalid", &["DACA_LOG"]),
    ];
    for (what, arguments, variables, code, words) in cases {
        let arguments = [&["run"][..], arguments].concat();
        let ended = run_with(folder.path(), arguments, variables).await?;
        assert_refused(what, &ended, code, words);
        assert_eq!(ended.stderr.matches("\n  help: ").count(), 1, "{what}: {}", ended.stderr);
    }
    // What it could not use it has not touched.
    assert_eq!(
        std::fs::read_to_string(folder.path().join("damaged/state.redb"))?,
        "no state file".repeat(1_000)
    );
    Ok(())
}

#[tokio::test]
async fn one_data_folder_serves_one_host() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let message = json!({"role": "user", "content": "Hi"});
    host.post("/chat/user1", &message).await?;
    let folder = host.folder();
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let ended = run_in(folder.path(), run).await?;
    assert_refused("a folder in use", &ended, "data-in-use", &["in use by another host", "--data DIR"]);
    // The first one has not noticed, and once it is gone, even by a crash, the folder is free again.
    host.post("/chat/user1", &message).await?;
    let folder = host.kill()?;
    let host = Host::start_in(folder, &default_manifest()).await?;
    let history = host.get("/chat/user1/history").await?.body;
    assert_eq!(history["history"].as_array().map(Vec::len), Some(4), "{history}");
    Ok(())
}

#[tokio::test]
async fn arguments_that_make_no_sense_end_with_code_2() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    for (arguments, word) in [
        (&[][..], "Usage"),
        (&["fly"], "'fly'"),
        (&["run", "--listen", "localhost"], "HOST:PORT"),
        (&["run", "--listen", "example.org:8000"], "localhost"),
        (&["run", "--backend", "redis"], "embedded"),
        (&["run", "--log-format", "xml"], "json"),
        (&["invoke", "ChatAgent/user1"], "<METHOD>"),
        (&["deploy", "ChatAgent", "agent.wasm", "--share", "0"], "1..=100"),
        (&["sign"], "--key"),
        (&["sign", "--key", "a.pem"], "COMPONENT"),
        (&["sign", "--key", "a.pem", "--new-key", "b.pem"], "--new-key"),
    ] {
        let Ended { code, stderr, .. } = run_in(folder.path(), arguments).await?;
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word), "{arguments:?}: {stderr}");
    }
    Ok(())
}

/// The admin port is named in any way in which it is printed, and nothing else is asked, let alone given a token.
#[tokio::test]
async fn the_admin_port_is_named_as_the_log_prints_it() -> anyhow::Result<()> {
    let folder = std::sync::Arc::new(TempDir::new()?);
    let options = ["--admin", "localhost:0"];
    let host = Host::start_with_options(folder.clone(), &default_manifest(), &[], &options).await?;
    let port = host.admin.rsplit(':').next().unwrap_or_default().to_owned();
    for admin in [host.admin.clone(), format!("{}/", host.admin), format!("localhost:{port}")] {
        let ended = run_in(folder.path(), ["ps", "--admin", &admin]).await?;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{admin}");
    }
    for admin in [&*port, "8001:80", "https://localhost:8001", "user@localhost:8001", ""] {
        let ended = run_in(folder.path(), ["ps", "--admin", admin]).await?;
        assert_refused(admin, &ended, "admin-address-invalid", &["HOST:PORT", "\n  help: "]);
    }
    Ok(())
}

/// Editors of Windows write byte order marks and UTF-16.
#[tokio::test]
async fn text_files_may_begin_with_a_mark_and_other_encodings_are_named() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes)?;
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o600))
    };
    let marked = |text: &str| format!("\u{feff}{text}").into_bytes();
    let utf16 = |text: &str| {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    };
    let manifest =
        daca_tests::manifest_of("Plain", "plain", "") + "[embedded]\nsecrets-file = \"secrets.json\"\n";
    let (secrets, sign) = (r#"{"a": "b"}"#, ["sign", "--public", "--key", "key.pem"]);
    write("agents.toml", &marked(&manifest))?;
    write("secrets.json", &marked(secrets))?;
    write("key.pem", &marked(OPENSSL_KEY))?;
    for arguments in [&["check"][..], &sign] {
        let ended = run_in(folder.path(), arguments).await?;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
    write("secrets.json", &utf16(secrets))?;
    assert_refused("secrets", &run_in(folder.path(), ["check"]).await?, "secrets-unreadable", &["UTF-16"]);
    write("agents.toml", &utf16(&manifest))?;
    assert_refused("manifest", &run_in(folder.path(), ["check"]).await?, "manifest-unreadable", &["UTF-16"]);
    write("key.pem", &utf16(OPENSSL_KEY))?;
    assert_refused("key", &run_in(folder.path(), sign).await?, "signing-key-unreadable", &["UTF-16"]);
    Ok(())
}
