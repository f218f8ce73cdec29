//! The application's port: the manifest's routes, the subscriptions' paths, and health.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::rejection::{BytesRejection, RawPathParamsRejection};
use axum::extract::{DefaultBodyLimit, FromRequest as _, RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Subscriptions;
use super::answer::{self, HttpError, ReplyTemplate};
use super::call::{self, PathParameters};
use crate::actor::{Actors, CallChain};
use crate::backend::EventOutcome;
use crate::manifest::Route;
use crate::telemetry::printable;

/// Bytes of a path that are quoted in an answer.
const LONGEST_PATH: usize = 512;

/// What the application's port serves.
pub struct AppOptions<'a> {
    /// The manifest's routes.
    pub routes: &'a [Route],
    /// The manifest's subscriptions.
    pub subscriptions: Subscriptions,
    /// Who answers.
    pub actors: Actors,
    /// False from the beginning of the shutdown on.
    pub is_ready: Arc<AtomicBool>,
    /// Bytes of a body, at most.
    pub max_body: usize,
}

/// One route, with what its requests need.
struct RouteState {
    route: Route,
    template: Option<ReplyTemplate>,
    actors: Actors,
}

/// Makes the router. The manifest's check has made sure that no two routes collide.
pub fn router(options: AppOptions<'_>) -> Router {
    let is_ready = options.is_ready;
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(move || async move { readiness(&is_ready) }));
    let mut by_path: HashMap<&str, MethodRouter> = HashMap::new();
    for route in options.routes {
        let state = Arc::new(RouteState {
            route: route.clone(),
            template: route.reply.as_ref().map(ReplyTemplate::new),
            actors: options.actors.clone(),
        });
        let methods = by_path.remove(route.path.as_str()).unwrap_or_default();
        by_path.insert(&route.path, methods.merge(on(filter(&route.method), run_route).with_state(state)));
    }
    for path in options.subscriptions.paths() {
        let state = (options.subscriptions.clone(), path.to_owned());
        let methods = by_path.remove(path).unwrap_or_default();
        by_path.insert(path, methods.merge(post(take_event).with_state(state)));
    }
    let known = Arc::new(describe(options.routes, &options.subscriptions));
    for (path, methods) in by_path {
        router = router.route(path, methods);
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(move |request: Request| async move { not_found(&request, &known) })
        .layer(DefaultBodyLimit::max(options.max_body))
}

fn readiness(is_ready: &AtomicBool) -> (StatusCode, &'static str) {
    if is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    }
}

async fn run_route(
    State(state): State<Arc<RouteState>>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match try_route(&state, path, body).await {
        Ok(response) => response,
        Err(error) => refuse(&state.route, error).into_response(),
    }
}

async fn try_route(
    state: &RouteState,
    path: Result<RawPathParams, RawPathParamsRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    let path = path.map_err(|error| HttpError::bad_request("path-invalid", error.body_text()))?;
    let path =
        path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<PathParameters>();
    let body = body.map_err(unreadable_body)?;
    if let Some(log) = &state.route.log {
        let document = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        tracing::info!(path = state.route.path, "{}", printable(&log.render(&document)));
    }
    let call = call::actor_call(&state.route.call, &path, &body)?;
    let reply = state.actors.call(call, CallChain::default()).await?;
    answer::reply(reply, state.template.as_ref())
}

/// Gives the caller the route's own words where the manifest has some; the reason goes to the log.
fn refuse(route: &Route, error: HttpError) -> HttpError {
    let words = match error.code {
        "body-not-json" => &route.malformed,
        _ => &route.invalid,
    };
    match words {
        Some(words) if error.status == StatusCode::BAD_REQUEST => {
            tracing::info!(path = route.path, code = error.code, "refused: {}", printable(&error.detail));
            HttpError { status: error.status, code: "invalid", detail: words.clone() }
        }
        _ => error,
    }
}

async fn take_event(
    State((subscriptions, path)): State<(Subscriptions, String)>,
    request: Request,
) -> Response {
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(error) => return unreadable_body(error).into_response(),
    };
    let outcome = match serde_json::from_slice::<Value>(&body) {
        Ok(event) => subscriptions.handle(&path, event, CallChain::default()).await,
        Err(error) => {
            tracing::warn!(path, code = "event-unreadable", "an event is dropped: it is not JSON: {error}");
            EventOutcome::Drop("Invalid event data format".into())
        }
    };
    let (status, message) = match outcome {
        EventOutcome::Success => ("SUCCESS", "Event processed".to_owned()),
        EventOutcome::Drop(reason) => ("DROP", reason),
        EventOutcome::Retry(reason) => ("RETRY", reason),
    };
    axum::Json(json!({ "status": status, "message": message })).into_response()
}

pub(super) fn unreadable_body(error: BytesRejection) -> HttpError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = "The body has more bytes than max-body in [host] of the manifest allows.";
        return HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail);
    }
    HttpError::bad_request("body-unreadable", format!("The body could not be read: {}.", error.body_text()))
}

/// Says what there is, and finds the one mistake that a path alone shows: an empty actor id.
fn not_found(request: &Request, known: &str) -> HttpError {
    let path = request.uri().path();
    let path = &path[..path.floor_char_boundary(LONGEST_PATH)];
    if path.contains("//") || (path.len() > 1 && path.ends_with('/')) {
        let detail = format!("A part of the path {path:?} is empty. An actor id cannot be empty. {known}");
        return HttpError::new(StatusCode::NOT_FOUND, "route-unknown", detail);
    }
    let detail = format!("No route answers {} {path}. {known}", request.method());
    HttpError::new(StatusCode::NOT_FOUND, "route-unknown", detail)
}

pub(super) async fn method_not_allowed(method: Method, uri: axum::http::Uri) -> HttpError {
    let detail =
        format!("{} is there, but not for {method}. The header Allow lists the methods.", uri.path());
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

fn describe(routes: &[Route], subscriptions: &Subscriptions) -> String {
    let routes = routes.iter().map(|route| format!("{} {}", route.method, route.path));
    let events = subscriptions.paths().map(|path| format!("POST {path}"));
    format!("There is: {}.", routes.chain(events).collect::<Vec<_>>().join(", "))
}

fn filter(method: &Method) -> MethodFilter {
    // The manifest's check lets no other method through.
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::POST)
}
