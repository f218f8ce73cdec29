//! The sidecar's addresses and token.

use secrecy::SecretString;

/// The sidecar's addresses and token.
#[derive(Debug, Clone)]
pub struct SidecarOptions {
    /// Its gRPC API, as `http://HOST:PORT`.
    pub grpc: String,
    /// Its HTTP API, as `http://HOST:PORT`: the gRPC API cannot read a reminder before Dapr 1.17.
    pub http: String,
    /// The token that it requires (`DAPR_API_TOKEN`).
    pub api_token: Option<SecretString>,
    /// `true` if the sidecar is restarted when it ends, as the kubelet does with the containers of a pod.
    pub restarts: bool,
}

impl SidecarOptions {
    /// Reads the variables that Dapr sets for an application: `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT`, the same for HTTP, and
    /// `DAPR_API_TOKEN`. Without them the ports are Dapr's own defaults.
    pub fn from_environment() -> SidecarOptions {
        // A variable that was read from a file ends with a line end, which is not allowed in headers and addresses.
        let value = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned());
        let variable = |name: &str| value(name).filter(|value| !value.is_empty());
        let endpoint = |endpoint: &str, port: &str, default: &str| {
            variable(endpoint).unwrap_or_else(|| {
                let port = variable(port).unwrap_or_else(|| default.to_owned());
                format!("http://127.0.0.1:{port}")
            })
        };
        SidecarOptions {
            grpc: endpoint("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT", "50001"),
            http: endpoint("DAPR_HTTP_ENDPOINT", "DAPR_HTTP_PORT", "3500"),
            api_token: variable("DAPR_API_TOKEN").map(SecretString::from),
            // Kubernetes passes each container the address of its API server. A sidecar by address is not only this
            // pod's.
            restarts: variable("KUBERNETES_SERVICE_HOST").is_some()
                && variable("DAPR_GRPC_ENDPOINT").is_none(),
        }
    }
}
