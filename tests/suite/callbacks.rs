//! What a host behind a sidecar says of those who call in the sidecar's place. No sidecar is needed for it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use anyhow::Context as _;
use daca_tests::{TIMEOUT, daca, default_manifest};
use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

/// A host that waits for its sidecar.
struct Waiting {
    child: Child,
    log: mpsc::Receiver<Value>,
    _folder: TempDir,
}

impl Waiting {
    fn start(variables: &[(&str, &str)]) -> anyhow::Result<Waiting> {
        let folder = TempDir::new()?;
        std::fs::write(folder.path().join("agents.toml"), default_manifest())?;
        let mut child = Command::new(daca())
            .args(["run", "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0", "--log-format", "json"])
            .args(["--backend", "dapr", "--data", "data"])
            .current_dir(folder.path())
            .env_remove("APP_API_TOKEN")
            .env_remove("DACA_ADMIN_TOKEN")
            .env("DAPR_GRPC_PORT", "1")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("the child has no stderr")?;
        let (lines, log) = mpsc::channel();
        std::thread::spawn(move || {
            let all = BufReader::new(stderr).lines().map_while(Result::ok);
            for line in all.filter_map(|line| serde_json::from_str(&line).ok()) {
                // The test may have seen enough.
                let _ = lines.send(line);
            }
        });
        Ok(Waiting { child, log, _folder: folder })
    }

    fn line(&self, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let line = self.log.recv_timeout(TIMEOUT).context("the line did not come")?;
            if is_it(&line) {
                return Ok(line);
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn callbacks_without_the_token_are_refused_and_said() -> anyhow::Result<()> {
    // As a variable is that was made from a file.
    let host = Waiting::start(&[("APP_API_TOKEN", "a-token-of-tests\n")])?;
    let listens = host.line(|line| line["address"].is_string())?;
    let port = listens["address"].as_str().and_then(|address| address.rsplit(':').next()).unwrap_or_default();
    let url = format!("http://127.0.0.1:{port}/dapr/config");
    let client = Client::builder().no_proxy().build()?;
    let ask = async |token: &str| {
        anyhow::Ok(client.get(&url).header("dapr-api-token", token).send().await?.status().as_u16())
    };
    for _ in 0..5 {
        assert_eq!(ask("wrong").await?, 401);
    }
    let told = host.line(|line| line["code"] == "app-token-refused")?;
    assert_eq!(told["number"], 1, "at once, and the others later: {told}");
    assert_eq!(ask("a-token-of-tests").await?, 200);
    Ok(())
}

#[test]
fn callbacks_that_everybody_can_make_are_warned_of() -> anyhow::Result<()> {
    let host = Waiting::start(&[])?;
    host.line(|line| line["code"] == "callbacks-exposed")?;
    let host = Waiting::start(&[("APP_API_TOKEN", "a-token-of-tests")])?;
    let first = host.line(|line| line["address"].is_string() || line["code"] == "callbacks-exposed")?;
    assert!(first["address"].is_string(), "{first}");
    Ok(())
}
