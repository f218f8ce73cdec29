//! The operator's requests that show and change the serving versions.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest as _, Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::Deserialize;

use super::admin_state::AdminState;
use super::answer::HttpError;
use super::json_answer::Json;
use super::versions;
use daca_base::ErrorCode;
use daca_deploy as deploy;
use daca_deploy::{Deployed, Origin, Source};
use daca_model::CallError;
use daca_model::admin::{
    ChangeAnswer, INITIATOR_HEADER, MAX_INITIATOR, PinRequest, RollbackRequest, VersionRequest, Versions,
};

/// The routes, for the admin router.
pub(super) fn router() -> Router<AdminState> {
    Router::new()
        .route("/agents/{agent_type}/version", post(post_version))
        .route("/agents/{agent_type}/rollback", post(post_rollback))
        .route("/agents/{agent_type}/pins/{actor_id}", put(put_pin).delete(delete_pin))
        .route("/versions", get(get_versions))
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
pub(super) async fn finish(
    change: impl Future<Output = Result<Deployed, deploy::Error>> + Send + 'static,
) -> Result<Json<ChangeAnswer>, Refused> {
    match tokio::spawn(change).await {
        Ok(result) => Ok(Json(versions::change(result?))),
        Err(_panicked) => Err(HttpError::from(CallError::Internal).into()),
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

pub(super) fn path(agent_type: Result<Path<String>, PathRejection>) -> Result<String, HttpError> {
    let Path(agent_type) =
        agent_type.map_err(|error| HttpError::new(ErrorCode::PathInvalid, error.body_text()))?;
    Ok(agent_type)
}

pub(super) fn actor_of(
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
pub(super) async fn json_body<T: serde::de::DeserializeOwned>(request: Request) -> Result<T, HttpError> {
    let body = Bytes::from_request(request, &()).await.map_err(super::body::unreadable_body)?;
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    daca_base::json::read_object(&body).map_err(|error| super::call::unusable(&error))
}

/// The initiator: the name that the client gives, and its address.
pub(super) fn origin(headers: &HeaderMap, request: &Request<Body>) -> Origin {
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
