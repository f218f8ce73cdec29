//! The callbacks of a Dapr sidecar: actor types, methods, reminders and timers, deactivation, and subscriptions.
//!
//! Dapr accepts exactly 200 as success (`pkg/actors/targets/app/app.go`). So an application's failure must look like
//! success: it has a mark in the body for other daca hosts, which interpret it, and the header
//! `X-DaprErrorResponseHeader` for everybody else. Refusals of the host itself keep their status, so that the sidecar's
//! resiliency policies see them.
//!
//! When a change of hosts interrupts a call, the router of Dapr 1.16.2 and later sends it again, up to five times and a
//! second apart (`pkg/actors/router/router.go`, the policy `DaprBuiltInActorNotFoundRetries`). Until it has the answer
//! to a deactivation, it lets nobody read or write state (`pkg/actors/internal/placement`); afterwards it rejects every
//! write of the actor (`Deactivate` in `pkg/actors/targets/app/app.go`).

use std::convert::Infallible;

use axum::Router;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, put};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{HttpError, call_status};
use super::body::{BodyOwner, unreadable_body};
use super::call::address;
use super::effects::ask_owner;
use super::json_answer::Json;
use super::requests::Requests;
use super::{AppToken, HostSeal, Subscriptions};
use daca_base::ErrorCode;
use daca_base::json::Document;
use daca_base::telemetry::printable;
use daca_manifest::AgentType;
use daca_model::admin::EffectsRequest;
use daca_model::backend::{
    self, ActorCall, EFFECTS_OF_ANOTHER, FiredWakeup, HOST_KEYS, WakeupKey, WakeupKind, firing_data,
    of_effects_proxy, without_once_mark,
};
use daca_model::cloud_event::content_type;
use daca_model::{ActorAddress, CallContext, CallError, CallIdentity};
use daca_routing::{CallRouter, answer_mark, context_of, failure_body, is_misdelivered, reply_body};
use daca_runtime::actor::Actors;

/// The time that the sidecar waits for the calls of moving actors. Meanwhile it serves no state request, so a turn that
/// has to commit waits for something that waits for the turn, and placement considers a sidecar lost that waits for
/// eight seconds (Dapr 1.17.7 and later, `handleCancelTypes` in
/// `pkg/actors/internal/placement/loops/disseminator/inflight/lock/lock.go`). A call that is cut off is delivered
/// again, and joins its turn ([`Actors::call_here`]).
const DRAIN: &str = "1s";
/// The margin, beyond the longest turn, by which the sidecar considers an actor idle later than the host does. The host
/// must be first: its hook may write state only as long as the sidecar owns the actor.
const IDLE_MARGIN: std::time::Duration = std::time::Duration::from_secs(30);

/// The state of the callbacks.
#[derive(Clone)]
pub(super) struct Callbacks {
    pub(super) actors: Actors,
    pub(super) router: CallRouter,
    pub(super) subscriptions: Subscriptions,
    pub(super) seal: HostSeal,
    /// What each agent type may have of the connections.
    pub(super) requests: Requests,
}

/// The routes of the callbacks. All of them require the token, if there is one.
pub(super) fn router(callbacks: Callbacks, token: Option<AppToken>) -> Router {
    Router::new()
        .route("/dapr/config", get(config))
        .route("/dapr/subscribe", get(subscribe))
        .route("/actors/{agent_type}/{actor_id}", delete(deactivate))
        .route("/actors/{agent_type}/{actor_id}/method/{method}", put(invoke))
        .route("/actors/{agent_type}/{actor_id}/method/remind/{name}", put(remind))
        .route("/actors/{agent_type}/{actor_id}/method/timer/{name}", put(timer))
        .with_state(callbacks)
        .route_layer(middleware::from_fn_with_state(token, require_token))
}

/// Refuses requests that do not come from the sidecar.
pub(super) async fn require_token(
    State(token): State<Option<AppToken>>,
    request: Request,
    next: Next,
) -> Response {
    match token {
        Some(token) if !token.is_in(request.headers()) => {
            if let Some(left_out) = token.refusals().admit() {
                let number = left_out + 1;
                tracing::warn!(
                    code = ErrorCode::AppTokenRefused.as_str(),
                    path = &*printable(request.uri().path()),
                    number,
                    "{number} requests to paths of the Dapr sidecar came without the value of APP_API_TOKEN, and were refused"
                );
            }
            let detail = "This path is for the Dapr sidecar: the header dapr-api-token does not have the value of APP_API_TOKEN.";
            HttpError::new(ErrorCode::AppTokenRefused, detail).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Read by the sidecar once, when the host is healthy for the first time.
async fn config(State(state): State<Callbacks>) -> Json<Value> {
    let agents = state.actors.agents();
    let types = agents.iter().map(|(agent, _)| &*agent.agent.name).collect::<Vec<_>>();
    let each = agents.iter().map(|(agent, _)| type_config(&agent.agent)).collect::<Vec<_>>();
    Json(json!({
        "entities": types,
        "drainOngoingCallTimeout": DRAIN,
        "drainRebalancedActors": true,
        "entitiesConfig": each,
    }))
}

fn type_config(agent: &AgentType) -> Value {
    let reentrancy = match agent.calls.reentrancy {
        Some(allowed) => json!({ "enabled": true, "maxStackDepth": allowed.max_stack_depth }),
        None => json!({ "enabled": false }),
    };
    let idle = agent.idle_timeout.saturating_add(agent.limits.turn_time).saturating_add(IDLE_MARGIN);
    json!({
        "entities": [agent.name],
        "actorIdleTimeout": format!("{}ms", idle.as_millis()),
        "drainOngoingCallTimeout": DRAIN,
        "drainRebalancedActors": true,
        "reentrancy": reentrancy,
    })
}

async fn subscribe(State(state): State<Callbacks>) -> Json<Value> {
    let subscriptions = state.subscriptions.all().map(
        |one| json!({ "pubsubname": one.pubsub, "topic": one.topic, "routes": { "default": one.path } }),
    );
    Json(subscriptions.collect())
}

type ActorPath = (String, String);
type NamedPath = (String, String, String);

/// The path of a callback with a body. It is read before the body, which is charged to the agent type in it.
struct CallbackPath(Result<Path<NamedPath>, PathRejection>);

impl<S: Send + Sync> FromRequestParts<S> for CallbackPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<CallbackPath, Infallible> {
        let path = Path::<NamedPath>::from_request_parts(parts, state).await;
        if let Ok(Path((agent_type, ..))) = &path {
            BodyOwner::set(&parts.extensions, agent_type.as_str().into());
        }
        Ok(CallbackPath(path))
    }
}

async fn invoke(
    State(state): State<Callbacks>,
    path: CallbackPath,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (actor, method, payload) = match named(path, body) {
        Ok(named) => named,
        Err(error) => return error.into_response(),
    };
    let in_flight = state.requests.begin_of_sidecar(&actor.agent_type);
    if is_misdelivered(&headers, &actor) {
        return failure(&refuse_misdelivered(&state.router, &actor), answer_mark(&headers));
    }
    let context = context_of(&headers);
    let result = match in_flight {
        // Another host asks this one, which is no use of the agent type's.
        _in_flight if method.starts_with(HOST_KEYS) => {
            ask_host(&state, &actor, &method, &payload, context).await
        }
        Ok(_in_flight) => state.actors.call_here(ActorCall { actor, method, payload }, context).await,
        Err(refused) => Err(refused),
    };
    match result {
        Ok(reply) => answer(reply, answer_mark(&headers)),
        Err(error) => failure(&error, answer_mark(&headers)),
    }
}

/// Another host asks for the effects of an actor.
async fn ask_host(
    state: &Callbacks,
    actor: &ActorAddress,
    method: &str,
    payload: &Bytes,
    context: CallContext,
) -> Result<Bytes, CallError> {
    let (request, _sealed) = state.seal.open(actor, method, payload, context.mark.as_ref()).await?;
    state.actors.handle_effects_request(actor, request, context).await
}

/// The caller retries the call.
fn refuse_misdelivered(router: &CallRouter, actor: &ActorAddress) -> CallError {
    router.note_misdelivered();
    tracing::warn!(
        code = ErrorCode::CallMisdelivered.as_str(),
        %actor,
        "the Dapr sidecar delivered a call of another actor here; it was refused, and its caller retries it"
    );
    let reason = format!("the Dapr sidecar delivered a call of another actor to {actor}");
    CallError::Backend(backend::Error::NotApplied(reason))
}

fn answer(reply: Bytes, mark: Option<&str>) -> Response {
    if let Some(mark) = mark {
        return reply_body(mark, &reply).into_response();
    }
    ([(header::CONTENT_TYPE, content_type(&reply))], reply).into_response()
}

fn failure(error: &CallError, mark: Option<&str>) -> Response {
    if let Some(mark) = mark {
        return failure_body(mark, error, call_status(error)).into_response();
    }
    let is_the_applications = call_status(error).is_client_error() || matches!(error, CallError::Failed(_));
    let mut response = HttpError::from(error.clone()).into_response();
    if is_the_applications && !error.is_refusal() {
        *response.status_mut() = StatusCode::OK;
        const HEADER: HeaderName = HeaderName::from_static("x-daprerrorresponseheader");
        response.headers_mut().insert(HEADER, HeaderValue::from_static("true"));
    }
    response
}

async fn remind(
    State(state): State<Callbacks>,
    path: CallbackPath,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    fire(&state, WakeupKind::Reminder, path, &headers, body).await
}

async fn timer(
    State(state): State<Callbacks>,
    path: CallbackPath,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    fire(&state, WakeupKind::Timer, path, &headers, body).await
}

async fn fire(
    state: &Callbacks,
    kind: WakeupKind,
    path: CallbackPath,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    let (actor, name, body) = named(path, body)?;
    let in_flight = state.requests.begin_of_sidecar(&actor.agent_type);
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    let firing = Document::parse(&body).map_err(|error| super::call::unusable(&error))?;
    let data = firing_data(firing.field("data").as_ref());
    if kind == WakeupKind::Reminder && name == EFFECTS_OF_ANOTHER {
        wake_for_effects(state, &actor, &data).await?;
        return Ok(StatusCode::OK.into_response());
    }
    // A one-shot reminder that the scheduler repeats until its turn is done. It tracks all others by itself.
    let once = if kind == WakeupKind::Reminder { without_once_mark(&data) } else { None };
    let (token, data) = once.unwrap_or((0, data));
    let fired = FiredWakeup { key: WakeupKey { kind, name: name.clone() }, token };
    let mut context = CallContext { is_woken: true, ..context_of(headers) };
    if token != 0 {
        context.identity = Some(CallIdentity::of_firing(token));
    }
    let done = match in_flight {
        Ok(_in_flight) => state.actors.wake(&actor, fired, data, context).await,
        Err(refused) => Err(refused),
    };
    if done.is_err() && kind == WakeupKind::Reminder && token == 0 {
        state.actors.reminder_failed(&actor, &name).await;
    }
    done?;
    Ok(StatusCode::OK.into_response())
}

/// The reminder of an actor's effects has fired at the actor that has it in its place: the actor itself is woken, on the
/// host that has it. A reminder that somebody else has registered wakes nobody.
async fn wake_for_effects(state: &Callbacks, proxy: &ActorAddress, data: &[u8]) -> Result<(), CallError> {
    let Some(actor) = of_effects_proxy(proxy, data) else { return Ok(()) };
    let Callbacks { seal, router, actors, .. } = state;
    ask_owner(seal, router, actors, &actor, EffectsRequest::Wake).await.map(drop)
}

/// The sidecar ends an activation: the actor was idle, or is active elsewhere from now on. An actor that is not active
/// is fine.
async fn deactivate(
    State(state): State<Callbacks>,
    path: Result<Path<ActorPath>, PathRejection>,
) -> Result<Response, HttpError> {
    let Path((agent_type, actor_id)) = path.map_err(invalid_path)?;
    // The sidecar blocks all calls of the type until it has its answer, and a running turn may be waiting for the
    // sidecar.
    state.actors.give_up_actor(&address(&agent_type, &actor_id)?);
    Ok(StatusCode::OK.into_response())
}

fn named(
    CallbackPath(path): CallbackPath,
    body: Result<Bytes, BytesRejection>,
) -> Result<(ActorAddress, String, Bytes), HttpError> {
    let Path((agent_type, actor_id, name)) = path.map_err(invalid_path)?;
    let body = body.map_err(unreadable_body)?;
    Ok((address(&agent_type, &actor_id)?, name, body))
}

fn invalid_path(error: PathRejection) -> HttpError {
    HttpError::new(ErrorCode::PathInvalid, error.body_text())
}

/// Wraps the path of a subscription, to which only the sidecar may post.
pub(super) fn for_the_sidecar(
    methods: axum::routing::MethodRouter,
    token: &Option<AppToken>,
) -> axum::routing::MethodRouter {
    methods.route_layer(middleware::from_fn_with_state(token.clone(), require_token))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures::stream;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_body_of_a_callback_is_charged_to_the_type_in_its_path() {
        async fn read(_path: CallbackPath, body: Bytes) -> Bytes {
            body
        }
        let owner = BodyOwner::default();
        let routes: Router =
            Router::new().route("/actors/{agent_type}/{actor_id}/method/{method}", put(read));
        let known = owner.clone();
        // The body is the type that is known when it is read.
        let text = async move { Ok::<_, Infallible>(known.agent_type().unwrap_or_default().to_owned()) };
        let body = Body::from_stream(stream::once(text));
        let request = axum::http::Request::put("/actors/A/1/method/get").extension(owner).body(body);
        let answer = routes.oneshot(request.expect("a request")).await.expect("a router answers");
        let read = axum::body::to_bytes(answer.into_body(), 16).await.expect("an answer");
        assert_eq!(read, "A");
    }
}
