//! The operator's requests that show and change the serving versions.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;

use super::admin_state::AdminState;
use super::answer::HttpError;
use super::versions;
use daca_base::ErrorCode;
use daca_deploy as deploy;
use daca_deploy::{Deployed, Origin, Permit, Source};
use daca_model::MAX_COMPONENT;
use daca_model::admin::{
    ChangeAnswer, INITIATOR_HEADER, MAX_INITIATOR, PinRequest, RollbackRequest, SIGNATURE_HEADER,
    VersionRequest, Versions,
};

/// The time within which a component must arrive.
const UPLOAD_TIME: Duration = Duration::from_secs(120);
/// The time for which the rest of a refused one is read.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// The routes, for the admin router.
pub(super) fn router() -> Router<AdminState> {
    let largest = usize::try_from(MAX_COMPONENT).unwrap_or(usize::MAX);
    let upload = put(put_component).layer(DefaultBodyLimit::max(largest));
    Router::new()
        .route("/agents/{agent_type}/component", upload)
        .route("/agents/{agent_type}/version", post(post_version))
        .route("/agents/{agent_type}/rollback", post(post_rollback))
        .route("/agents/{agent_type}/pins/{actor_id}", put(put_pin).delete(delete_pin))
        .route("/versions", get(get_versions))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    #[serde(default = "all")]
    share: u8,
    label: Option<String>,
}

#[derive(Deserialize)]
struct OfType {
    #[serde(rename = "type")]
    agent_type: Option<String>,
}

fn all() -> u8 {
    100
}

/// Reads the rest of a body and discards it. A client that still sends when the connection is closed may not see the
/// answer.
async fn discard(body: Body) {
    let mut pieces = body.into_data_stream();
    let all = async { while let Some(Ok(_)) = pieces.next().await {} };
    // A slower client gets the answer without having sent everything.
    tokio::time::timeout(DISCARD_TIME, all).await.ok();
}

/// The body is read only after a permit for a deployment was acquired.
async fn put_component(
    State(state): State<AdminState>,
    agent_type: Result<Path<String>, PathRejection>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<ChangeAnswer>, Refused> {
    let begun = begin_upload(&state, agent_type, query);
    let (agent_type, UploadQuery { share, label }, permit) = match begun {
        Ok(begun) => begun,
        Err(refused) => {
            discard(request.into_body()).await;
            return Err(refused);
        }
    };
    let origin = origin(request.headers(), &request);
    let signature = text(request.headers(), SIGNATURE_HEADER);
    if announced_length(request.headers()) > MAX_COMPONENT {
        return Err(deploy::Error::too_large().into());
    }
    let body = tokio::time::timeout(UPLOAD_TIME, Bytes::from_request(request, &())).await;
    let wasm = match body {
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(deploy::Error::too_large().into());
        }
        Ok(body) => body.map_err(super::body::unreadable_body)?,
        Err(_) => {
            let detail = format!("The component did not arrive within {UPLOAD_TIME:?}.");
            let refused = HttpError::new(ErrorCode::BodyUnreadable, detail);
            return Err(refused.with_status(StatusCode::REQUEST_TIMEOUT).into());
        }
    };
    let request = deploy::DeployRequest { wasm, signature, share, label, origin };
    let deployer = state.deployer.clone();
    finish(async move { deployer.deploy(&agent_type, request, permit).await }).await
}

/// The checks that need no body.
fn begin_upload(
    state: &AdminState,
    agent_type: Result<Path<String>, PathRejection>,
    query: Result<Query<UploadQuery>, QueryRejection>,
) -> Result<(String, UploadQuery, Permit), Refused> {
    let agent_type = path(agent_type)?;
    let Query(query) = query.map_err(query_invalid)?;
    Ok((agent_type, query, state.deployer.permit()?))
}

async fn post_version(
    State(state): State<AdminState>,
    agent_type: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<ChangeAnswer>, Refused> {
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
) -> Result<Json<ChangeAnswer>, Refused> {
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
) -> Result<Json<ChangeAnswer>, Refused> {
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
) -> Result<Json<ChangeAnswer>, Refused> {
    let actor = actor_of(actor)?;
    let origin = origin(request.headers(), &request);
    let deployer = state.deployer.clone();
    finish(async move { deployer.unpin(&actor.agent_type, &actor.id, origin).await }).await
}

/// Runs a change to its end, even if the requester hangs up: there are no half changes.
async fn finish(
    change: impl Future<Output = Result<Deployed, deploy::Error>> + Send + 'static,
) -> Result<Json<ChangeAnswer>, Refused> {
    match tokio::spawn(change).await {
        Ok(result) => Ok(Json(versions::change(result?))),
        Err(_panicked) => {
            let detail = "The host failed unexpectedly. Its log has the details.";
            Err(HttpError::new(ErrorCode::Internal, detail).into())
        }
    }
}

async fn get_versions(
    State(state): State<AdminState>,
    query: Result<Query<OfType>, QueryRejection>,
) -> Result<Json<Versions>, Refused> {
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
    let agents = views.iter().map(|view| versions::of_type(view, &mounted)).collect();
    Ok(Json(Versions { agents, hosts: state.deployer.hosts().await }))
}

fn path(agent_type: Result<Path<String>, PathRejection>) -> Result<String, HttpError> {
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

fn query_invalid(error: QueryRejection) -> HttpError {
    HttpError::new(ErrorCode::QueryInvalid, error.body_text())
}

/// Parses a small JSON document. The content type does not matter: only clients of this API send it.
async fn json_body<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, HttpError> {
    let body = Bytes::from_request(request, &()).await.map_err(super::body::unreadable_body)?;
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    daca_base::json::read_object(&body)
        .map_err(|error| HttpError::new(ErrorCode::BodyNotJson, format!("The body cannot be used: {error}.")))
}

/// The initiator: the name that the client gives, and its address.
fn origin(headers: &HeaderMap, request: &Request<Body>) -> Origin {
    let said = text(headers, INITIATOR_HEADER).unwrap_or_default();
    let said = said.chars().filter(|c| !c.is_control()).take(MAX_INITIATOR).collect::<String>();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let initiated_by = match (said.is_empty(), address) {
        (false, Some(address)) => format!("{said} ({address})"),
        (false, None) => said,
        (true, address) => address.unwrap_or_else(|| "unknown".into()),
    };
    Origin { source: Source::Api, initiated_by }
}

/// The announced length of the body in bytes, so that one that is too large is refused before it is sent. 0 if it is
/// not announced.
fn announced_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
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
