//! One host beside its sidecar, spoken to over either.

use anyhow::Context as _;
use daca_stack::{AppOptions, HostWithSidecar, SidecarOptions, Stack};
use daca_tests::{Answer, client, ports};
use serde_json::Value;

use super::stacks::{components, stack_with};

/// How a [`Bench`] is started.
#[derive(Default)]
pub(crate) struct BenchOptions<'a> {
    pub(crate) manifest: String,
    /// Component files beside those of the project.
    pub(crate) components: &'a [(&'a str, &'a str)],
    /// Dapr's Configuration.
    pub(crate) config: Option<&'a str>,
    /// The token that callers of the sidecar must send, and that which it sends.
    pub(crate) dapr_api_token: Option<&'a str>,
    pub(crate) app_api_token: Option<&'a str>,
}

/// One host beside its sidecar, with the servers of the project except Kafka.
pub(crate) struct Bench {
    pub(crate) stack: Stack,
    pub(crate) host: HostWithSidecar,
    pub(crate) client: reqwest::Client,
}

impl Bench {
    /// With this manifest alone.
    pub(crate) async fn start(manifest: String) -> anyhow::Result<Bench> {
        Bench::start_with(BenchOptions { manifest, ..BenchOptions::default() }).await
    }

    pub(crate) async fn start_with(options: BenchOptions<'_>) -> anyhow::Result<Bench> {
        let (stack, app, sidecar) = Bench::prepare(options).await?;
        Bench::beside(stack, app, sidecar).await
    }

    /// Starts a host and its sidecar beside the servers.
    pub(crate) async fn beside(
        stack: Stack,
        app: AppOptions,
        sidecar: SidecarOptions,
    ) -> anyhow::Result<Bench> {
        let host = HostWithSidecar::start(app, sidecar).await?;
        Ok(Bench { stack, host, client: client()? })
    }

    /// The servers, and how a host and its sidecar are started beside them.
    pub(crate) async fn prepare(
        options: BenchOptions<'_>,
    ) -> anyhow::Result<(Stack, AppOptions, SidecarOptions)> {
        let BenchOptions { manifest, components: more, config, dapr_api_token, app_api_token } = options;
        let stack = stack_with(&[
            ("statestore.yaml", include_str!("../../../../components/local/statestore.yaml")),
            ("daca-pubsub.yaml", include_str!("../../../../components/local/daca-pubsub.yaml")),
            ("twilio-binding.yaml", include_str!("../../../../components/local/twilio-binding.yaml")),
            ("secretstore.yaml", include_str!("../../../../components/local/secretstore.yaml")),
        ])
        .await?;
        components(&stack.resources, more)?;
        std::fs::write(stack.folder.join("agents.toml"), manifest)?;
        let mut sidecar = stack.sidecar_options("sidecar", ports::free()?)?;
        sidecar.tokens.dapr_api = dapr_api_token.map(str::to_owned);
        sidecar.tokens.app_api = app_api_token.map(str::to_owned);
        if let Some(config) = config {
            let path = stack.folder.join("dapr-config.yaml");
            std::fs::write(&path, config)?;
            sidecar.config = Some(path);
        }
        let app = stack.app_options("host", &stack.folder.join("agents.toml"), &sidecar)?;
        Ok((stack, app, sidecar))
    }

    /// A request to the host's own port, as the sidecar makes it.
    pub(crate) async fn direct(
        &self,
        method: http::Method,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        Answer::of(self.client.request(method, self.host.app.url(path)).body(body.to_owned())).await
    }

    /// A request to the sidecar's HTTP API.
    pub(crate) async fn sidecar(
        &self,
        method: http::Method,
        path: &str,
        body: &str,
    ) -> anyhow::Result<Answer> {
        Answer::of(self.host.sidecar.request(method, path).body(body.to_owned())).await
    }

    /// Calls a method of an `Exerciser` through the sidecar; the id is a segment of a path.
    pub(crate) async fn invoke(&self, id: &str, method: &str, payload: &Value) -> anyhow::Result<Answer> {
        let path = format!("/v1.0/actors/Exerciser/{id}/method/{method}");
        self.sidecar(http::Method::PUT, &path, &payload.to_string()).await
    }

    /// The same for a method that must answer well. Answers its reply.
    pub(crate) async fn call(&self, id: &str, method: &str, payload: &Value) -> anyhow::Result<Value> {
        let answer = self.invoke(id, method, payload).await?;
        anyhow::ensure!(answer.outcome() == (200, None), "{id} {method}: {answer:?}");
        Ok(answer.body)
    }

    /// The firings that an actor recorded.
    pub(crate) async fn fired(&self, id: &str) -> anyhow::Result<Vec<Value>> {
        let fired = self.call(id, "Fired", &Value::Null).await?;
        fired.as_array().cloned().context("the firings are a list")
    }
}
