//! The operator's port: active actors, serving versions, outcomes of effects, and calls of any actor.
//!
//! With a token, every request must carry it. Without one the port listens only on loopback addresses, and web pages
//! must not be able to reach it through a browser: requests with an `Origin`, or that do not name the host by address
//! or as localhost, are refused, and those of which the browser says that another site makes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Router;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::AdminToken;
use super::admin_state::{AdminState, DEFAULT_LIMIT};
use super::answer::HttpError;
use super::json_answer::Json;
use daca_base::ErrorCode;
use daca_deploy::TypeView;
use daca_model::admin::{Activations, AgentInfo, Agents, Effects, Health, HealthStatus};
use daca_model::backend::{ActorCall, Readiness};
use daca_model::{CallContext, CallError, HostPhase};
use daca_runtime::actor::{AgentLoad, AgentRuntime, AgentStatistics};

/// The header in which a browser says whose page makes a request. For images, scripts and navigation it sends no `Origin`.
const FETCH_SITE: &str = "sec-fetch-site";

/// The rules of the port.
pub struct AdminOptions {
    /// The maximum size of a body in bytes.
    pub max_body: usize,
    /// The token that requests must carry, if any.
    pub token: Option<AdminToken>,
    /// Cancelled when the port is about to close.
    pub stopping: CancellationToken,
}

/// Creates the router.
pub fn router(state: AdminState, options: AdminOptions) -> Router {
    let AdminOptions { max_body, token, stopping } = options;
    let logs = super::logs::router(state.log.recent.clone(), state.actors.clone(), stopping.clone());
    let backup = super::backup::router(state.actors.clone(), state.deployer.clone(), stopping);
    Router::new()
        .route("/", get(index))
        .route("/openapi.json", get(openapi))
        .route("/health", get(health))
        .route("/agents", get(agents))
        .route("/activations", get(activations))
        .route("/outbox", get(outbox))
        .route("/metrics", get(super::metrics::metrics))
        .route("/top", get(super::top::top))
        .merge(super::effects::router())
        .merge(super::deploy::router())
        .merge(super::upload::router())
        .route("/actors/{agent_type}/{actor_id}/method/{method}", post(invoke))
        .method_not_allowed_fallback(super::app::method_not_allowed)
        .fallback(|| async {
            let detail = "There is nothing at this path. GET / lists the paths.";
            HttpError::new(ErrorCode::RouteUnknown, detail)
        })
        .with_state(state)
        .merge(logs)
        .merge(backup)
        .layer(DefaultBodyLimit::max(max_body))
        .layer(middleware::from_fn(super::query::check))
        .layer(middleware::from_fn(super::head::refuse))
        .layer(middleware::from_fn(super::encoding::refuse))
        // The outermost layer: the body of an unauthorised request is not read.
        .layer(middleware::from_fn_with_state(token, admit))
}

/// Admits the operator's requests.
async fn admit(State(token): State<Option<AdminToken>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // A web page cannot know the token, so with one the host may have any name, such as one of a cluster.
    let is_foreign = || !is_own_name(host) || is_of_another_site(headers);
    if headers.contains_key(header::ORIGIN) || (token.is_none() && is_foreign()) {
        let detail = "The admin API does not answer web pages: omit the headers Origin and Sec-Fetch-Site, and name the host by its address or as localhost.";
        return HttpError::new(ErrorCode::OriginRefused, detail).into_response();
    }
    if let Some(token) = token.filter(|token| !token.is_in(headers)) {
        if let Some(left_out) = token.refusals().admit() {
            let number = left_out + 1;
            tracing::warn!(
                code = ErrorCode::AdminUnauthorized.as_str(),
                number,
                "{number} requests to the admin API came without its token, and were refused"
            );
        }
        let detail = "The admin API requires its token: Authorization: Bearer TOKEN.";
        let error = HttpError::new(ErrorCode::AdminUnauthorized, detail);
        return ([(header::WWW_AUTHENTICATE, "Bearer")], error).into_response();
    }
    next.run(request).await
}

/// An address or `localhost`, with or without a port: names that no foreign web page can have.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// Returns `true` if a page of another origin makes the request. A person who enters the address is none.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get_all(FETCH_SITE).iter().any(|site| !matches!(site.as_bytes(), b"none" | b"same-origin"))
}

async fn index() -> Result<Json<BTreeMap<String, String>>, HttpError> {
    // It is part of this program, and a test parses it.
    super::openapi::requests().map(Json).map_err(|_| CallError::Internal.into())
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::openapi::DOCUMENT).into_response()
}

async fn health(State(state): State<AdminState>) -> Json<Health> {
    let (live_instances, max_live_instances) = state.actors.live_instances();
    Json(Health {
        status: status(&state).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: state.backend.to_owned(),
        turns_in_flight: state.actors.turns_in_flight(),
        active_actors: state.actors.active(),
        live_instances,
        max_live_instances,
        outbox: state.outbox.counts(),
    })
}

fn status(state: &AdminState) -> HealthStatus {
    match (state.actors.readiness(), state.deployer.readiness()) {
        _ if state.lifecycle.has_reached(HostPhase::Draining) => HealthStatus::ShuttingDown,
        (Readiness::Ready, Readiness::Ready) => HealthStatus::Ready,
        _ => HealthStatus::Waiting,
    }
}

async fn agents(State(state): State<AdminState>) -> Result<Json<Agents>, HttpError> {
    let actors = state.actors.clone();
    let loads = tokio::task::spawn_blocking(move || actors.loads()).await;
    let loads = loads.map_err(|_ended| CallError::Internal)?;
    let views = state.deployer.views();
    let agents = state.actors.agents().into_iter().filter_map(|(runtime, statistics)| {
        let name = &runtime.agent.name;
        let view = views.iter().find(|view| view.agent_type == *name)?;
        Some(agent(&runtime, statistics, loads.get(name).copied().unwrap_or_default(), view))
    });
    Ok(Json(Agents { agents: agents.collect() }))
}

fn agent(runtime: &AgentRuntime, statistics: AgentStatistics, load: AgentLoad, view: &TypeView) -> AgentInfo {
    let record = &view.record;
    AgentInfo {
        agent_type: runtime.agent.name.to_string(),
        component: runtime.agent.component.path.display().to_string(),
        version: record.serving.clone(),
        bytes: record.versions.get(&record.serving).map(|metadata| metadata.bytes),
        active: load.active,
        queued: load.queued,
        instances: load.instances,
        turns: statistics.counted.turns,
        failed_turns: statistics.counted.failed_turns,
        faults: statistics.counted.faults,
        instances_made: statistics.instances_made,
        versions: super::versions::serving(view),
    }
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

impl Limit {
    fn of(query: Result<Query<Limit>, QueryRejection>) -> Result<usize, HttpError> {
        match query {
            Ok(Query(Limit { limit })) => Ok(limit.unwrap_or(DEFAULT_LIMIT)),
            Err(error) => Err(HttpError::new(ErrorCode::QueryInvalid, error.body_text())),
        }
    }
}

async fn activations(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Activations>, HttpError> {
    let activations = state.actors.list(Limit::of(query)?);
    Ok(Json(Activations { active: state.actors.active(), activations }))
}

async fn outbox(
    State(state): State<AdminState>,
    query: Result<Query<Limit>, QueryRejection>,
) -> Result<Json<Effects>, HttpError> {
    let limit = Limit::of(query)?;
    let mut entries = state.outbox.entries();
    entries.sort_by_key(|entry| entry.id);
    let skip = entries.len().saturating_sub(limit);
    Ok(Json(Effects { counts: state.outbox.counts(), entries: entries.split_off(skip) }))
}

async fn invoke(
    State(state): State<AdminState>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    let path = path.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    let Path((agent_type, actor_id, method)) = path;
    let context = CallContext { identity: super::call::caller_key(&headers)?, ..CallContext::default() };
    let payload = body.map_err(super::body::unreadable_body)?;
    let actor = super::call::address(&agent_type, &actor_id)?;
    let called = state.router.call(ActorCall { actor, method, payload }, context).await;
    super::answer::reply(called.map_err(for_operator)?, None)
}

/// The error with what the agent's code said before it was aborted, which routes do not show to their callers.
fn for_operator(error: CallError) -> HttpError {
    let words = error.last_words().map(|words| format!("\n{words}")).unwrap_or_default();
    let mut answer = HttpError::from(error).naming_code();
    answer.detail.push_str(&words);
    answer
}
