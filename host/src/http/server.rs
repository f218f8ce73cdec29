//! Accepts connections, bounds them in number and in the time that they take over their requests, and shuts down.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse as _, Response};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::answer::HttpError;
use super::head;
use super::lingering::Lingering;
use super::seldom::Seldom;

/// A client that has not sent the head of its request by then is disconnected.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A client that sends nothing more of its body for so long is disconnected.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// The wait after a connection could not be accepted: most often the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How a port is served.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at the same time. Further ones wait to be accepted.
    pub max_connections: usize,
}

/// A port that is listened on.
pub struct Server {
    listener: TcpListener,
    router: Router,
    options: ServerOptions,
}

impl Server {
    /// Listens from now on; connections are served by [`Server::run`].
    pub fn new(listener: TcpListener, router: Router, options: ServerOptions) -> Server {
        let router = router.layer(RequestBodyTimeoutLayer::new(BODY_TIMEOUT)).layer(CatchPanicLayer::custom(
            |_panic: Box<dyn std::any::Any + Send>| -> Response {
                let detail = "The host failed in an unexpected way. Its log has the details.";
                HttpError::new(http::StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
            },
        ));
        Server { listener, router, options }
    }

    /// The address that it listens on.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`, then finishes the requests that run, and waits for them at most until `grace` has passed.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) {
        let Server { listener, router, options } = self;
        let places = Arc::new(Semaphore::new(options.max_connections));
        let graceful = GracefulShutdown::new();
        let refused = Arc::new(Seldom::default());
        loop {
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place,
                () = shutdown.cancelled() => break,
            };
            let (stream, address) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(code = "accept-failed", "a connection could not be accepted: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => break,
            };
            let connection = connection(stream, address, router.clone(), refused.clone(), &graceful);
            tokio::spawn(async move {
                connection.await;
                drop(place);
            });
        }
        drop(listener);
        let deadline = Instant::now() + grace;
        if tokio::time::timeout_at(deadline, graceful.shutdown()).await.is_err() {
            tracing::warn!("some connections did not end within the grace of the shutdown");
        }
    }
}

/// The future of one connection.
fn connection(
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    refused: Arc<Seldom>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Answers are small: waiting to fill a packet only delays them.
    let _only_slower_without = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let router = router.clone();
        async move {
            let mut request: Request = request.map(|body| Body::new(Lingering::new(Body::new(body))));
            request.extensions_mut().insert(ConnectInfo(address));
            let response = router.oneshot(request).await;
            Ok::<_, Infallible>(response.unwrap_or_else(|never| match never {}))
        }
    });
    // HTTP/1 alone: its timer runs from the first moment, so that a silent client cannot hold its place.
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(head::MOST_LINES)
        .max_buf_size(head::MOST_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let watched = graceful.watch(connection);
    async move {
        if let Err(error) = watched.await {
            if error.is_parse()
                && let Some(left_out) = refused.admit()
            {
                // hyper has answered by itself what it could not read.
                tracing::warn!(code = "request-unreadable", peer = %address, left_out, "a request was refused before it was read: {error}");
            }
            tracing::debug!("a connection ended: {error}");
        }
    }
}
