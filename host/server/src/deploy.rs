//! The operator's requests that show and change the serving versions.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest as _, Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin_state::AdminState;
use super::answer::HttpError;
use daca_base::ErrorCode;
use daca_deploy as deploy;
use daca_deploy::{Deployed, Mounted, Origin, Record, Source, TypeView};

/// The initiator, as given by the client.
const BY: &str = "daca-by";
/// The maximum length of the initiator in characters.
const MAX_BY: usize = 100;

/// The routes, for the admin router.
pub(super) fn router() -> Router<AdminState> {
    Router::new()
        .route("/agents/{agent_type}/version", post(post_version))
        .route("/agents/{agent_type}/rollback", post(post_rollback))
        .route("/agents/{agent_type}/pins/{actor_id}", put(put_pin).delete(delete_pin))
        .route("/versions", get(versions))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionRequest {
    version: String,
    #[serde(default = "all")]
    share: u8,
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackRequest {
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PinRequest {
    version: String,
}

#[derive(Deserialize)]
struct OfType {
    #[serde(rename = "type")]
    agent_type: Option<String>,
}

/// The share of a version that serves all actors.
pub(super) fn all() -> u8 {
    100
}

async fn post_version(
    State(state): State<AdminState>,
    agent_type: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Deployed>, Refused> {
    let agent_type = path(agent_type)?;
    let origin = origin(request.headers(), &request);
    let VersionRequest { version, share, label } = json_body(request).await?;
    let permit = state.deployer.permit()?;
    let deployer = state.deployer.clone();
    finish(async move { deployer.deploy_kept(&agent_type, &version, share, label, origin, permit).await })
        .await
}

async fn post_rollback(
    State(state): State<AdminState>,
    agent_type: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Deployed>, Refused> {
    let agent_type = path(agent_type)?;
    let origin = origin(request.headers(), &request);
    let RollbackRequest { force } = json_body(request).await?;
    let deployer = state.deployer.clone();
    finish(async move { deployer.roll_back(&agent_type, force, origin).await }).await
}

async fn put_pin(
    State(state): State<AdminState>,
    actor: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<Deployed>, Refused> {
    let actor = actor_of(actor)?;
    let origin = origin(request.headers(), &request);
    let PinRequest { version } = json_body(request).await?;
    let deployer = state.deployer.clone();
    finish(async move { deployer.pin(&actor.agent_type, &actor.id, &version, origin).await }).await
}

async fn delete_pin(
    State(state): State<AdminState>,
    actor: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Json<Deployed>, Refused> {
    let actor = actor_of(actor)?;
    let origin = origin(request.headers(), &request);
    let deployer = state.deployer.clone();
    finish(async move { deployer.unpin(&actor.agent_type, &actor.id, origin).await }).await
}

/// Runs a change to its end, even if the requester hangs up: there are no half changes.
pub(super) async fn finish(
    change: impl Future<Output = Result<Deployed, deploy::Error>> + Send + 'static,
) -> Result<Json<Deployed>, Refused> {
    match tokio::spawn(change).await {
        Ok(result) => Ok(Json(result?)),
        Err(_panicked) => {
            let detail = "The host failed unexpectedly. Its log has the details.";
            Err(HttpError::new(ErrorCode::Internal, detail).into())
        }
    }
}

async fn versions(
    State(state): State<AdminState>,
    query: Result<Query<OfType>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    let Query(OfType { agent_type }) = query.map_err(query_invalid)?;
    let mut views = state.deployer.views();
    if let Some(agent_type) = agent_type {
        views.retain(|view| *view.agent_type == *agent_type);
        if views.is_empty() {
            let detail = format!("There is no agent type {agent_type:?} on this host.");
            return Err(HttpError::new(ErrorCode::AgentTypeUnknown, detail).into());
        }
    }
    let mounted = state.deployer.mounted().await;
    let agents = views.iter().map(|view| describe(view, &mounted)).collect::<Vec<_>>();
    Ok(Json(json!({ "agents": agents, "hosts": state.deployer.hosts().await })))
}

fn describe(view: &TypeView, mounted: &[Mounted]) -> Value {
    let TypeView { agent_type, record, counted } = view;
    let mut versions = record.versions.iter().collect::<Vec<_>>();
    versions.sort_by_key(|(_, metadata)| std::cmp::Reverse(metadata.last_revision));
    let mut versions = versions
        .into_iter()
        .map(|(version, metadata)| {
            let counted = counted.get(version).copied().unwrap_or_default();
            json!({
                "version": version,
                "label": metadata.label,
                "bytes": metadata.bytes,
                "since": metadata.deployed_at,
                "source": metadata.source,
                "by": metadata.initiated_by,
                "state": state_of(record, version),
                "turns": counted.turns,
                "failed_turns": counted.failed_turns,
                "faults": counted.faults,
            })
        })
        .collect::<Vec<_>>();
    let only_mounted = mounted.iter().filter(|mounted| !record.versions.contains_key(&mounted.digest));
    versions.extend(only_mounted.map(|mounted| {
        json!({
            "version": mounted.digest,
            "label": "",
            "bytes": mounted.bytes,
            "since": "",
            "source": "mounted",
            "by": mounted.path.display().to_string(),
            "state": ["mounted"],
            "turns": 0,
            "failed_turns": 0,
            "faults": 0,
        })
    }));
    json!({
        "agent_type": agent_type,
        "revision": record.revision,
        "serving": record.serving,
        "canary": record.canary,
        "pins": record.pins,
        "versions": versions,
        "history": record.history,
    })
}

fn state_of(record: &Record, version: &str) -> Vec<&'static str> {
    let is_canary = record.canary.as_ref().is_some_and(|canary| canary.version == version);
    let states = [
        ("serving", record.serving == version),
        ("canary", is_canary),
        ("pinned", record.pins.values().any(|pinned| pinned == version)),
        ("before", record.previous_version().is_some_and(|previous| previous == version)),
    ];
    let mut states =
        states.into_iter().filter(|(_, is_so)| *is_so).map(|(state, _)| state).collect::<Vec<_>>();
    if states.is_empty() {
        states.push("kept");
    }
    states
}

/// The serving versions of a type, with the percentage of the actors that each has.
pub(super) fn serving(view: &TypeView) -> Vec<Value> {
    let canary = view.record.canary.as_ref();
    let share = canary.map_or(0, |canary| canary.share);
    let pinned = view.record.pins.values().map(|version| (version, 0));
    let mut all = vec![(&view.record.serving, 100 - share)];
    all.extend(canary.map(|canary| (&canary.version, canary.share)));
    all.extend(pinned);
    let mut seen = BTreeMap::new();
    for (version, share) in all {
        seen.entry(version).or_insert(share);
    }
    let entry = |(version, share): (&String, u8)| {
        let counted = view.counted.get(version).copied().unwrap_or_default();
        json!({
            "version": version,
            "label": view.record.label(version),
            "share": share,
            "turns": counted.turns,
            "failed_turns": counted.failed_turns,
            "faults": counted.faults,
        })
    };
    let mut entries = seen.into_iter().map(entry).collect::<Vec<_>>();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry["share"].as_u64()));
    entries
}

pub(super) fn path(agent_type: Result<Path<String>, PathRejection>) -> Result<String, HttpError> {
    let Path(agent_type) =
        agent_type.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    Ok(agent_type)
}

fn actor_of(
    actor: Result<Path<(String, String)>, PathRejection>,
) -> Result<daca_model::ActorAddress, HttpError> {
    let Path((agent_type, id)) =
        actor.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    Ok(super::call::address(&agent_type, &id)?)
}

pub(super) fn query_invalid(error: QueryRejection) -> HttpError {
    HttpError::new(ErrorCode::QueryInvalid, error.body_text())
}

/// Parses a small JSON document. The content type does not matter: only clients of this API send it.
async fn json_body<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, HttpError> {
    let body = Bytes::from_request(request, &()).await.map_err(super::body::unreadable_body)?;
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    daca_base::json::read_object(&body).map_err(|error| super::call::unusable(&error))
}

/// The initiator: the name that the client gives, and its address.
pub(super) fn origin(headers: &HeaderMap, request: &Request<Body>) -> Origin {
    let said = text(headers, BY).unwrap_or_default();
    let said = said.chars().filter(|c| !c.is_control()).take(MAX_BY).collect::<String>();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let initiated_by = match (said.is_empty(), address) {
        (false, Some(address)) => format!("{said} ({address})"),
        (false, None) => said,
        (true, address) => address.unwrap_or_else(|| "unknown".into()),
    };
    Origin { source: Source::Api, initiated_by }
}

/// The text of a header, without blanks around it. `None` if there is none.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// An error of this API: of HTTP, or of a deployment, with its help.
pub(super) enum Refused {
    Http(HttpError),
    Deploy(deploy::Error),
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Refused {
        Refused::Http(error)
    }
}

impl From<deploy::Error> for Refused {
    fn from(error: deploy::Error) -> Refused {
        Refused::Deploy(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Http(error) => error.into_response(),
            Refused::Deploy(error) => {
                HttpError::new(error.code, error.message).with_help(error.help).into_response()
            }
        }
    }
}
