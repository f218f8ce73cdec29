//! The operator's requests for pending effects and dead letters, on all hosts.
//!
//! Only the host that has an actor knows its effects, and only there no turn comes between. So this host asks that one,
//! through the sidecar, for each actor.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::routing::{get, post};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::admin_state::AdminState;
use super::answer::HttpError;
use super::deploy::{actor_of, json_body, path, query_invalid};
use super::host_seal::HostSeal;
use super::json_answer::Json;
use super::query;
use daca_base::ErrorCode;
use daca_base::json;
use daca_model::admin::{
    ActorEffects, EffectActor, EffectActors, EffectsAction, EffectsChange, EffectsChangeRequest,
    EffectsChanged, EffectsPage, EffectsRequest,
};
use daca_model::backend::{ActorCall, EFFECTS_METHOD, EffectScan};
use daca_model::{ActorAddress, CallContext, CallError};
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;

/// The entries of a page, unless `?limit=` overrides it, and the maximum.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
/// The maximum number of effects in a page that has their payloads: it must pass through a sidecar.
const MAX_PAYLOADS: usize = 100;
/// The actors that are asked at the same time for a list.
const CONCURRENT_ACTORS: usize = 8;
/// The time that an actor has to answer for a list. Its queue may be long.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The routes, for the admin router.
pub(super) fn router() -> Router<AdminState> {
    Router::new()
        .route("/effects", get(get_all))
        .route("/effects/{agent_type}", get(get_of_type))
        .route("/effects/{agent_type}/{actor_id}", get(get_of_actor))
        .route("/effects/{agent_type}/{actor_id}/retry", post(post_retry))
        .route("/effects/{agent_type}/{actor_id}/discard", post(post_discard))
}

/// A page of actors.
#[derive(Deserialize)]
struct ActorsQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of one actor's effects.
#[derive(Deserialize)]
struct EffectsQuery {
    #[serde(default)]
    from: usize,
    limit: Option<usize>,
    #[serde(default)]
    payload: bool,
}

fn limit(given: Option<usize>, most: usize) -> Result<usize, HttpError> {
    let limit = given.unwrap_or(DEFAULT_LIMIT);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(query::invalid("limit", &format!("{limit} is not from 1 to {most}")))
}

async fn get_all(
    State(state): State<AdminState>,
    query: Result<Query<ActorsQuery>, QueryRejection>,
) -> Result<Json<EffectActors>, HttpError> {
    list(&state, None, query).await.map(Json)
}

async fn get_of_type(
    State(state): State<AdminState>,
    agent_type: Result<Path<String>, PathRejection>,
    query: Result<Query<ActorsQuery>, QueryRejection>,
) -> Result<Json<EffectActors>, HttpError> {
    let name = path(agent_type)?;
    let agents = state.actors.agents();
    let known = agents.iter().find(|(agent, _)| *agent.agent.name == *name);
    let Some((agent, _)) = known else { return Err(CallError::UnknownAgentType(name).into()) };
    list(&state, Some(agent.agent.name.clone()), query).await.map(Json)
}

async fn list(
    state: &AdminState,
    agent_type: Option<Arc<str>>,
    query: Result<Query<ActorsQuery>, QueryRejection>,
) -> Result<EffectActors, HttpError> {
    let Query(ActorsQuery { after, limit: given }) = query.map_err(query_invalid)?;
    let after = after.map(|after| after.parse::<ActorAddress>()).transpose();
    let after = after.map_err(|error| query::invalid("after", &error.to_string()))?;
    let scan = EffectScan { agent_type, after, limit: limit(given, MAX_LIMIT)? };
    let page = state.actors.actors_with_effects(scan).await;
    let page = page.map_err(|error| CallError::Backend(error.as_not_applied()))?;
    let asked = page.actors.into_iter().map(|actor| summary(state.clone(), actor));
    let asked = futures::stream::iter(asked).buffered(CONCURRENT_ACTORS).collect::<Vec<_>>().await;
    let has_some = |actor: &EffectActor| actor.pending + actor.dead > 0 || actor.error.is_some();
    Ok(EffectActors {
        actors: asked.into_iter().filter(has_some).collect(),
        next: page.next.map(|actor| actor.to_string()),
        left_out: page.left_out,
    })
}

/// The numbers of one actor, or why they are not known.
async fn summary(state: AdminState, actor: ActorAddress) -> EffectActor {
    let request = EffectsRequest::List(EffectsPage { from: 0, limit: 0, payload: false });
    let answer = tokio::time::timeout(LIST_TIMEOUT, ask::<ActorEffects>(&state, &actor, request)).await;
    let (numbers, error) = match answer {
        Ok(Ok(effects)) => (Some(effects), None),
        Ok(Err(error)) => (None, Some(format!("{}: {error}", error.code()))),
        Err(_elapsed) => (None, Some(format!("it has not answered within {LIST_TIMEOUT:?}"))),
    };
    EffectActor {
        agent_type: actor.agent_type.to_string(),
        actor_id: actor.id.to_string(),
        pending: numbers.as_ref().map_or(0, |numbers| numbers.pending),
        dead: numbers.as_ref().map_or(0, |numbers| numbers.dead),
        dead_since_unix_ms: numbers.and_then(|numbers| numbers.dead_since_unix_ms),
        error,
    }
}

async fn get_of_actor(
    State(state): State<AdminState>,
    actor: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<EffectsQuery>, QueryRejection>,
) -> Result<Json<ActorEffects>, HttpError> {
    let actor = actor_of(actor)?;
    let Query(EffectsQuery { from, limit: given, payload }) = query.map_err(query_invalid)?;
    let most = if payload { MAX_PAYLOADS } else { MAX_LIMIT };
    let page = EffectsPage { from, limit: limit(given, most)?, payload };
    answer(ask(&state, &actor, EffectsRequest::List(page)).await)
}

async fn post_retry(
    State(state): State<AdminState>,
    actor: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<EffectsChanged>, HttpError> {
    change(state, actor_of(actor)?, EffectsAction::Retry, request).await
}

async fn post_discard(
    State(state): State<AdminState>,
    actor: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<EffectsChanged>, HttpError> {
    change(state, actor_of(actor)?, EffectsAction::Discard, request).await
}

async fn change(
    state: AdminState,
    actor: ActorAddress,
    action: EffectsAction,
    request: Request,
) -> Result<Json<EffectsChanged>, HttpError> {
    let origin = super::deploy::origin(request.headers(), &request);
    let id = match json_body(request).await? {
        EffectsChangeRequest { id: Some(id), all: false } => Some(id),
        EffectsChangeRequest { id: None, all: true } => None,
        EffectsChangeRequest { .. } => {
            let detail = "The body names either the id of a dead letter, or all of them: {\"id\": \"…\"} or {\"all\": true}.";
            return Err(HttpError::new(ErrorCode::BodyFieldInvalid, detail));
        }
    };
    let request = EffectsRequest::Change(EffectsChange { action, id });
    let changed = ask::<EffectsChanged>(&state, &actor, request).await;
    if let Ok(EffectsChanged { action, effects, .. }) = &changed {
        tracing::info!(%actor, "{action} of {} dead letters, by {}", effects.len(), origin.initiated_by);
    }
    answer(changed)
}

fn answer<T>(result: Result<T, CallError>) -> Result<Json<T>, HttpError> {
    result.map(Json).map_err(|error| HttpError::from(error).naming_code())
}

/// Asks the host that has the actor, and reads its answer.
async fn ask<T: DeserializeOwned>(
    state: &AdminState,
    actor: &ActorAddress,
    request: EffectsRequest,
) -> Result<T, CallError> {
    let reply = ask_owner(&state.seal, &state.router, &state.actors, actor, request).await?;
    json::read(&reply).map_err(|error| {
        tracing::error!(code = ErrorCode::Internal.as_str(), %actor, "another host has answered something else: {error}");
        CallError::Internal
    })
}

/// Asks the host that has the actor. Returns its answer in JSON.
pub(super) async fn ask_owner(
    seal: &HostSeal,
    router: &CallRouter,
    actors: &Actors,
    actor: &ActorAddress,
    request: EffectsRequest,
) -> Result<Bytes, CallError> {
    let sealed = seal.close(actor, &request).await;
    match sealed.map_err(|error| CallError::Backend(error.as_not_applied()))? {
        Some(payload) => {
            let call = ActorCall { actor: actor.clone(), method: EFFECTS_METHOD.to_owned(), payload };
            router.call(call, CallContext::of_host()).await
        }
        None => actors.handle_effects_request(actor, request, CallContext::of_host()).await,
    }
}
