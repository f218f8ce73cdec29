//! Reports the deployments and rejections of a host to its cluster, as events of its pod: `kubectl describe pod` and
//! `kubectl get events` show them, which is where somebody looks after changing a ConfigMap.
//!
//! A host knows its pod from the variables `POD_NAME`, `POD_NAMESPACE` and `POD_UID` (the downward API), and needs the
//! right to create events. Without them nothing is reported, and nothing else changes.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;

use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_deploy::{Deployer, Event, EventKind, Source, TypeView};
use daca_model::admin::Word;

/// The files of a pod's account (`automountServiceAccountToken`).
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The delay before a rejected event is sent again.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// The timeout of one event.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum length of an event's message in bytes (`validateV1EventSeries` and `ValidateEvent` in
/// `pkg/apis/core/validation/events.go`).
const MAX_MESSAGE: usize = 1024;
/// The bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Why an event was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pod's account could not be read.
    #[error("the pod's account: {0}")]
    Account(io::Error),
    /// The API server was not reached, or its certificate is not that of the cluster.
    #[error("the API server: {0}")]
    Connection(io::Error),
    /// The request was cut off.
    #[error("the API server: {0}")]
    Request(#[from] hyper::Error),
    /// It took too long.
    #[error("the API server did not answer within {TIMEOUT:?}")]
    Timeout,
    /// It was refused.
    #[error("the API server answered {status}: {text}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of the answer.
        text: String,
    },
}

impl Error {
    /// Returns `true` if the same event would be rejected again.
    fn is_final(&self) -> bool {
        const PASSING: [StatusCode; 4] = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        matches!(self, Error::Refused { status, .. } if status.is_client_error() && !PASSING.contains(status))
    }
}

/// The pod of this host.
#[derive(Debug, Clone)]
pub struct Pod {
    name: String,
    namespace: String,
    uid: String,
    /// The API server, as Kubernetes passes it to each container.
    host: String,
    port: u16,
}

impl Pod {
    /// Reads the environment. `None` outside a cluster, or if the pod's own name is not in it.
    pub fn from_environment() -> Option<Pod> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Some(Pod {
            name: variable("POD_NAME")?,
            namespace: variable("POD_NAMESPACE")?,
            uid: variable("POD_UID")?,
            host: variable("KUBERNETES_SERVICE_HOST")?,
            port: variable("KUBERNETES_SERVICE_PORT")?.parse().ok()?,
        })
    }

    /// Reports events from now on, until `stop`. Rejected events are sent again, as long as the record of the agent
    /// type has them.
    pub async fn report(self, deployer: Arc<Deployer>, stop: CancellationToken) {
        let since = Timestamp::now();
        let mut changes = deployer.changes();
        let mut told = HashSet::new();
        let mut failed = false;
        loop {
            changes.mark_unchanged();
            let views = deployer.views();
            let telling = self.tell_new(&views, since, &mut told);
            let Some(result) = stop.run_until_cancelled(telling).await else { return };
            if let Err(error) = &result
                && !failed
            {
                tracing::warn!(
                    code = ErrorCode::ClusterEventFailed.as_str(),
                    "the deployment could not be reported to the cluster: {error}"
                );
            }
            failed = result.is_err();
            let wait = async {
                if failed {
                    tokio::time::sleep(RETRY_DELAY).await;
                    return true;
                }
                changes.changed().await.is_ok()
            };
            // There are no more changes once the deployments have ended.
            if stop.run_until_cancelled(wait).await != Some(true) {
                return;
            }
        }
    }

    async fn tell_new(
        &self,
        views: &[TypeView],
        since: Timestamp,
        told: &mut HashSet<String>,
    ) -> Result<(), Error> {
        let mut remembered = HashSet::new();
        for view in views {
            for event in &view.record.history {
                let Ok(at) = event.at.parse::<Timestamp>() else { continue };
                // The record has milliseconds.
                if at.as_millisecond() < since.as_millisecond() {
                    continue;
                }
                let key = key(&view.agent_type, event, at);
                if !told.contains(&key) {
                    match self.tell(view, event).await {
                        Err(error) if error.is_final() => {
                            tracing::warn!(
                                code = ErrorCode::ClusterEventFailed.as_str(),
                                "an event was skipped: {error}"
                            );
                        }
                        result => result?,
                    }
                    told.insert(key.clone());
                }
                remembered.insert(key);
            }
        }
        // No more than the records have.
        told.retain(|key| remembered.contains(key));
        Ok(())
    }

    async fn tell(&self, view: &TypeView, event: &Event) -> Result<(), Error> {
        let body = self.event(view, event).to_string();
        tokio::time::timeout(TIMEOUT, self.post(body)).await.map_err(|_| Error::Timeout)?
    }

    /// The event in the API server's format (`v1`, `Event`).
    fn event(&self, view: &TypeView, event: &Event) -> Value {
        let (reason, is_warning) = reason(event);
        let now = format!("{:.0}", Timestamp::now());
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "generateName": format!("{}.", self.name), "namespace": self.namespace },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": self.name,
                "namespace": self.namespace,
                "uid": self.uid,
            },
            "reason": reason,
            "type": if is_warning { "Warning" } else { "Normal" },
            "message": message(view, event),
            "source": { "component": "daca" },
            "reportingComponent": "daca",
            "reportingInstance": self.name,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        })
    }

    async fn post(&self, body: String) -> Result<(), Error> {
        // The kubelet renews them, so they are read each time.
        let token = Path::new(ACCOUNT).join("token");
        let token = tokio::fs::read_to_string(token).await.map_err(Error::Account)?;
        let reading = tokio::task::spawn_blocking(|| connector(&Path::new(ACCOUNT).join("ca.crt")));
        let connector = reading.await.map_err(|ended| Error::Account(io::Error::other(ended)))??;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(Error::Connection)?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| Error::Connection(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = connector.connect(name, stream).await.map_err(Error::Connection)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/v1/namespaces/{}/events", self.namespace))
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::AUTHORIZATION, format!("Bearer {}", token.trim()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Error::Connection(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let text = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        connection.abort();
        if status.is_success() {
            return Ok(());
        }
        let text = text.map(|text| text.to_bytes()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Err(Error::Refused { status, text: daca_base::telemetry::shortened(&text).to_owned() })
    }
}

/// Trusts only the cluster's own authority. Blocks.
fn connector(authority: &Path) -> Result<TlsConnector, Error> {
    let unusable = |error: String| Error::Account(io::Error::new(io::ErrorKind::InvalidData, error));
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(authority).map_err(|error| unusable(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The identity of an event that is reported once. Each host that finds the same file adds its refusal to the record:
/// one a minute is enough of these.
fn key(agent_type: &str, event: &Event, at: Timestamp) -> String {
    let at = match event.kind {
        Word::Known(EventKind::Refused) => at.as_second() / 60,
        _ => at.as_millisecond(),
    };
    format!("{agent_type} {at} {} {}", event.kind, event.version)
}

/// The event's reason, and whether it is a warning.
fn reason(event: &Event) -> (&'static str, bool) {
    let Word::Known(kind) = &event.kind else { return ("ComponentChanged", false) };
    match kind {
        EventKind::Deployed | EventKind::Promoted => ("ComponentDeployed", false),
        EventKind::Canary => ("ComponentOnTrial", false),
        // The host itself rolls back only a failing version.
        EventKind::RolledBack => ("ComponentRolledBack", event.source == Word::Known(Source::Host)),
        EventKind::Refused => ("ComponentRefused", true),
        EventKind::Pinned | EventKind::Unpinned => ("ActorPinned", false),
        EventKind::Unchanged => ("ComponentUnchanged", false),
    }
}

fn message(view: &TypeView, event: &Event) -> String {
    let (agent_type, version) = (&view.agent_type, short(&event.version));
    let by =
        if event.initiated_by.is_empty() { String::new() } else { format!(", by {}", event.initiated_by) };
    let mut text = match &event.kind {
        Word::Known(EventKind::Refused) => {
            let code = event.code.as_deref().unwrap_or("refused");
            let serving = short(&view.record.serving);
            format!(
                "{agent_type}: version {version} was refused ({code}): {}; version {serving} keeps serving{by}",
                event.text
            )
        }
        Word::Known(EventKind::Deployed | EventKind::Promoted) => {
            format!("{agent_type}: version {version} serves{by}")
        }
        Word::Known(EventKind::Canary) => {
            format!("{agent_type}: version {version} serves a share of the actors{by}")
        }
        Word::Known(EventKind::RolledBack) => {
            format!("{agent_type}: version {version} was rolled back {}{by}", event.text)
        }
        Word::Known(EventKind::Pinned) => {
            format!("{agent_type}: an actor is pinned to version {version}{by}")
        }
        Word::Known(EventKind::Unpinned) => {
            format!("{agent_type}: an actor is no longer pinned to version {version}{by}")
        }
        Word::Known(EventKind::Unchanged) => format!("{agent_type}: version {version} serves already{by}"),
        // Of a newer host.
        Word::Other(word) => format!("{agent_type}: version {version}: {word}{by}"),
    };
    text.truncate(text.floor_char_boundary(MAX_MESSAGE));
    text
}
