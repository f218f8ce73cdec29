//! The one connection to the sidecar: created on demand, recreated after a loss, and watched.
//!
//! When a sidecar dies, this host no longer owns its actors for certain: another host may have owned them before a new
//! sidecar is ready. The kernel closes the connection of a process that ends, and the HTTP/2 task reads all the time,
//! so the loss is noticed at once, long before a new sidecar can have joined. It ends an [`Epoch`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};

use dapr::dapr::proto::runtime::v1::dapr_client::DaprClient;

use super::epoch::Epoch;
use daca_base::{ErrorCode, Explained, Explanation};

/// A client of the sidecar. Cheap to clone: all clones share the connection.
pub(super) type Client = DaprClient<InterceptedService<Channel, Token>>;

/// A connection that cannot be made within this time counts as refused.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent sidecar on another machine is pinged after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The maximum size of an answer. The largest value of a state (`state-value`) must fit.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Why a connection to the sidecar is impossible.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address cannot be used.
    #[error("{address:?} is not the address of a sidecar: {reason}")]
    Address {
        /// The address.
        address: String,
        /// The problem.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("DAPR_API_TOKEN contains a character that is not allowed in an HTTP header")]
    Token,
    /// The client for the sidecar's HTTP API could not be created.
    #[error("{0}")]
    Client(reqwest::Error),
}

impl Explained for EndpointError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            EndpointError::Address { .. } => (
                ErrorCode::SidecarEndpointInvalid,
                "set DAPR_GRPC_PORT to a port, or DAPR_GRPC_ENDPOINT to http://HOST:PORT",
            ),
            EndpointError::Token => {
                (ErrorCode::SidecarTokenInvalid, "set it to the token that the sidecar was started with")
            }
            EndpointError::Client(_) => {
                (ErrorCode::SidecarClientUnavailable, "check the limits of the process, such as `ulimit -n`")
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// Creates a client whose connection is made with its first request.
pub(super) fn client(address: &str, token: Option<&str>) -> Result<(Client, Epoch), EndpointError> {
    let invalid = |reason: String| EndpointError::Address { address: address.to_owned(), reason };
    let uri = address.parse::<Uri>().map_err(|error| invalid(error.to_string()))?;
    if uri.scheme_str() != Some("http") || uri.port_u16().is_none() {
        return Err(invalid("it is not of the form http://HOST:PORT".into()));
    }
    let token = token.map(|token| token.parse().map_err(|_| EndpointError::Token)).transpose()?;
    let endpoint = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024);
    let epoch = Epoch::default();
    let watched = epoch.clone();
    let connector = tower::service_fn(move |uri: Uri| connect(uri, watched.clone()));
    let channel = endpoint.connect_with_connector_lazy(connector);
    let client = DaprClient::with_interceptor(channel, Token(token)).max_decoding_message_size(MAX_ANSWER);
    Ok((client, epoch))
}

async fn connect(uri: Uri, epoch: Epoch) -> io::Result<TokioIo<WatchedStream>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or_default())).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(WatchedStream { stream, epoch }))
}

/// Adds the token that the sidecar requires (`DAPR_API_TOKEN`).
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("dapr-api-token", token.clone());
        }
        Ok(request)
    }
}

/// A stream whose end begins a new ownership epoch.
struct WatchedStream {
    stream: TcpStream,
    epoch: Epoch,
}

impl Drop for WatchedStream {
    fn drop(&mut self) {
        self.epoch.begin();
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
