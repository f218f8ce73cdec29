//! What a guest learns of its surroundings: secrets, settings, its identity, the log; and what it may leave out.

use std::sync::Arc;

use daca_tests::{Host, eventually, exerciser, manifest_of, message};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::case;

// ---- Secrets, settings, identity, logs.

#[tokio::test]
async fn secrets_and_settings_are_those_of_the_type() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let secrets = json!({"single": "s3cret", "several": {"user": "u", "password": "p"}, "hidden": "h"});
    std::fs::write(folder.path().join("secrets.json"), secrets.to_string())?;
    let settings = "[agents.Exerciser.settings]\ngreeting = \"Grüß\"\nsize = \"3\"\n";
    let manifest = exerciser(settings) + "[embedded]\nsecrets-file = \"secrets.json\"\n";
    let host = Host::start_in(folder, &manifest).await?;
    let secret = async |name: &str| host.call("Exerciser/a", "GetSecret", &json!({"name": name})).await;
    let single = secret("single").await?;
    assert!(single.to_string().contains("s3cret") && single.to_string().contains("single"), "{single}");
    let several = secret("several").await?.to_string();
    assert!(["user", "\"u\"", "password", "\"p\""].iter().all(|part| several.contains(part)), "{several}");
    assert_eq!(case(&secret("hidden").await?), Some("denied"), "it is there, but not listed");
    assert_eq!(case(&secret("absent").await?), Some("not-found"));

    let setting = async |key: &str| host.call("Exerciser/a", "GetConfig", &json!({"key": key})).await;
    assert_eq!(setting("greeting").await?, json!("Grüß"));
    assert_eq!(setting("PATH").await?, Value::Null);
    let all = host.call("Exerciser/a", "GetAllConfig", &Value::Null).await?;
    assert!(all.to_string().contains("greeting") && all.to_string().contains("size"), "{all}");
    Ok(())
}

#[tokio::test]
async fn an_actor_knows_who_it_is_and_its_log_lines_say_so() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let host =
        Host::start_with(folder, &exerciser(""), &[("DACA_LOG", "info,agent=trace,daca_runtime=debug")])
            .await?;
    let first = host.call("Exerciser/a", "WhoAmI", &Value::Null).await?;
    let second = host.call("Exerciser/a", "WhoAmI", &Value::Null).await?;
    assert_eq!((&first["agent_type"], &first["actor_id"]), (&json!("Exerciser"), &json!("a")));
    assert_ne!(first["turn_id"], second["turn_id"]);
    for who in [first, second] {
        let line = host.wait_for_log("the turn", |line| line["span"]["turn"] == who["turn_id"]).await?;
        assert_eq!(line["span"]["agent_type"], "Exerciser");
    }

    let levels = [
        ("trace", "TRACE"),
        ("debug", "DEBUG"),
        ("info", "INFO"),
        ("warn", "WARN"),
        ("error", "ERROR"),
        ("critical", "ERROR"),
    ];
    for (level, expected) in levels {
        let text = format!("at {level}");
        host.call("Exerciser/a", "Log", &json!({"level": level, "context": "ctx", "message": text})).await?;
        let line = host.wait_for_log(&text, |line| message(line) == format!("ctx: {text}")).await?;
        assert_eq!((&line["level"], &line["target"]), (&json!(expected), &json!("agent")));
        let span = &line["span"];
        assert_eq!((&span["agent_type"], &span["actor_id"]), (&json!("Exerciser"), &json!("a")));
        assert!(span["turn"].is_string() && span["component"].is_string(), "{line}");
    }

    // One line from a guest is one line of the log, whatever is in it.
    let forged = json!({"level": "info", "message": "one\n{\"message\":\"forged\"}\u{1b}[31m"});
    host.call("Exerciser/a", "Log", &forged).await?;
    let line = host.wait_for_message("one").await?;
    assert!(!message(&line).contains(['\n', '\u{1b}']), "{line}");
    assert!(!host.log().iter().any(|line| message(line) == "forged"));

    host.call("Exerciser/a", "Print", &json!({"line": "printed"})).await?;
    for (text, level) in [("out: printed", "INFO"), ("err: printed", "WARN")] {
        let line = host.wait_for_log(text, |line| message(line) == text).await?;
        assert_eq!((&line["level"], &line["target"]), (&json!(level), &json!("agent")));
        assert_eq!(line["span"]["actor_id"], "a");
    }

    // A line without an end is that of the turn that wrote it, and does not wait for another one.
    let mut turns = Vec::new();
    for text in ["first half", "second half"] {
        host.call("Exerciser/a", "PrintUnended", &json!({"line": text})).await?;
        let line = host.wait_for_log(text, |line| message(line) == text).await?;
        turns.push(line["span"]["turn"].clone());
    }
    assert!(turns[0].is_string() && turns[0] != turns[1], "{turns:?}");
    Ok(())
}

#[tokio::test]
async fn a_guest_sees_nothing_of_the_machine() -> anyhow::Result<()> {
    let written = std::path::Path::new("/tmp/written-by-a-guest");
    let folder = Arc::new(TempDir::new()?);
    let secret = folder.path().join("secret.txt");
    std::fs::write(&secret, "for the host alone")?;
    let host = Host::start_with(folder, &exerciser(""), &[("DACA_TEST_SECRET", "x")]).await?;
    let address = host.admin.trim_start_matches("http://").to_owned();
    let seen = host.call("Exerciser/a", "Environment", &json!({"file": secret, "address": address})).await?;
    for what in ["read_file", "write_file", "list_root", "tcp_connect", "tcp_listen"] {
        assert!(seen[what].as_str().is_some_and(|text| text.starts_with("error: ")), "{what}: {seen}");
    }
    assert_eq!(seen["variables"], json!({}));
    assert_eq!(seen["arguments"].as_array().map_or(0, Vec::len), 0, "{seen}");
    assert!(!written.exists());

    // Clocks and random are there.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis();
    let clock = host.call("Exerciser/a", "Clock", &Value::Null).await?;
    let wall = u128::from(clock["wall_ms"].as_u64().unwrap_or_default());
    assert!(wall.abs_diff(now) < daca_tests::TIMEOUT.as_millis(), "{clock}");
    // Each in an instance of its own.
    let one = host.call("Exerciser/a", "Random", &Value::Null).await?;
    let other = host.call("Exerciser/b", "Random", &Value::Null).await?;
    assert_ne!(one, other);
    Ok(())
}

/// A sidecar shows reminders at a path, and nobody can ask for such a segment of one.
#[tokio::test]
async fn no_reminder_or_timer_has_the_name_of_a_folder() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    for name in [".", ".."] {
        let wake = json!({"name": name, "due_ms": 3_600_000});
        for method in ["RegisterReminder", "RegisterTimer", "GetReminder"] {
            let reply = host.call("Exerciser/a", method, &wake).await?;
            assert_eq!(case(&reply), Some("invalid"), "{method} {name}: {reply}");
        }
        let reply = host.call("Exerciser/a", "UnregisterReminder", &json!({"name": name})).await?;
        assert_eq!(case(&reply), None, "{name}: {reply}");
    }
    Ok(())
}

// ---- Optional exports.

#[tokio::test]
async fn optional_exports_may_be_left_out() -> anyhow::Result<()> {
    let manifest = format!(
        "{}{}",
        manifest_of("Plain", "plain", "idle-timeout = \"100ms\""),
        manifest_of("Deaf", "deaf", "")
    );
    let host = Host::start(&manifest).await?;
    assert_eq!(host.call("Plain/a", "Hello", &json!("Ada")).await?, json!("Hello, Ada"));
    for method in ["RegisterReminder", "RegisterTimer"] {
        let reply = host.call("Deaf/a", method, &Value::Null).await?;
        assert_eq!(case(&reply), Some("invalid"), "{method}: {reply}");
    }
    eventually("the plain actor is deactivated without a hook", async || {
        Ok(host.get_admin("/activations").await?.body["active"] == 1)
    })
    .await?;
    assert_eq!(host.call("Plain/a", "Hello", &json!("Bo")).await?, json!("Hello, Bo"));
    Ok(())
}
