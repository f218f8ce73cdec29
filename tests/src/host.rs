//! A host in a process of its own, spoken to over HTTP, with its log at hand.

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::answer::{Answer, json_or_text};
use crate::folders::daca;
use crate::program::{OPERATORS, exchange, run_arguments};
use crate::wait::{TIMEOUT, eventually};

/// A host process and what is needed to talk to it. Dropping it kills the process.
pub struct Host {
    child: Child,
    pub(crate) client: Client,
    /// The application's port, as `http://address`.
    pub app: String,
    /// The admin port, as `http://address`.
    pub admin: String,
    log: Log,
    folder: Arc<TempDir>,
}

/// The lines that a host has logged, each a JSON object.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Value>>>);

impl Host {
    /// Starts a host with a manifest, given as text, in a new folder, and waits until it is ready.
    pub async fn start(manifest: &str) -> anyhow::Result<Host> {
        let folder = Arc::new(TempDir::new()?);
        Host::start_in(folder, manifest).await
    }

    /// The folder of the manifest; the data lie in `data` within it. To start another host in it later.
    pub fn folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// Starts a host in a folder that an earlier one may have used.
    pub async fn start_in(folder: Arc<TempDir>, manifest: &str) -> anyhow::Result<Host> {
        Host::start_with(folder, manifest, &[]).await
    }

    /// The same with variables of the environment.
    pub async fn start_with(
        folder: Arc<TempDir>,
        manifest: &str,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Host> {
        Host::start_with_options(folder, manifest, variables, &[]).await
    }

    /// The same with further options of the command line, such as another `--admin`.
    pub async fn start_with_options(
        folder: Arc<TempDir>,
        manifest: &str,
        variables: &[(&str, &str)],
        options: &[&str],
    ) -> anyhow::Result<Host> {
        let command = Host::command(folder.path());
        Host::spawn(command, folder, manifest, variables, options).await
    }

    /// A host with the Dapr backend whose sidecar is away: it listens, and is not ready.
    pub async fn start_without_sidecar(manifest: &str) -> anyhow::Result<Host> {
        let folder = Arc::new(TempDir::new()?);
        let command = Host::command_on("dapr", folder.path());
        // Nobody listens at this port.
        Host::spawn(command, folder, manifest, &[("DAPR_GRPC_PORT", "1")], &[]).await
    }

    async fn spawn(
        mut command: Command,
        folder: Arc<TempDir>,
        manifest: &str,
        variables: &[(&str, &str)],
        options: &[&str],
    ) -> anyhow::Result<Host> {
        std::fs::write(folder.path().join("agents.toml"), manifest)?;
        if !options.contains(&"--admin") {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        command.args(options).envs(variables.iter().copied());
        Host::launch(command, folder)?.ready().await
    }

    /// Starts `daca dev` in a project within a folder, as its author does: with the manifest and the data of the project.
    pub async fn start_dev(folder: Arc<TempDir>, project: &str) -> anyhow::Result<Host> {
        Host::launch_dev(folder, project)?.ready().await
    }

    /// The same, for a start that may not succeed: only its log can be read until it is [`ready`](Host::ready).
    pub fn launch_dev(folder: Arc<TempDir>, project: &str) -> anyhow::Result<Host> {
        let mut command = Command::new(daca());
        command.arg("dev").args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--backend", "embedded"]).current_dir(folder.path().join(project));
        // Whoever runs the tests may have another one, and the manifest names the project's own.
        command.env_remove("CARGO_TARGET_DIR");
        Host::launch(with_log(command), folder)
    }

    fn launch(mut command: Command, folder: Arc<TempDir>) -> anyhow::Result<Host> {
        let mut child = command
            .spawn()
            .with_context(|| format!("{} must be built first: cargo xtask test", daca().display()))?;
        let log = Log::default();
        let stderr = child.stderr.take().context("the child has no stderr")?;
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(json_or_text(line));
            }
        });
        let client = Client::builder().no_proxy().build()?;
        Ok(Host { child, client, app: String::new(), admin: String::new(), log, folder })
    }

    /// Waits until it is ready.
    pub async fn ready(mut self) -> anyhow::Result<Host> {
        // The first is the embedded backend's line.
        let listens =
            |line: &Value| ["ready:", "listening:"].iter().any(|start| message(line).starts_with(start));
        let ready = self.wait_for_log("ready", listens).await?;
        self.app = format!("http://{}", ready["address"].as_str().unwrap_or_default());
        self.admin = format!("http://{}", ready["admin"].as_str().unwrap_or_default());
        Ok(self)
    }

    /// The command line of a host whose manifest is `agents.toml` in the folder.
    pub fn command(folder: &Path) -> Command {
        Host::command_on("embedded", folder)
    }

    fn command_on(backend: &str, folder: &Path) -> Command {
        let (manifest, data) = (folder.join("agents.toml"), folder.join("data"));
        let mut command = Command::new(daca());
        command.args(run_arguments(backend, &manifest, &data, "127.0.0.1:0"));
        with_log(command)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request to the application's port.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Answer> {
        self.send_with(method, path, body, &[]).await
    }

    /// The same, with headers, of which one may be there several times.
    pub async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let request = self.client.request(method, format!("{}{path}", self.app)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(request).await
    }

    /// Sends a request to the application's port whose path is not touched by any client.
    pub fn send_raw(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}"
        );
        Answer::of_text(&exchange(&self.app, format!("{head}\r\n\r\n{body}").as_bytes())?)
    }

    /// Posts JSON to the application's port.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Gets from the application's port.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, "").await
    }

    /// Gets from the admin port.
    pub async fn get_admin(&self, path: &str) -> anyhow::Result<Answer> {
        Answer::of(self.client.get(format!("{}{path}", self.admin))).await
    }

    /// Calls a method of an actor (`TYPE/ID`) by the admin port.
    pub async fn invoke(&self, actor: &str, method: &str, payload: &Value) -> anyhow::Result<Answer> {
        let url = match actor.split_once('/') {
            Some((agent_type, id)) => format!("{}/actors/{agent_type}/{id}/method/{method}", self.admin),
            None => bail!("{actor:?} is not TYPE/ID"),
        };
        Answer::of(self.client.post(url).body(payload.to_string())).await
    }

    /// Calls a method that must answer 200, and answers its reply.
    pub async fn call(&self, actor: &str, method: &str, payload: &Value) -> anyhow::Result<Value> {
        let answer = self.invoke(actor, method, payload).await?;
        if answer.status != StatusCode::OK {
            bail!("{actor} {method}: {answer:?}");
        }
        Ok(answer.body)
    }

    /// Calls a method without waiting for the answer.
    pub fn begin(
        self: &Arc<Host>,
        actor: &str,
        method: &str,
        payload: &Value,
    ) -> tokio::task::JoinHandle<anyhow::Result<Answer>> {
        let (host, actor, method, payload) =
            (self.clone(), actor.to_owned(), method.to_owned(), payload.clone());
        tokio::spawn(async move { host.invoke(&actor, &method, &payload).await })
    }

    /// Waits until a turn of an actor runs and so many calls wait behind it.
    pub async fn until_busy(&self, actor: &str, queued: usize) -> anyhow::Result<()> {
        eventually("the actor runs and its queue is that long", async || self.is_busy(actor, queued).await)
            .await
    }

    /// Waits until no turn of an actor runs: its last answer may be a moment ahead of that.
    pub async fn until_idle(&self, actor: &str) -> anyhow::Result<()> {
        let runs =
            async || anyhow::Ok(self.activation(actor).await?.is_some_and(|one| one["running"] == true));
        eventually("the actor is idle", async || Ok(!runs().await?)).await
    }

    /// Does a turn of an actor run, and do so many calls wait behind it?
    pub async fn is_busy(&self, actor: &str, queued: usize) -> anyhow::Result<bool> {
        let active = self.activation(actor).await?;
        Ok(active.is_some_and(|one| one["running"] == true && one["queued"] == queued))
    }

    /// An actor as `GET /activations` shows it, if it is active.
    pub async fn activation(&self, actor: &str) -> anyhow::Result<Option<Value>> {
        let mut active = self.get_admin("/activations?limit=10000").await?.body["activations"].take();
        let name = |one: &Value| format!("{}/{}", one["agent_type"], one["actor_id"]).replace('"', "");
        let mut found = active.as_array_mut().into_iter().flatten().filter(|one| name(one) == actor);
        Ok(found.next().map(Value::take))
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line of the log.
    pub async fn wait_for_log(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            if let Some(line) = self.log().into_iter().find(|line| is_it(line)) {
                return Ok(line);
            }
            if start.elapsed() > TIMEOUT {
                bail!("no line about {what} in the log:\n{:#?}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for a line of the log whose message contains a text.
    pub async fn wait_for_message(&self, text: &str) -> anyhow::Result<Value> {
        self.wait_for_log(text, |line| message(line).contains(text)).await
    }

    /// Sends a signal, such as `TERM` or `INT`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status()?;
        if sent.success() { Ok(()) } else { bail!("kill -{name} failed") }
    }

    /// Sends SIGTERM, waits for the end, and answers how the process ended.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait().await
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the host did not end")
    }

    /// Kills the process at once, as a crash does.
    pub fn kill(mut self) -> anyhow::Result<Arc<TempDir>> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(self.folder.clone())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host's command whose log is read here.
fn with_log(mut command: Command) -> Command {
    command
        .args(["--log-format", "json"])
        .env("DACA_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for name in OPERATORS {
        command.env_remove(name);
    }
    command
}

/// The message of a line of the log.
pub fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}
