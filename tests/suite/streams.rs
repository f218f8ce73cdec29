//! Standard streams that nobody reads, that are full, or that are closed: neither a host nor a command depends on them.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use daca_tests::{Host, TIMEOUT, chat_agent, daca, default_manifest, eventually, exerciser, message};
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

/// A host whose standard error is read up to the line that names its ports, and then no more.
struct Unread {
    child: Child,
    client: Client,
    app: String,
    admin: String,
    stderr: BufReader<PipeReader>,
    _folder: TempDir,
}

impl Unread {
    fn start(manifest: &str) -> anyhow::Result<Unread> {
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("agents.toml"), manifest)?;
        let (reader, writer) = std::io::pipe()?;
        let mut command = Host::command(folder.path());
        let child = command.args(["--admin", "127.0.0.1:0"]).stderr(writer).spawn()?;
        // The command holds the other end open.
        drop(command);
        let mut stderr = BufReader::new(reader);
        let ready = next_line(&mut stderr, |line| message(line).starts_with("ready:"))?;
        let address = |name: &str| format!("http://{}", ready[name].as_str().unwrap_or_default());
        let client = Client::builder().no_proxy().build()?;
        let (app, admin) = (address("address"), address("admin"));
        Ok(Unread { child, client, app, admin, stderr, _folder: folder })
    }

    async fn get(&self, url: &str) -> anyhow::Result<(u16, String)> {
        let response = tokio::time::timeout(TIMEOUT, self.client.get(url).send()).await??;
        Ok((response.status().as_u16(), response.text().await?))
    }

    async fn call(&self, method: &str, payload: &Value) -> anyhow::Result<()> {
        let url = format!("{}/actors/Exerciser/a/method/{method}", self.admin);
        let call = self.client.post(url).body(payload.to_string()).send();
        let answer = tokio::time::timeout(TIMEOUT, call).await.context("the call stands still")??;
        if answer.status() == 200 { Ok(()) } else { bail!("{method}: {answer:?}") }
    }

    async fn dropped(&self) -> anyhow::Result<u64> {
        let (_, metrics) = self.get(&format!("{}/metrics", self.admin)).await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("daca_log_lines_dropped_total "));
        Ok(line.context("there is no such metric")?.parse()?)
    }

    /// Logs until lines are dropped.
    async fn fill(&self) -> anyhow::Result<()> {
        for _ in 0..1_000 {
            if self.dropped().await? > 0 {
                return Ok(());
            }
            self.call("Print", &json!({"line": "x".repeat(40_000)})).await?;
        }
        bail!("nothing was dropped")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status()?;
        if sent.success() { Ok(()) } else { bail!("kill -{name} failed") }
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        bail!("the host did not end")
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of a log that is the one that is looked for.
fn next_line(log: &mut impl std::io::BufRead, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    for line in log.lines() {
        let line = serde_json::from_str(&line?).unwrap_or(Value::Null);
        if is_it(&line) {
            return Ok(line);
        }
    }
    bail!("the log ended before")
}

#[tokio::test]
async fn a_host_whose_log_nobody_reads_serves_on_and_says_later_what_is_missing() -> anyhow::Result<()> {
    let mut host = Unread::start(&exerciser(""))?;
    host.fill().await?;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(host.get(&format!("{}{path}", host.app)).await?.0, 200, "{path}");
    }
    host.call("SetState", &json!({"key": "k", "value": 1})).await?;
    // The last lines are kept in memory all the same.
    host.call("Log", &json!({"level": "info", "message": "in memory"})).await?;
    let (_, lines) = host.get(&format!("{}/logs?type=Exerciser&id=a&limit=1", host.admin)).await?;
    assert!(lines.contains("in memory"), "{lines}");

    let dropped = host.dropped().await?;
    let told = next_line(&mut host.stderr, |line| line["code"] == "log-lines-dropped")?;
    let lines = told["lines"].as_u64().unwrap_or_default();
    assert!((1..=dropped).contains(&lines), "{told}, {dropped}");
    Ok(())
}

#[tokio::test]
async fn signals_work_while_nobody_reads_the_log() -> anyhow::Result<()> {
    let mut host = Unread::start(&exerciser(""))?;
    host.fill().await?;
    host.signal("TERM")?;
    assert_eq!(host.ended().await?.code(), Some(0));
    // What was queued when it ended was not waited for, but what could be written is whole.
    let mut left = String::new();
    host.stderr.read_to_string(&mut left)?;
    assert!(left.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count() <= 1);

    // A turn holds the shutdown up, and a second signal ends it. One that comes with the first does not count.
    let limits = "limits = { turn-time = \"10m\" }";
    let mut host = Unread::start(&(exerciser(limits) + "[host]\nshutdown-grace = \"10m\"\n"))?;
    host.fill().await?;
    let url = format!("{}/actors/Exerciser/b/method/Sleep", host.admin);
    let endless = tokio::spawn(host.client.post(url).body(json!({"ms": 300_000}).to_string()).send());
    eventually("the turn runs", async || {
        let (_, active) = host.get(&format!("{}/activations", host.admin)).await?;
        let active: Value = serde_json::from_str(&active)?;
        let active = active["activations"].as_array().cloned().unwrap_or_default();
        Ok(active.iter().any(|one| one["actor_id"] == "b" && one["running"] == true))
    })
    .await?;
    host.signal("TERM")?;
    eventually("it shuts down", async || {
        let ready = host.get(&format!("{}/readyz", host.app)).await;
        Ok(!ready.is_ok_and(|(status, _)| status == 200))
    })
    .await?;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    host.signal("INT")?;
    assert_eq!(host.ended().await?.code(), Some(130));
    assert!(!endless.await?.is_ok_and(|answer| answer.status() == 200));
    Ok(())
}

#[tokio::test]
async fn a_lost_terminal_ends_a_host_in_order() -> anyhow::Result<()> {
    // Whoever runs the tests with `nohup` ignores the signal, and so would the host. One that is caught here is back at its
    // default there.
    let _caught = signal(SignalKind::hangup())?;
    let host = Host::start(&exerciser("")).await?;
    host.call("Exerciser/a", "Echo", &json!(1)).await?;
    let folder = host.folder();
    host.signal("HUP")?;
    let mut host = host;
    assert_eq!(host.wait().await?.code(), Some(0));
    drop(host);
    // Its hooks have run.
    let host = Host::start_in(folder, &exerciser("")).await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "deactivated"})).await?, json!(1));
    Ok(())
}

/// Runs a command with these streams, and answers how it ended.
fn run(
    folder: &Path,
    arguments: &[&str],
    stdout: Stdio,
    stderr: Stdio,
) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = Command::new(daca());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let output = command.spawn()?.wait_with_output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A stream whose reader has gone.
fn closed() -> anyhow::Result<Stdio> {
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    Ok(writer.into())
}

/// A stream that takes nothing, as on a full disk.
fn full() -> anyhow::Result<Stdio> {
    Ok(std::fs::File::options().write(true).open("/dev/full")?.into())
}

#[tokio::test]
async fn commands_end_well_when_their_reader_has_gone_and_fail_when_nothing_is_taken() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), default_manifest())?;
    std::fs::copy(chat_agent(), folder.path().join("agent.wasm"))?;
    let make = ["sign", "--new-key", "key.pem"];
    assert_eq!(run(folder.path(), &make, Stdio::null(), Stdio::null())?.0, Some(0));
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "check"],
        &["explain"],
        &["explain", "host-busy"],
        &["check"],
        &["compile", "--out", "code"],
        &["sign", "--key", "key.pem", "agent.wasm"],
        &["sign", "--key", "key.pem", "--public"],
    ] {
        let ended = run(folder.path(), arguments, closed()?, Stdio::piped())?;
        assert_eq!(ended, (Some(0), String::new()), "{arguments:?}");
        let (code, stderr) = run(folder.path(), arguments, full()?, Stdio::piped())?;
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error[output-failed]: ") && stderr.contains("\n  help: "), "{stderr}");
        // There is nowhere to say it, and no panic either.
        assert_eq!(run(folder.path(), arguments, full()?, full()?)?.0, Some(1), "{arguments:?}");
    }
    // The line of a new key is what the command is for: that it is lost is said, and it can be had again.
    for (name, stdout) in [("closed.pem", closed()?), ("full.pem", full()?)] {
        let (code, stderr) = run(folder.path(), &["sign", "--new-key", name], stdout, Stdio::piped())?;
        assert_eq!(code, Some(1), "{name}: {stderr}");
        assert!(
            stderr.contains("error[output-failed]") && stderr.contains(&format!("--key {name} --public"))
        );
        let again = ["sign", "--key", name, "--public"];
        assert_eq!(run(folder.path(), &again, Stdio::null(), Stdio::piped())?, (Some(0), String::new()));
    }
    // Without a standard output at all, `/dev/null` is in its place before the command begins.
    for arguments in [
        &["sign", "--new-key", "none.pem"][..],
        &["sign", "--key", "key.pem", "--public"],
        &["check"],
        &["--help"],
    ] {
        let script = "exec \"$0\" \"$@\" >&-";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(daca()).args(arguments).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error[output-failed]"), "{stderr}");
    }
    assert!(folder.path().join("none.pem").exists(), "the help says how to see its line");
    // What is wrong is said to nobody.
    let (code, _) = run(folder.path(), &["check", "--manifest", "none"], Stdio::null(), full()?)?;
    assert_eq!(code, Some(1));
    Ok(())
}
