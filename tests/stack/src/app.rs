//! The host under test, `daca`, beside a sidecar.

use std::path::PathBuf;

use daca_tests::{Process, Program, client, is_well, json_or_text, run_arguments};
use serde_json::Value;

/// How a host is started. [`Stack::app_options`](crate::Stack::app_options) fills them in.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The program.
    pub program: PathBuf,
    /// The folder for its log, which is `{name}.log`.
    pub folder: PathBuf,
    /// What the process is called in messages.
    pub name: String,
    /// The manifest.
    pub manifest: PathBuf,
    /// The port of the application.
    pub listen: u16,
    /// The port of the admin API.
    pub admin: u16,
    /// The folder for state and compiled code.
    pub data: PathBuf,
    /// The form of its log: `json`, as [`App::log`] reads it, or `text`.
    pub log_format: &'static str,
    /// The port of the sidecar's HTTP API.
    pub dapr_http_port: u16,
    /// The port of the sidecar's gRPC API.
    pub dapr_grpc_port: u16,
    /// The token that the host sends to the sidecar.
    pub dapr_api_token: Option<String>,
    /// The token that the host expects of the sidecar.
    pub app_api_token: Option<String>,
    /// Further arguments of `daca run`.
    pub arguments: Vec<String>,
    /// Further variables of the environment.
    pub environment: Vec<(String, String)>,
}

impl AppOptions {
    fn program(&self) -> Program {
        let listen = format!("127.0.0.1:{}", self.listen);
        Program::new(&self.name, &self.program, &self.folder)
            .arguments(run_arguments("dapr", &self.manifest, &self.data, listen))
            .option("--admin", format!("127.0.0.1:{}", self.admin))
            .option("--log-format", self.log_format)
            .variable("DAPR_HTTP_PORT", self.dapr_http_port.to_string())
            .variable("DAPR_GRPC_PORT", self.dapr_grpc_port.to_string())
            .without_variable("DAPR_HTTP_ENDPOINT")
            .without_variable("DAPR_GRPC_ENDPOINT")
            .tokens(self.dapr_api_token.as_deref(), self.app_api_token.as_deref())
            .variables(&self.environment)
            .arguments(&self.arguments)
    }
}

/// A running host.
#[derive(Debug)]
pub struct App {
    /// How it was started.
    pub options: AppOptions,
    /// Its process.
    pub process: Process,
    client: reqwest::Client,
}

impl App {
    /// Starts a host and waits until it listens.
    pub async fn start(options: AppOptions) -> anyhow::Result<App> {
        let process = Process::start(options.program())?;
        let app = App { options, process, client: client()? };
        app.wait_listening().await?;
        Ok(app)
    }

    /// Starts it again on its ports with its data, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.wait_listening().await
    }

    /// The URL of a path of the application.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.options.listen)
    }

    /// The URL of a path of the admin API.
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.options.admin)
    }

    /// Waits until the host says that its sidecar hosts its actors.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        let url = self.url("/readyz");
        self.process.wait_until("ready", async || is_well(&self.client, &url).await).await
    }

    /// The last lines of its log; a line that is not JSON is a JSON string.
    pub fn log(&self) -> anyhow::Result<Vec<Value>> {
        Ok(self.process.log_lines()?.into_iter().map(json_or_text).collect())
    }

    async fn wait_listening(&self) -> anyhow::Result<()> {
        self.process.wait_listening(self.options.listen).await
    }
}
