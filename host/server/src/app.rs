//! The application's port: the manifest's routes, the subscriptions' paths, and health.

mod event;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::rejection::{BytesRejection, RawPathParamsRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequestParts as _, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use bytes::Bytes;
use futures::future::Either;
use tower::Service;

use super::answer::{self, HttpError, ReplyTemplate};
use super::body::{BodyOwner, read_body, unreadable_body};
use super::call;
use super::callbacks::{self, Callbacks};
use super::encoding;
use super::event_retries::Retries;
use super::head::{self, HeadCut};
use super::inputs::Input;
use super::rate::{RateLimiter, Standing};
use super::requests::Requests;
use super::{AppToken, HostSeal, Subscriptions};
use daca_base::ErrorCode;
use daca_base::json::Document;
use daca_base::telemetry::{MAX_TEXT, printable};
use daca_deploy::Deployer;
use daca_manifest::{InputBinding, Route};
use daca_model::backend::Readiness;
use daca_model::{CallContext, CallIdentity, HostPhase, Lifecycle};
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;
use event::{EventState, take_event};

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

/// One route, with the state for its requests.
struct RouteState {
    route: Route,
    template: Option<ReplyTemplate>,
    router: CallRouter,
    /// The input binding that delivers to this route.
    input: Option<Arc<Input>>,
    rate: Option<RateLimiter>,
    requests: Requests,
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

/// Takes the request as a whole: what it takes apart itself need not be copied.
async fn run_route(State(state): State<Arc<RouteState>>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let _in_flight = match state.requests.begin(&state.route.call.agent_type, peer) {
        Ok(in_flight) => in_flight,
        Err(refused) => return HttpError::from(refused).into_response(),
    };
    let (mut parts, body) = request.into_parts();
    BodyOwner::set(&parts.extensions, state.route.call.agent_type.clone());
    let path = RawPathParams::from_request_parts(&mut parts, &()).await;
    let Parts { uri, headers, extensions, .. } = parts;
    let cut = extensions.get::<HeadCut>().copied();
    let input = state.input.as_ref().filter(|input| input.sent(&headers));
    // A broker is no caller: its messages would only come again, and hold up those behind them. Without a token anybody
    // may be it.
    let rate = state.rate.as_ref().filter(|_| !input.is_some_and(|input| input.has_token()));
    let mut standing = rate.and_then(|rate| rate.count_early(peer, &headers));
    if let (Some(rate), Some(refused)) = (rate, standing.filter(|standing| !standing.is_accepted)) {
        let refusal = refuse(&state.route, rate.refusal(refused)).into_response();
        return described(refusal, Some(rate), standing);
    }
    let body = read_body(body, extensions).await;
    let identity = match input {
        Some(input) => Ok(input.message_id(&headers).map(CallIdentity::Message)),
        None => head::check_size(&uri, &headers, cut).and_then(|()| identity(&state.route, &headers)),
    };
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return error.into_response(),
    };
    let context =
        CallContext { traceparent: call::traceparent(&headers), identity, ..CallContext::default() };
    let bytes = input.and_then(|_| body.as_ref().ok().cloned());
    let tried = match cut {
        // The message may have contained anything there. A truncated body is complete when it is redelivered.
        Some(cut) if body.is_ok() => Err(cut.refusal()),
        _ => try_route(&state, path, &headers, body, (context, rate, &mut standing)).await,
    };
    let response = match (tried, input) {
        (Ok(response), Some(input)) => {
            input.succeeded(&headers);
            response
        }
        (Ok(response), None) => response,
        (Err(error), Some(input)) => input.failed(&headers, bytes.as_ref(), error).await,
        (Err(error), None) => refuse(&state.route, error).into_response(),
    };
    described(response, rate, standing)
}

/// Adds where the caller stands, if the route has a rate.
fn described(mut response: Response, rate: Option<&RateLimiter>, standing: Option<Standing>) -> Response {
    if let (Some(rate), Some(standing)) = (rate, standing) {
        rate.describe(standing, response.headers_mut());
    }
    response
}

/// The caller's key of the call. A GET changes nothing that could be done twice.
fn identity(route: &Route, headers: &HeaderMap) -> Result<Option<CallIdentity>, HttpError> {
    if route.method == Method::GET { Ok(None) } else { call::caller_key(headers) }
}

async fn try_route(
    state: &RouteState,
    path: Result<RawPathParams, RawPathParamsRejection>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    (context, rate, standing): (CallContext, Option<&RateLimiter>, &mut Option<Standing>),
) -> Result<Response, HttpError> {
    let path = path.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    let body = body.map_err(unreadable_body)?;
    if !body.is_empty() {
        encoding::check(headers)?;
    }
    let document = Document::parse(&body);
    if let Some(log) = &state.route.log {
        let line = match &document {
            Ok(document) => log.render(document),
            Err(_) => {
                let beginning = body.get(..MAX_TEXT).unwrap_or(&body);
                log.render(&Document::of_text(&String::from_utf8_lossy(beginning)))
            }
        };
        tracing::info!(path = state.route.path, "{}", printable(&line));
    }
    let call = call::actor_call(&state.route.call, Some(&path), &document)?;
    if let Some(rate) = rate
        && let Some(counted) = rate.count_actor(&call.actor)
    {
        *standing = Some(counted);
        if !counted.is_accepted {
            return Err(rate.refusal(counted));
        }
    }
    let reply = state.router.call(call, context).await?;
    answer::reply(reply, state.template.as_ref())
}

/// Answers with the route's own text if the manifest has one; the reason goes to the log. Stacks are there, too.
fn refuse(route: &Route, error: HttpError) -> HttpError {
    let is_malformed = error.code == ErrorCode::BodyNotJson;
    let words = if is_malformed { &route.malformed } else { &route.invalid };
    match words {
        Some(words) if error.status == StatusCode::BAD_REQUEST => {
            tracing::info!(
                path = route.path,
                code = error.code.as_str(),
                "refused: {}",
                printable(&error.detail)
            );
            HttpError { code: ErrorCode::Invalid.into(), detail: words.clone(), ..error }
        }
        _ => error.without_stack(),
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
