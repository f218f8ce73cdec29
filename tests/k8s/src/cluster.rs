//! kubectl, in a namespace that is made for one run.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use daca_tests::{Patience, folders};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

/// Long enough for whatever must happen: a kubelet that starts a container again waits up to five minutes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(420);
/// Lines of each log and list that are shown of a failure.
const MAX_LINES: usize = 20;
/// A look costs a run of kubectl.
const PATIENCE: Patience = Patience::new(TIMEOUT, Duration::from_millis(200)).retrying_errors();

/// What kubectl says of the removal of a namespace, of a pod that is killed, and of a secret that was made by `kubectl create`.
const EXPECTED_WARNINGS: [&str; 3] =
    ["deleting cluster-scoped resources", "Immediate deletion", "last-applied-configuration annotation"];

/// The namespace.
pub(crate) struct Cluster {
    pub(crate) namespace: String,
}

/// A forwarded port, for as long as it lives.
pub(crate) struct Forward {
    _child: Child,
    pub(crate) port: u16,
}

impl Forward {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Cluster {
    /// Makes the namespace. Pods that the restricted security profile would refuse are warned of.
    pub(crate) async fn new() -> anyhow::Result<Cluster> {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let cluster = Cluster { namespace: format!("daca-test-{}", &unique[..8]) };
        let namespace = &cluster.namespace;
        cluster.kubectl(&["create", "namespace", namespace]).await.context("is there a cluster?")?;
        // Without its sidecar a pod passes the restricted profile; whether that does is Dapr's business.
        let labels =
            ["pod-security.kubernetes.io/warn=restricted", "pod-security.kubernetes.io/enforce=baseline"];
        cluster.kubectl(&[&["label", "namespace", namespace][..], &labels].concat()).await?;
        Ok(cluster)
    }

    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=true", "--timeout=180s"]).await?;
        Ok(())
    }

    /// Runs a command that brings the image to the nodes.
    pub(crate) async fn load_image(&self, command: &str, image: &str) -> anyhow::Result<()> {
        let archive = folders::target().join("image/daca.tar").display().to_string();
        let line = command.replace("{archive}", &archive).replace("{image}", image);
        let status = Command::new("sh").arg("-c").arg(&line).status().await?;
        ensure!(status.success(), "{line}: {status}");
        Ok(())
    }

    /// Runs kubectl and answers its standard output. A warning of the server counts as an error.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.try_kubectl(arguments, None).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let line = arguments.join(" ");
        ensure!(output.status.success(), "kubectl {line}: {}", stderr.trim());
        let is_expected = |line: &str| EXPECTED_WARNINGS.iter().any(|words| line.contains(words));
        let warned = stderr.lines().any(|line| line.starts_with("Warning") && !is_expected(line));
        ensure!(!warned, "kubectl {line}: {stderr}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same with text for its standard input.
    pub(crate) async fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let output = self.try_kubectl(arguments, Some(input)).await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), stderr.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn try_kubectl(&self, arguments: &[&str], input: Option<&str>) -> anyhow::Result<Output> {
        let mut command = self.command(arguments);
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("starting kubectl")?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
        Ok(output.with_context(|| format!("kubectl {} does not end", arguments.join(" ")))??)
    }

    /// A kubectl that is not started yet. It ends with whoever has it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.args(["--namespace", &self.namespace]).args(arguments);
        command.current_dir(folders::root()).kill_on_drop(true);
        command
    }

    /// The object as JSON.
    pub(crate) async fn get(&self, what: &[&str]) -> anyhow::Result<Value> {
        let text = self.kubectl(&[&["get"], what, &["-o", "json"]].concat()).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until a rollout is over.
    pub(crate) async fn rolled_out(&self, what: &str) -> anyhow::Result<()> {
        let timeout = format!("--timeout={}s", TIMEOUT.as_secs() - 5);
        self.kubectl(&["rollout", "status", what, &timeout]).await.map(drop)
    }

    /// Forwards a port of a pod or a service.
    pub(crate) async fn forward(&self, to: &str, port: u16) -> anyhow::Result<Forward> {
        let mut command = self.command(&["port-forward", to, &format!(":{port}")]);
        let (child, line) = first_line(command.stderr(Stdio::null())).await?;
        // "Forwarding from 127.0.0.1:40123 -> 8000"
        let port = line.split(" -> ").next().and_then(|from| from.rsplit(':').next());
        let port = port.and_then(|port| port.parse().ok()).with_context(|| format!("no port in {line:?}"))?;
        Ok(Forward { _child: child, port })
    }

    /// A way to everything of the cluster, and so to its services from outside.
    pub(crate) async fn proxy(&self) -> anyhow::Result<Forward> {
        let (child, line) = first_line(&mut self.command(&["proxy", "--port=0"])).await?;
        // "Starting to serve on 127.0.0.1:40123"
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Ok(Forward { _child: child, port: port.with_context(|| format!("no port in {line:?}"))? })
    }

    /// The log of a container.
    pub(crate) async fn log(&self, pod: &str, container: &str) -> anyhow::Result<String> {
        self.kubectl(&["logs", pod, "-c", container, "--tail=-1"]).await
    }

    /// What helps to find out why something did not go well.
    pub(crate) async fn describe_trouble(&self) {
        for line in [
            &["get", "pods", "-o", "wide"][..],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["logs", "-l", "app.kubernetes.io/name=chat-agent", "-c", "daca", "--tail=2000", "--prefix"],
            &["logs", "-l", "app.kubernetes.io/name=chat-agent", "-c", "daprd", "--tail=2000", "--prefix"],
        ] {
            let Ok(output) = self.try_kubectl(line, None).await else { continue };
            let text = String::from_utf8_lossy(&output.stdout);
            let is_trouble = |line: &&str| !line.contains("\"INFO\"") && !line.contains("level=info");
            let lines = text.lines().filter(is_trouble).collect::<Vec<_>>();
            let last = &lines[lines.len().saturating_sub(MAX_LINES)..];
            println!("-- kubectl {}\n{}", line.join(" "), last.join("\n"));
        }
    }
}

async fn first_line(command: &mut Command) -> anyhow::Result<(Child, String)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("starting kubectl")?;
    let stdout = child.stdout.take().context("kubectl has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
    let line = line.context("kubectl says nothing")??.context("kubectl has ended")?;
    // Whatever it says later must not fill the pipe.
    tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
    Ok((child, line))
}

/// Tries until there is an answer. An error is only the last word when time is up.
pub(crate) async fn eventually<T>(
    what: &str,
    attempt: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    PATIENCE.until_some(what, attempt).await
}

/// A folder for what is written for kubectl.
pub(crate) fn scratch() -> anyhow::Result<PathBuf> {
    let folder = folders::target().join("k8s-test");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
