//! The application's port: the manifest's routes, the subscriptions' paths, and health.

mod event;
mod route;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Ready;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::future::RouteFuture;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use futures::future::Either;
use tower::Service;

use super::answer::{HttpError, ReplyTemplate};
use super::callbacks::{self, Callbacks};
use super::event_retries::Retries;
use super::head;
use super::inputs::Input;
use super::rate::RateLimiter;
use super::requests::Requests;
use super::{AppToken, HostSeal, Subscriptions};
use daca_base::ErrorCode;
use daca_deploy::Deployer;
use daca_manifest::{InputBinding, Route};
use daca_model::backend::Readiness;
use daca_model::{HostPhase, Lifecycle};
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;
use event::{EventState, take_event};
use route::{RouteState, run_route};

/// The maximum length in bytes of a path quoted in an answer.
const MAX_PATH: usize = 512;

/// The state of the application's port.
pub struct AppOptions<'a> {
    /// The manifest's routes.
    pub routes: &'a [Route],
    /// The manifest's subscriptions.
    pub subscriptions: Subscriptions,
    /// The actors that answer.
    pub actors: Actors,
    /// Takes calls to them.
    pub router: CallRouter,
    /// The deployments.
    pub deployer: Deployer,
    /// The phase of the host, which health and readiness show.
    pub lifecycle: Lifecycle,
    /// What each agent type may have of the connections.
    pub requests: Requests,
    /// The maximum size of a body in bytes.
    pub max_body: usize,
    /// The routes for a sidecar; `None` without one.
    pub sidecar: Option<SidecarSide<'a>>,
}

/// The options of the routes for a sidecar.
pub struct SidecarSide<'a> {
    /// The manifest's input bindings.
    pub input_bindings: &'a [InputBinding],
    /// The token that its callbacks must carry.
    pub token: Option<AppToken>,
    /// Recognises the calls of other hosts.
    pub seal: HostSeal,
}

/// The application's port: its routes, behind what each request is checked for.
///
/// The check and the bound on bodies are no layers of axum's router: for each of those it makes a box of the route, of
/// all layers within it and of their futures, and some of them twice, with each request.
#[derive(Clone)]
pub struct AppRouter {
    routes: Router,
    /// The paths whose handlers check the size of a head themselves.
    large_heads: Arc<[String]>,
    max_body: usize,
}

impl Service<Request> for AppRouter {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Err(error) = head::check(&self.large_heads, &request) {
            return Either::Left(std::future::ready(Ok(error.into_response())));
        }
        DefaultBodyLimit::max(self.max_body).apply(&mut request);
        Either::Right(self.routes.call(request))
    }
}

/// Creates the router. The manifest was checked for colliding routes.
pub fn router(options: AppOptions<'_>) -> AppRouter {
    let (alive, ready, actors) =
        (options.lifecycle.clone(), options.lifecycle.clone(), options.actors.clone());
    let deployer = options.deployer;
    let mut router = Router::new()
        .route("/healthz", get(move || async move { health(&alive) }))
        .route("/readyz", get(move || async move { readiness(&ready, &actors, &deployer) }));
    let token = options.sidecar.as_ref().and_then(|side| side.token.clone());
    if let Some(side) = &options.sidecar {
        let callbacks = Callbacks {
            actors: options.actors.clone(),
            router: options.router.clone(),
            subscriptions: options.subscriptions.clone(),
            seal: side.seal.clone(),
            requests: options.requests.clone(),
        };
        router = router.merge(callbacks::router(callbacks, token.clone()));
    }
    let mut large_heads = Vec::new();
    let mut by_path: HashMap<&str, MethodRouter> = HashMap::new();
    for route in options.routes {
        let state = Arc::new(RouteState {
            route: route.clone(),
            template: route.reply.as_ref().map(ReplyTemplate::new),
            router: options.router.clone(),
            input: input_of(route, options.sidecar.as_ref(), &options.actors),
            rate: route.rate.clone().map(RateLimiter::new),
            requests: options.requests.clone(),
        });
        let mut methods = by_path.remove(route.path.as_str()).unwrap_or_default();
        if state.input.is_some() {
            large_heads.push(route.path.clone());
            // The sidecar's probe of whether the app handles a binding.
            methods = methods.options(|| async { StatusCode::OK });
        }
        by_path.insert(&route.path, methods.merge(on(filter(&route.method), run_route).with_state(state)));
    }
    let retries = Retries::new(options.lifecycle.clone());
    for path in options.subscriptions.paths() {
        // A broker's headers arrive with events, too.
        large_heads.push(path.to_owned());
        let requests = options.requests.clone();
        let state: EventState = (options.subscriptions.clone(), retries.clone(), path.to_owned(), requests);
        let methods = by_path.remove(path).unwrap_or_default();
        let events = callbacks::for_the_sidecar(post(take_event).with_state(state), &token);
        by_path.insert(path, methods.merge(events));
    }
    let known = Arc::new(describe(options.routes, &options.subscriptions));
    for (path, methods) in by_path {
        router = router.route(path, methods);
    }
    let routes = router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(move |request: Request| async move { not_found(&request, &known) });
    AppRouter { routes, large_heads: large_heads.into(), max_body: options.max_body }
}

fn input_of(route: &Route, sidecar: Option<&SidecarSide<'_>>, actors: &Actors) -> Option<Arc<Input>> {
    let sidecar = sidecar.filter(|_| route.method == Method::POST)?;
    let binding = sidecar.input_bindings.iter().find(|binding| binding.path == route.path)?;
    Some(Input::new(binding.clone(), sidecar.token.clone(), actors.clone()))
}

/// Alive, and not handed over: otherwise a sidecar should look elsewhere.
fn health(lifecycle: &Lifecycle) -> (StatusCode, &'static str) {
    if lifecycle.has_reached(HostPhase::HandedOver) {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    } else {
        (StatusCode::OK, "ok")
    }
}

fn readiness(lifecycle: &Lifecycle, actors: &Actors, deployer: &Deployer) -> (StatusCode, &'static str) {
    if lifecycle.has_reached(HostPhase::Draining) {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down");
    }
    match (actors.readiness(), deployer.readiness()) {
        (Readiness::Ready, Readiness::Ready) => (StatusCode::OK, "ready"),
        (Readiness::Waiting(reason), _) | (_, Readiness::Waiting(reason)) => {
            (StatusCode::SERVICE_UNAVAILABLE, reason)
        }
    }
}

/// Lists the routes, and detects the one mistake that a path alone shows: an empty actor id.
fn not_found(request: &Request, known: &str) -> HttpError {
    let path = request.uri().path();
    let path = &path[..path.floor_char_boundary(MAX_PATH)];
    if path.contains("//") || (path.len() > 1 && path.ends_with('/')) {
        let detail = format!("A part of the path {path:?} is empty. An actor id cannot be empty. {known}");
        return HttpError::new(ErrorCode::RouteUnknown, detail);
    }
    let detail = format!("No route answers {} {path}. {known}", request.method());
    HttpError::new(ErrorCode::RouteUnknown, detail)
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> HttpError {
    let detail = format!("{} exists, but not for {method}. The header Allow lists the methods.", uri.path());
    HttpError::new(ErrorCode::MethodNotAllowed, detail)
}

fn describe(routes: &[Route], subscriptions: &Subscriptions) -> String {
    let routes = routes.iter().map(|route| format!("{} {}", route.method, route.path));
    let events = subscriptions.paths().map(|path| format!("POST {path}"));
    format!("The routes are: {}.", routes.chain(events).collect::<Vec<_>>().join(", "))
}

fn filter(method: &Method) -> MethodFilter {
    // The manifest's check admits no other method.
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::POST)
}
