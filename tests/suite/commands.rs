//! The program's commands: what they print, and how they end.

mod run;
mod sign;
mod versions;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use daca_tests::{Ended, Host, chat_agent, default_manifest, digest, run_in, run_with};
use serde_json::json;
use tempfile::TempDir;

/// Made by `openssl genpkey -algorithm ed25519`, for these tests alone.
const OPENSSL_KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBzn0S4wZQ3QlUeD6jjgmG986EaSxeQwj+rbVTF5Ggdu
-----END PRIVATE KEY-----
";

/// Ended with code 1, one error with its code and help on standard error, and nothing on standard output.
fn assert_refused(what: &str, ended: &Ended, code: &str, words: &[&str]) {
    let faults = faults_of(what, ended, code, words);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is not as [`assert_refused`] says: of many cases, all are seen to the end.
fn faults_of(what: &str, ended: &Ended, code: &str, words: &[&str]) -> Vec<String> {
    let Ended { code: exit, stdout, stderr } = ended;
    let mut faults = Vec::new();
    if (*exit, stdout.as_str()) != (Some(1), "") {
        faults.push(format!("{what}: ended with {exit:?} and {stdout:?}: {stderr}"));
    }
    if stderr.contains("panicked") {
        faults.push(format!("{what}: it panicked: {stderr}"));
    }
    let named = format!("error[{code}]: ");
    for word in ["error[", &named].iter().chain(words) {
        if stderr.matches(word).count() != 1 {
            faults.push(format!("{what}: {word:?} once, in: {stderr}"));
        }
    }
    faults
}

/// What is wrong, the arguments, the environment, and the code and words of the answer.
type Refusal<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);

fn folder_with(manifest: &str) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    Ok(folder)
}

#[tokio::test]
async fn check_warns_of_bodies_that_an_agent_cannot_hold() -> anyhow::Result<()> {
    let manifest = default_manifest() + "\n[agents.ChatAgent.limits]\nmemory = \"4MiB\"\n";
    let folder = folder_with(&manifest)?;
    let Ended { code, stdout, stderr } = run_in(folder.path(), ["check"]).await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("warning[memory-below-body]: ") && stderr.contains("max-body"), "{stderr}");
    assert!(stdout.contains("agent type ChatAgent"), "{stdout}");
    Ok(())
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

/// `daca invoke` on the host of an admin port.
async fn invoke(admin: &str, rest: &[&str]) -> anyhow::Result<Ended> {
    let folder = TempDir::new()?;
    let arguments = [&["invoke", "--admin", admin][..], rest].concat();
    // A proxy of the environment must not come between.
    let proxies = [("http_proxy", "http://127.0.0.1:1"), ("HTTP_PROXY", "http://127.0.0.1:1")];
    run_with(folder.path(), arguments, &proxies).await
}

#[tokio::test]
async fn invoke_prints_the_reply() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let admin = host.admin.trim_start_matches("http://");
    let payload = r#"{"role": "user", "content": "Hi"}"#;
    for actor in ["ChatAgent/user1", "ChatAgent/ü 100%"] {
        let Ended { code, stdout, stderr } = invoke(admin, &[actor, "ProcessMessage", payload]).await?;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{actor}");
        assert_eq!(stdout, "{\"role\":\"assistant\",\"content\":\"Got your message: Hi\"}\n");
    }
    // Without a payload it sends none.
    let Ended { code, stdout, .. } = invoke(admin, &["ChatAgent/user1", "GetConversationHistory"]).await?;
    assert_eq!(code, Some(0), "{stdout}");
    let history = serde_json::from_str::<serde_json::Value>(&stdout)?;
    assert_eq!(history[0], json!({"role": "user", "content": "Hi"}));
    Ok(())
}

#[tokio::test]
async fn invoke_says_why_there_is_no_reply() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    let admin = host.admin.trim_start_matches("http://");
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut faults = Vec::new();
    for (what, admin, arguments, code, words) in [
        (
            "a refusal of the agent",
            admin,
            &["ChatAgent/user1", "ProcessMessage", "{}"][..],
            "invalid",
            &["400", "Invalid or missing 'content' field"][..],
        ),
        ("no such method", admin, &["ChatAgent/user1", "Explode"], "not-found", &["404", "`Explode`"]),
        (
            "no such agent type",
            admin,
            &["Nobody/user1", "Explode"],
            "agent-type-unknown",
            &["404", "\"Nobody\""],
        ),
        (
            "no host",
            closed.as_str(),
            &["ChatAgent/user1", "Explode"],
            "host-unreachable",
            &["Connection refused", "\n  help: "],
        ),
        ("no id", admin, &["ChatAgent", "Explode"], "actor-id-invalid", &["TYPE/ID, such", "\n  help: "]),
        (
            "an empty id",
            admin,
            &["ChatAgent/", "Explode"],
            "actor-id-invalid",
            &["it is empty", "\n  help: "],
        ),
        (
            "a slash in the id",
            admin,
            &["ChatAgent/a/b", "Explode"],
            "actor-id-invalid",
            &["'/'", "\n  help: "],
        ),
        (
            "no JSON",
            admin,
            &["ChatAgent/user1", "ProcessMessage", "{role: user}"],
            "body-not-json",
            &["line 1 column 2", "\n  help: "],
        ),
    ] {
        faults.extend(faults_of(what, &invoke(admin, arguments).await?, code, words));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
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
