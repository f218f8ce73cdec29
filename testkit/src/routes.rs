//! Requests to the manifest's routes and subscriptions. They pass through the router of `daca run`; only the connection is
//! missing, with its limits on heads and the time of bodies.

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use bytes::Bytes;
use daca_deploy::Deployer;
use daca_manifest::Manifest;
use daca_model::Lifecycle;
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;
use daca_server::{AppOptions, AppRouter, Requests, Subscriptions, app_router};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{Error, seen};

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The HTTP status, such as 200.
    pub status: u16,
    /// The stable code of an error, which `docs/errors.md` explains: the header `daca-error`.
    pub code: Option<String>,
    /// The body as JSON. A body that is not JSON is a text, and an empty one `null`.
    pub body: Value,
}

/// The parts of a host that the routes reach.
pub(crate) struct Served {
    pub(crate) subscriptions: Subscriptions,
    pub(crate) actors: Actors,
    pub(crate) calls: CallRouter,
    pub(crate) deployer: Deployer,
    pub(crate) lifecycle: Lifecycle,
}

/// The router of the application's port, without a sidecar's callbacks.
pub(crate) fn router(manifest: &Manifest, served: Served) -> AppRouter {
    let Served { subscriptions, actors, calls, deployer, lifecycle } = served;
    app_router(AppOptions {
        routes: &manifest.routes,
        subscriptions,
        actors,
        router: calls,
        deployer,
        lifecycle,
        requests: Requests::default(),
        max_body: usize::try_from(manifest.host.max_body.as_u64()).unwrap_or(usize::MAX),
        sidecar: None,
    })
}

/// Sends a request, and waits for the answer.
pub(crate) async fn send(
    router: AppRouter,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Response, Error> {
    let failed = |reason: String| Error::Request { what: format!("{method} {path}"), reason };
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = request.body(Body::from(body)).map_err(|error| failed(error.to_string()))?;
    let Ok(answer) = router.oneshot(request).await;
    let status = answer.status().as_u16();
    let code = answer.headers().get("daca-error").and_then(|code| code.to_str().ok()).map(str::to_owned);
    let body = to_bytes(answer.into_body(), usize::MAX).await.map_err(|error| failed(error.to_string()))?;
    Ok(Response { status, code, body: seen::value(&body) })
}
