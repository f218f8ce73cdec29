//! The edge of Twilio: what stands at `https://api.twilio.com`.
//!
//! Dapr's Twilio binding has that address built in, but it honours `HTTPS_PROXY` and `SSL_CERT_FILE`. So this is a proxy that
//! answers CONNECT to that one host, and then is that host itself, with a certificate of its own authority. The binding, its
//! secrets and what it sends stay the real ones.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// The host that the binding calls.
const HOST: &str = "api.twilio.com";

const MAX_CONNECTIONS: usize = 256;
const MAX_BODY: usize = 64 << 10;
const MAX_KEPT: usize = 100_000;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A request to send an SMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sms {
    /// When it had come.
    pub at: Instant,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// The header `Authorization`, empty when there was none.
    pub authorization: String,
    /// The header `Content-Type`, empty when there was none.
    pub content_type: String,
    /// The form's field `To`, decoded.
    pub to: String,
    /// The form's field `From`, decoded.
    pub from: String,
    /// The form's field `Body`, decoded.
    pub body: String,
}

/// What happens to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// They are accepted with status 201.
    Accept,
    /// They get an error with this status.
    Answer(u16),
    /// They are taken and never answered.
    Never,
    /// They are taken, and the connection is closed without an answer.
    Reset,
}

/// The running edge. Dropping it stops it.
#[derive(Debug)]
pub struct Twilio {
    /// The address of the proxy.
    pub address: SocketAddr,
    /// The certificate of the authority, for `SSL_CERT_FILE`.
    pub ca: PathBuf,
    shared: Arc<EdgeState>,
    accepting: JoinHandle<()>,
}

/// What the edge was told, and what it has received.
#[derive(Debug)]
struct EdgeState {
    behaviour: Mutex<Behaviour>,
    received: Mutex<VecDeque<Sms>>,
    count: AtomicU64,
    news: broadcast::Sender<Sms>,
}

impl Twilio {
    /// Starts it on a free port of loopback, and writes the authority's certificate into the folder.
    pub async fn start(folder: &Path) -> anyhow::Result<Twilio> {
        Twilio::start_at(folder, Ipv4Addr::LOCALHOST.into()).await
    }

    /// The same on another address of this machine.
    pub async fn start_at(folder: &Path, address: IpAddr) -> anyhow::Result<Twilio> {
        let ca = folder.join("twilio-ca.pem");
        let acceptor = TlsAcceptor::from(Arc::new(tls(&ca)?));
        let listener = TcpListener::bind((address, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(EdgeState {
            behaviour: Mutex::new(Behaviour::Accept),
            received: Mutex::default(),
            count: AtomicU64::new(0),
            news: broadcast::channel(1024).0,
        });
        let accepting = tokio::spawn(accept(listener, acceptor, shared.clone()));
        Ok(Twilio { address, ca, shared, accepting })
    }

    /// The proxy's address, for `HTTPS_PROXY`.
    pub fn proxy(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was received, in that order; the last 100,000.
    pub fn received(&self) -> Vec<Sms> {
        lock(&self.shared.received).iter().cloned().collect()
    }

    /// How many were received since the start, or since [`Twilio::forget`].
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Forgets what was received.
    pub fn forget(&self) {
        lock(&self.shared.received).clear();
        self.shared.count.store(0, Ordering::Relaxed);
    }

    /// What is received from now on, as it comes.
    pub fn news(&self) -> broadcast::Receiver<Sms> {
        self.shared.news.subscribe()
    }

    /// Changes what happens to requests from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }
}

impl Drop for Twilio {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl EdgeState {
    fn keep(&self, sms: Sms) {
        let mut received = lock(&self.received);
        if received.len() == MAX_KEPT {
            received.pop_front();
        }
        received.push_back(sms.clone());
        self.count.fetch_add(1, Ordering::Relaxed);
        // There may be nobody who listens.
        self.news.send(sms).ok();
    }
}

/// An authority and a host's certificate of it.
fn tls(ca: &Path) -> anyhow::Result<ServerConfig> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "daca-stack");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    std::fs::write(ca, authority.pem()).with_context(|| format!("writing {}", ca.display()))?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([HOST.to_owned()])?.signed_by(&key, &authority)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<EdgeState>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(permit) = connections.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(proxy(stream, acceptor.clone(), shared.clone(), permit))),
            // Out of file descriptors, for example.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection as a proxy.
async fn proxy(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<EdgeState>,
    permit: OwnedSemaphorePermit,
) {
    let permit = Arc::new(permit);
    let service = service_fn(move |request| {
        let answer = connect(request, acceptor.clone(), shared.clone(), permit.clone());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    // How a connection ends is the client's affair.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
}

/// Answers CONNECT, and becomes the host that the client wants to speak to.
fn connect(
    request: Request<Incoming>,
    acceptor: TlsAcceptor,
    shared: Arc<EdgeState>,
    permit: Arc<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    let host = request.uri().authority().map(|authority| authority.as_str());
    if request.method() != Method::CONNECT || host != Some(&format!("{HOST}:443")) {
        return plain(StatusCode::FORBIDDEN, format!("this proxy leads to {HOST}:443 alone\n"));
    }
    tokio::spawn(async move {
        let _permit = permit;
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let handshake = acceptor.accept(TokioIo::new(upgraded));
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
                serve(stream, shared).await;
            }
        }
    });
    plain(StatusCode::OK, String::new())
}

/// Serves one connection as Twilio.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<EdgeState>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { answer(request, &shared).await }
    });
    // How a connection ends is the client's affair.
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

/// An error closes the connection.
async fn answer(request: Request<Incoming>, shared: &EdgeState) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(error(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let header = |name: HeaderName| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let form = body.to_bytes();
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(&form);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let sms = Sms {
        at: Instant::now(),
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        authorization: header(AUTHORIZATION),
        content_type: header(CONTENT_TYPE),
        to: field("To"),
        from: field("From"),
        body: field("Body"),
    };
    shared.keep(sms.clone());
    let behaviour = *lock(&shared.behaviour);
    match behaviour {
        Behaviour::Accept => Ok(accepted(&sms)),
        Behaviour::Answer(status) => Ok(error(StatusCode::from_u16(status).unwrap_or_default())),
        Behaviour::Never => std::future::pending().await,
        Behaviour::Reset => Err(std::io::ErrorKind::ConnectionReset.into()),
    }
}

/// A message as Twilio shows it.
fn accepted(sms: &Sms) -> Response<Full<Bytes>> {
    let account = sms.path.split('/').nth(3).unwrap_or_default();
    let sid = format!("SM{}", uuid::Uuid::new_v4().simple());
    let message = json!({
        "sid": sid,
        "account_sid": account,
        "to": sms.to,
        "from": sms.from,
        "body": sms.body,
        "status": "queued",
        "direction": "outbound-api",
        "num_segments": "1",
        "error_code": null,
        "error_message": null,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
    });
    with_json(StatusCode::CREATED, &message)
}

/// An error as Twilio writes it.
fn error(status: StatusCode) -> Response<Full<Bytes>> {
    let code = 20_000 + u32::from(status.as_u16());
    let message = json!({
        "code": code,
        "message": status.canonical_reason().unwrap_or("Error"),
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status.as_u16(),
    });
    with_json(status, &message)
}

fn with_json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = plain(status, body.to_string());
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
