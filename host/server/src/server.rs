//! Accepts connections, serves their requests within the limits of [`super::connections`] and [`super::body`], and
//! shuts down.

use std::convert::Infallible;
use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, PollSemaphore};
use tower::{Service, ServiceExt as _};

use super::answer::HttpError;
use super::answering::Answering;
use super::body::{BodyBounds, BodyOwner, RequestBody};
use super::body_turns::BodyTurns;
use super::budget::Budget;
use super::connection::Connection;
use super::connections::{ConnectionPermit, Connections};
use super::head::{self, HeadCut, LineLimits};
use super::head_timer::HeadTimer;
use super::lingering::Lingering;
use super::log_limit::LogLimit;
use super::socket::{AnswerTooSlow, HEAD_TIMEOUT, LARGE_HEADS, Socket};
use daca_base::ErrorCode;
use daca_base::memory::MemoryBudget;
use daca_model::CallError;

/// Connections that wait in the kernel until they are accepted; it lowers the number to `net.core.somaxconn`. Further
/// ones are dropped, and their clients retry later and later, so none of those who wait would be sure of its turn.
const BACKLOG: u32 = 4096;
/// The wait after a failed accept: most often the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The time for which an evicted connection is still read: a request that has arrived, and that nobody has had the time
/// to read, is answered.
const LAST_READ_TIME: Duration = Duration::from_millis(10);
/// The interval at which an evicted connection with a running request is checked again.
const EVICTION_PAUSE: Duration = Duration::from_secs(1);

/// The options of a port.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Concurrent connections. Further ones serve health checks only.
    pub max_connections: usize,
    /// Those of one peer on another machine.
    pub max_connections_per_peer: usize,
    /// Connections beyond these limits, which serve health checks only. As many again may be ending.
    pub max_spare_connections: usize,
    /// The paths of the health checks.
    pub health: &'static [&'static str],
    /// The maximum size of a body in bytes.
    pub max_body: usize,
    /// The time for a whole body to arrive, and for an answer to be read.
    pub body_time: Duration,
    /// The minimum rate in bytes a second, of a body that arrives and of an answer that is read.
    pub least_body_rate: usize,
    /// The budget of all bodies in bytes. Without it, the handlers limit the bytes.
    pub max_held_body_bytes: Option<usize>,
    /// The host's budget of memory, in which bodies count.
    pub memory: MemoryBudget,
    /// Connections from this machine are the sidecar's. They have separate permits and half of the bodies' bytes, and a
    /// client there that closes its sending side is gone: see [`Connection::may_half_close`].
    pub behind_sidecar: bool,
}

/// What answers the requests of a port.
pub trait PortService:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<T> PortService for T where
    T: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// A listening port.
pub struct Server<A> {
    listener: TcpListener,
    serving: Arc<Serving<A>>,
    connections: Arc<Connections>,
}

/// The state that all connections of a port share.
struct Serving<A> {
    router: A,
    health: &'static [&'static str],
    bodies: BodyBounds,
    bodies_of_sidecar: BodyBounds,
    lines: LineLimits,
    /// Large heads of the sidecar, and of all others: only the sidecar itself may delay a broker's message.
    large_heads: [Arc<Semaphore>; 2],
    refused: LogLimit,
    large: LogLimit,
    unread: LogLimit,
}

impl<A> Serving<A> {
    fn bodies(&self, connection: &Connection) -> BodyBounds {
        let bounds = if connection.of_sidecar { &self.bodies_of_sidecar } else { &self.bodies };
        bounds.of_peer(connection.peer)
    }
}

/// Listens on an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted host must not wait for the previous one's connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl<A: PortService> Server<A> {
    /// Listens from now on; connections are served by [`Server::run`].
    pub fn new(listener: TcpListener, router: A, options: ServerOptions) -> Server<A> {
        let bodies = |budget| BodyBounds {
            largest: options.max_body,
            time: options.body_time,
            least_rate: options.least_body_rate,
            budget,
            turns: BodyTurns::default(),
        };
        let budgets = options
            .max_held_body_bytes
            .map(|bytes| Budget::parts(bytes, options.max_body, options.behind_sidecar))
            .map(|(one, other)| (one.within(&options.memory), other.within(&options.memory)));
        let (of_sidecar, of_others) = budgets.unzip();
        let large_heads = [(); 2].map(|()| Arc::new(Semaphore::new(LARGE_HEADS)));
        let connections = Connections::new(
            options.max_connections,
            options.max_connections_per_peer,
            options.max_spare_connections,
            options.behind_sidecar,
        );
        Server {
            listener,
            serving: Arc::new(Serving {
                router,
                health: options.health,
                bodies: bodies(of_others),
                bodies_of_sidecar: bodies(of_sidecar),
                lines: if options.behind_sidecar { head::BEHIND_SIDECAR } else { head::WITHOUT_SIDECAR },
                large_heads,
                refused: LogLimit::every_second(),
                large: LogLimit::every_second(),
                unread: LogLimit::every_second(),
            }),
            connections,
        }
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then finishes the running requests, for `grace` at most.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) {
        let Server { listener, serving, connections } = self;
        let graceful = GracefulShutdown::new();
        let no_permit = LogLimit::every_second();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(code = ErrorCode::AcceptFailed.as_str(), "a connection could not be accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => break,
            };
            // Those behind it wait in the kernel's backlog.
            let permit = tokio::select! {
                permit = connections.acquire(peer.ip()) => permit,
                () = shutdown.cancelled() => break,
            };
            if permit.connection.is_spare
                && let Some(left_out) = no_permit.admit()
            {
                tracing::warn!(
                    code = ErrorCode::ConnectionsExhausted.as_str(),
                    %peer,
                    left_out,
                    "all connections, or all of this peer, are in use: further ones get health checks only"
                );
            }
            tokio::spawn(serve(stream, peer, permit, serving.clone(), &graceful));
        }
        drop(listener);
        let deadline = Instant::now() + grace;
        if tokio::time::timeout_at(deadline, graceful.shutdown()).await.is_err() {
            tracing::warn!("some connections did not end within the grace of the shutdown");
        }
    }
}

/// Serves one connection to its end.
fn serve<A: PortService>(
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    serving: Arc<Serving<A>>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<A> {
    // Answers are small: waiting to fill a packet only delays them. If it fails, they are only slower.
    stream.set_nodelay(true).ok();
    let connection = permit.connection.clone();
    let large_heads = PollSemaphore::new(serving.large_heads[usize::from(connection.of_sidecar)].clone());
    // Once for all requests: a budget has counters that all connections share, and that of a peer is behind a lock.
    let bodies = Arc::new(serving.bodies(&connection));
    let answered = Arc::<OnceLock<ErrorCode>>::default();
    let heads = (serving.lines, large_heads);
    let socket = Socket::new(stream, connection.clone(), heads, bodies.clone(), answered.clone());
    let mut builder = Builder::new();
    // The socket has the relevant timer, which waits for the previous answer. With one of its own, hyper reads on after
    // an answer.
    builder
        .timer(HeadTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(serving.lines.parsed)
        .max_buf_size(head::MAX_BYTES)
        .half_close(connection.may_half_close())
        .keep_alive(!connection.is_spare);
    let service = {
        let (serving, connection) = (serving.clone(), connection.clone());
        hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
            let handled = connection.handle();
            let is_pipelined = connection.activity.is_pipelined();
            let large_head = connection.head.permit().take();
            let cut = connection.head.take_cut();
            let answer = answer(request, cut, peer, connection.clone(), bodies.clone(), serving.clone());
            async move {
                // A client that does not wait for its answers takes turns with the other connections.
                if is_pipelined {
                    tokio::task::yield_now().await;
                }
                let response = answer.await;
                drop(large_head);
                Ok::<_, Infallible>(response.map(|body| Answering::new(body, handled)))
            }
        })
    };
    let watched = graceful.watch(builder.serve_connection(TokioIo::new(socket), service));
    async move {
        let ended = until_ended(watched, &connection).await;
        drop(permit);
        log_end(&serving, peer, ended.err().as_ref(), answered.get().copied());
    }
}

/// Serves a connection until it ends, or until it is idle after its eviction.
async fn until_ended(
    connection: impl Future<Output = hyper::Result<()>>,
    evictable: &Connection,
) -> hyper::Result<()> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended,
        () = evictable.evicted.cancelled() => {}
    }
    let mut pause = LAST_READ_TIME;
    loop {
        if let Ok(ended) = tokio::time::timeout(pause, &mut connection).await {
            return ended;
        }
        if evictable.activity.is_idle() {
            return Ok(());
        }
        pause = EVICTION_PAUSE;
    }
}

/// Logs why a connection ended early. `answered` is the code of the answer to a request that hyper could not read: how
/// its connection ended does not matter then.
fn log_end<A>(
    serving: &Serving<A>,
    peer: SocketAddr,
    error: Option<&hyper::Error>,
    answered: Option<ErrorCode>,
) {
    match error {
        _ if answered.is_some() => log_refusal(&serving.refused, peer, error, answered),
        Some(error) if error.is_parse() => log_refusal(&serving.refused, peer, Some(error), None),
        Some(error) if is_unread(error) => {
            let Some(left_out) = serving.unread.admit() else { return };
            tracing::warn!(code = ErrorCode::AnswerTooSlow.as_str(), %peer, left_out, "a connection was closed: its answer was read too slowly");
        }
        Some(error) => tracing::debug!("a connection ended: {error}"),
        None => {}
    }
}

/// A request could not be read, whether its client got an answer or not.
fn log_refusal(
    limit: &LogLimit,
    peer: SocketAddr,
    error: Option<&hyper::Error>,
    answered: Option<ErrorCode>,
) {
    let Some(left_out) = limit.admit() else { return };
    let answered = answered.map(ErrorCode::as_str);
    let reason = error.map(|error| format!(": {error}")).unwrap_or_default();
    tracing::warn!(
        code = ErrorCode::RequestUnreadable.as_str(),
        %peer,
        left_out,
        answered,
        "a request was refused before it was read{reason}"
    );
}

/// The socket stopped writing an answer.
fn is_unread(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.and_then(io::Error::get_ref).is_some_and(|cause| cause.is::<AnswerTooSlow>())
}

/// Answers one request.
async fn answer<A: PortService>(
    request: hyper::Request<Incoming>,
    cut_lines: usize,
    peer: SocketAddr,
    connection: Arc<Connection>,
    bodies: Arc<BodyBounds>,
    serving: Arc<Serving<A>>,
) -> Response {
    // One that had to make room meanwhile has no permit any more.
    let has_place = !connection.is_spare && !connection.evicted.is_cancelled();
    if !has_place && !serving.health.contains(&request.uri().path()) {
        let detail = "All connections are in use, or all that one peer may have: max-connections and max-connections-per-peer in [host] of the manifest.";
        let refused = HttpError::new(ErrorCode::ConnectionsExhausted, detail);
        return ([(header::CONNECTION, "close")], refused).into_response();
    }
    let waits = request.headers().contains_key(header::EXPECT);
    let owner = BodyOwner::default();
    let mut request: Request = request.map(|body| {
        let body = Lingering::new(body, waits, connection.receive());
        Body::new(RequestBody::new(body, bodies, owner.clone()))
    });
    request.extensions_mut().insert(owner);
    request.extensions_mut().insert(ConnectInfo(peer));
    if cut_lines > 0 {
        request.extensions_mut().insert(HeadCut { lines: cut_lines });
    }
    let mut response = match AssertUnwindSafe(serving.router.clone().oneshot(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_panic) => HttpError::from(CallError::Internal).into_response(),
    };
    if response.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        && let Some(left_out) = serving.large.admit()
    {
        let code = ErrorCode::HeadTooLarge.as_str();
        tracing::warn!(code, %peer, left_out, "a request was refused: its head is larger than people need");
    }
    if connection.evicted.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
