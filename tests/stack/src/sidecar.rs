//! Dapr's sidecar, `daprd`.

use std::path::{Path, PathBuf};

use daca_tests::{PROBE_TIMEOUT, Process, Program, client, is_well, ports};
use serde_json::Value;

/// The header that carries the token of Dapr's API.
const TOKEN_HEADER: &str = "dapr-api-token";

/// The ports of a sidecar.
#[derive(Debug, Clone, Copy)]
pub struct SidecarPorts {
    /// Dapr's HTTP API.
    pub http: u16,
    /// Dapr's gRPC API.
    pub grpc: u16,
    /// Where other sidecars connect.
    pub internal: u16,
    /// Metrics.
    pub metrics: u16,
}

impl SidecarPorts {
    /// Free ones.
    pub fn free() -> anyhow::Result<SidecarPorts> {
        let (http, grpc) = (ports::free()?, ports::free()?);
        Ok(SidecarPorts { http, grpc, internal: ports::free()?, metrics: ports::free()? })
    }
}

/// The tokens between a host and its sidecar.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// The one that callers of the sidecar must send.
    pub dapr_api: Option<String>,
    /// The one that the sidecar sends to the host.
    pub app_api: Option<String>,
}

/// How a sidecar is started. [`Stack::sidecar_options`](crate::Stack::sidecar_options) fills them in.
#[derive(Debug, Clone)]
pub struct SidecarOptions {
    /// The program, without the arguments that are made of the rest.
    pub program: Program,
    /// The app's id.
    pub app_id: String,
    /// Where the app listens.
    pub app_port: u16,
    /// The folder of the components.
    pub resources: PathBuf,
    /// A file with Dapr's Configuration.
    pub config: Option<PathBuf>,
    /// The tokens between it and the app.
    pub tokens: Tokens,
    /// `true` if the sidecar checks the health of the app each second.
    pub app_health_check: bool,
    /// The port of the placement service.
    pub placement: u16,
    /// The port of the scheduler service.
    pub scheduler: u16,
    /// The sidecar's own ports.
    pub ports: SidecarPorts,
}

impl SidecarOptions {
    /// The program with all its arguments and variables.
    fn whole_program(&self) -> Program {
        let ports = &self.ports;
        let program = self.program.clone();
        let mut program = program
            .option("--app-id", &self.app_id)
            .option("--app-port", self.app_port)
            .option("--app-protocol", "http")
            .option("--dapr-http-port", ports.http)
            .option("--dapr-grpc-port", ports.grpc)
            .option("--dapr-internal-grpc-port", ports.internal)
            .option("--metrics-port", ports.metrics)
            .option("--dapr-listen-addresses", "127.0.0.1")
            .option("--dapr-internal-grpc-listen-address", "127.0.0.1")
            .option("--metrics-listen-address", "127.0.0.1")
            .option("--placement-host-address", format!("127.0.0.1:{}", self.placement))
            .option("--scheduler-host-address", format!("127.0.0.1:{}", self.scheduler))
            .option("--resources-path", self.resources.display())
            .argument("--log-as-json")
            // What other sidecars are told; otherwise it is an address of this machine.
            .variable("DAPR_HOST_IP", "127.0.0.1");
        if let Some(config) = &self.config {
            program = program.option("--config", config.display());
        }
        if self.app_health_check {
            program = program
                .argument("--enable-app-health-check")
                .option("--app-health-check-path", "/healthz")
                .option("--app-health-probe-interval", 1)
                .option("--app-health-probe-timeout", 900)
                .option("--app-health-threshold", 1);
        }
        program.tokens(self.tokens.dapr_api.as_deref(), self.tokens.app_api.as_deref())
    }
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// How it was started.
    pub options: SidecarOptions,
    /// Its process.
    pub process: Process,
    client: reqwest::Client,
}

impl Sidecar {
    /// Starts a sidecar and waits until its HTTP API answers. It goes on loading once the app listens: see
    /// [`Sidecar::wait_ready`].
    pub async fn start(options: SidecarOptions) -> anyhow::Result<Sidecar> {
        let process = Process::start(options.whole_program())?;
        let sidecar = Sidecar { options, process, client: client()? };
        sidecar.wait_answers().await?;
        Ok(sidecar)
    }

    /// Starts it again on its ports, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.wait_answers().await
    }

    /// The port of Dapr's HTTP API.
    pub fn http_port(&self) -> u16 {
        self.options.ports.http
    }

    /// The port of Dapr's gRPC API.
    pub fn grpc_port(&self) -> u16 {
        self.options.ports.grpc
    }

    /// The URL of a path of Dapr's HTTP API, which starts with `/v1.0`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http_port())
    }

    /// A request to Dapr's HTTP API, with the token.
    pub fn request(&self, method: http::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, self.url(path));
        match &self.options.tokens.dapr_api {
            Some(token) => request.header(TOKEN_HEADER, token),
            None => request,
        }
    }

    /// What the sidecar says of itself.
    pub async fn metadata(&self) -> anyhow::Result<Value> {
        let request = self.request(http::Method::GET, "/v1.0/metadata");
        let answer = request.timeout(PROBE_TIMEOUT).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Waits until the sidecar hosts the app's actors.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        let check = async || self.metadata().await.is_ok_and(|it| it["actorRuntime"]["hostReady"] == true);
        self.process.wait_until("the actors", check).await
    }

    async fn wait_answers(&self) -> anyhow::Result<()> {
        let url = self.url("/v1.0/healthz/outbound");
        self.process.wait_until("an answer", async || is_well(&self.client, &url).await).await
    }
}

/// The variables that lead a sidecar's calls of Twilio to the edge.
pub(crate) fn twilio_environment(proxy: &str, ca: &Path) -> Vec<(String, String)> {
    let none = "localhost,127.0.0.1";
    let ca = ca.display().to_string();
    [("HTTPS_PROXY", proxy), ("SSL_CERT_FILE", &ca), ("NO_PROXY", none)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}
