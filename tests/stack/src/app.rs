//! The host under test, `daca`, beside a sidecar.

use std::path::PathBuf;

use daca_tests::{Process, Program, client, is_well, json_or_text, run_arguments};
use serde_json::Value;

use crate::sidecar::{SidecarPorts, Tokens};

/// How a host is started. [`Stack::app_options`](crate::Stack::app_options) fills them in.
#[derive(Debug, Clone)]
pub struct AppOptions {
    /// The program, without the arguments that are made of the rest.
    pub program: Program,
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
    /// The ports of the sidecar.
    pub sidecar: SidecarPorts,
    /// The tokens between it and the sidecar.
    pub tokens: Tokens,
}

impl AppOptions {
    /// The program with all its arguments and variables.
    fn whole_program(&self) -> Program {
        let listen = format!("127.0.0.1:{}", self.listen);
        let program = self.program.clone();
        program
            .arguments(run_arguments("dapr", &self.manifest, &self.data, listen))
            .option("--admin", format!("127.0.0.1:{}", self.admin))
            .option("--log-format", self.log_format)
            .variable("DAPR_HTTP_PORT", self.sidecar.http.to_string())
            .variable("DAPR_GRPC_PORT", self.sidecar.grpc.to_string())
            .without_variable("DAPR_HTTP_ENDPOINT")
            .without_variable("DAPR_GRPC_ENDPOINT")
            .tokens(self.tokens.dapr_api.as_deref(), self.tokens.app_api.as_deref())
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
        let process = Process::start(options.whole_program())?;
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
