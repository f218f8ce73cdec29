//! A component that is sent to be deployed.
//!
//! It may be large, and may arrive slowly. So its bytes are counted as they arrive, and it takes a permit for a
//! deployment only when all of them are there: who sends slowly must not keep others from deploying.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::put;
use axum::{Extension, Router};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;

use super::admin_state::AdminState;
use super::answer::HttpError;
use super::body::{self, BodyError};
use super::budget::{Budget, Held};
use super::deploy::{Refused, all, finish, origin, path, query_invalid, text};
use super::json_answer::Json;
use daca_base::ErrorCode;
use daca_deploy as deploy;
use daca_model::admin::{ChangeAnswer, SIGNATURE_HEADER};
use daca_model::{FileName, MAX_COMPONENT};

/// The time within which a component must arrive.
const UPLOAD_TIME: Duration = Duration::from_secs(120);
/// The time for which the rest of a refused one is read.
const DISCARD_TIME: Duration = Duration::from_secs(10);
/// The components of the maximum size that the bytes of all uploads and deployments may have together.
const MAX_HELD: usize = 4;

/// The route, for the admin router.
pub(super) fn router() -> Router<AdminState> {
    let largest = largest();
    let held = Budget::new(largest.saturating_mul(MAX_HELD), largest);
    Router::new().route("/agents/{agent_type}/component", put(put_component).layer(Extension(held)))
}

fn largest() -> usize {
    usize::try_from(MAX_COMPONENT).unwrap_or(usize::MAX)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UploadQuery {
    #[serde(default = "all")]
    share: u8,
    label: Option<String>,
    file: Option<String>,
}

/// What an upload is to be.
struct UploadOptions {
    share: u8,
    label: Option<String>,
    file: Option<FileName>,
}

async fn put_component(
    State(state): State<AdminState>,
    Extension(held): Extension<Budget>,
    agent_type: Result<Path<String>, PathRejection>,
    query: Result<Query<UploadQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<ChangeAnswer>, Refused> {
    let begun = begin(&state, agent_type, query);
    let (agent_type, UploadOptions { share, label, file }) = match begun {
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
    let pieces = request.into_body().into_data_stream();
    let received = tokio::time::timeout(UPLOAD_TIME, receive(pieces, held.hold(None))).await;
    let wasm = received.unwrap_or_else(|_too_late| Err(too_slow()))?;
    let permit = state.deployer.permit()?;
    let request = deploy::DeployRequest { wasm, signature, file, share, label, origin };
    let deployer = state.deployer.clone();
    finish(async move { deployer.deploy(&agent_type, request, permit).await }).await
}

/// The checks that need no body. While all permits are taken, nobody has to send anything to hear of it.
fn begin(
    state: &AdminState,
    agent_type: Result<Path<String>, PathRejection>,
    query: Result<Query<UploadQuery>, QueryRejection>,
) -> Result<(String, UploadOptions), Refused> {
    let agent_type = path(agent_type)?;
    let Query(UploadQuery { share, label, file }) = query.map_err(query_invalid)?;
    let file = file.as_deref().map(FileName::new).transpose().map_err(|reason| {
        HttpError::new(ErrorCode::QueryInvalid, format!("The parameter \"file\": {reason}."))
    })?;
    drop(state.deployer.permit()?);
    Ok((agent_type, UploadOptions { share, label, file }))
}

/// Reads a component to its end. Its share of the budget is held as long as its bytes are.
async fn receive(mut pieces: BodyDataStream, mut held: Held) -> Result<Bytes, Refused> {
    let mut data = Vec::<u8>::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(unreadable)?;
        let bytes = data.len() + piece.len();
        if bytes > largest() {
            return Err(deploy::Error::too_large().into());
        }
        if bytes > data.capacity() {
            // By itself it would grow to twice the size, and more than is counted.
            let capacity = largest().min(bytes + bytes / 4);
            held.cover(capacity).await.map_err(|_full| no_room())?;
            data.reserve_exact(capacity - data.len());
        }
        data.extend_from_slice(&piece);
    }
    Ok(body::kept(data, held))
}

fn unreadable(error: axum::Error) -> Refused {
    match BodyError::of(&error) {
        Some(BodyError::TooLarge) => deploy::Error::too_large().into(),
        Some(reason) => HttpError::from(reason).into(),
        None => {
            let detail = format!("The body could not be read: {error}.");
            HttpError::new(ErrorCode::BodyUnreadable, detail).into()
        }
    }
}

fn no_room() -> Refused {
    let detail = "The components that are being deployed have as many bytes as the host holds.";
    HttpError::new(ErrorCode::DeployBusy, detail).into()
}

fn too_slow() -> Refused {
    let detail = format!("The component did not arrive within {UPLOAD_TIME:?}.");
    HttpError::new(ErrorCode::BodyUnreadable, detail).with_status(StatusCode::REQUEST_TIMEOUT).into()
}

/// Reads the rest of a body and discards it. A client that still sends when the connection is closed may not see the
/// answer.
pub(super) async fn discard(body: Body) {
    let mut pieces = body.into_data_stream();
    let all = async { while let Some(Ok(_)) = pieces.next().await {} };
    // A slower client gets the answer without having sent everything.
    tokio::time::timeout(DISCARD_TIME, all).await.ok();
}

/// The announced length of the body in bytes, so that one that is too large is refused before it is sent. 0 if it is
/// not announced.
fn announced_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or_default()
}
