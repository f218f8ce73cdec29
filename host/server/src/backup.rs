//! `POST /backup`: the state at one instant, and the deployed versions, as one stream while the host runs.
//!
//! One thread reads and writes, some pieces ahead of the client, so a backup costs little memory however large it is.
//! While it lasts, the state file keeps data that was deleted since it began. So its time is bounded, one is taken at a time,
//! and a client that reads too slowly is cut off like any other ([`super::socket`]). A stream that ends early has no
//! end, and its reader notices that ([`daca_base::archive`]).

use std::convert::Infallible;
use std::io::{BufWriter, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::HttpError;
use super::deploy::Refused;
use daca_base::ErrorCode;
use daca_base::archive::ArchiveWriter;
use daca_deploy::{BackupPlan, Deployer};
use daca_model::CallError;
use daca_model::admin::LEFT_OUT_HEADER;
use daca_model::backup::StateSnapshot;
use daca_runtime::actor::Actors;

/// The time within which a backup must be read.
const BACKUP_TIME: Duration = Duration::from_secs(3_600);
/// The bytes of a piece of the stream.
const PIECE: usize = 64 * 1024;
/// The pieces that wait for the client.
const WAITING: usize = 8;
/// The versions that are named if they are not in a backup.
const MAX_NAMED: usize = 40;

#[derive(Clone)]
struct BackupState {
    actors: Actors,
    deployer: Deployer,
    /// The permit of the only backup.
    running: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// Creates the router. A backup ends early when `stopping` is cancelled.
pub(super) fn router(actors: Actors, deployer: Deployer, stopping: CancellationToken) -> Router {
    let running = Arc::new(Semaphore::new(1));
    let state = BackupState { actors, deployer, running, stopping };
    Router::new()
        .route("/backup", post(backup))
        .method_not_allowed_fallback(super::app::method_not_allowed)
        .with_state(state)
}

async fn backup(State(state): State<BackupState>) -> Result<Response, Refused> {
    let permit = state.running.try_acquire_owned().map_err(|_| {
        HttpError::new(ErrorCode::BackupBusy, "Another backup is being taken, and one is the maximum.")
    })?;
    let snapshot = state.actors.snapshot().await.map_err(|error| {
        HttpError::new(ErrorCode::BackendUnavailable, format!("The state cannot be read: {error}."))
    })?;
    let Some(snapshot) = snapshot else {
        let detail =
            "The state of this host's actors is in Dapr's state store, which has backups of its own.";
        return Err(HttpError::new(ErrorCode::BackupUnsupported, detail).into());
    };
    // After the instant of the state: what is deployed later can read that state; the reverse need not be so.
    let plan = plan(state.deployer).await?;
    let left_out = left_out(&plan);
    let (sender, pieces) = mpsc::channel(WAITING);
    let deadline = Instant::now() + BACKUP_TIME;
    let output = Pieces { sender, deadline, runtime: Handle::current(), bytes: 0 };
    tokio::spawn(take(snapshot, plan, output, permit));
    let stream = futures::stream::unfold((pieces, state.stopping), |(mut pieces, stopping)| async move {
        let piece = stopping.run_until_cancelled(pieces.recv()).await.flatten()?;
        Some((Ok::<_, Infallible>(piece), (pieces, stopping)))
    });
    let content_type = [(header::CONTENT_TYPE, "application/octet-stream")];
    let mut response = (content_type, Body::from_stream(stream)).into_response();
    if let Some(left_out) = left_out {
        response.headers_mut().insert(LEFT_OUT_HEADER, left_out);
    }
    Ok(response)
}

/// Checks the files of the deployed versions, while the client can still be told.
async fn plan(deployer: Deployer) -> Result<BackupPlan, Refused> {
    match tokio::task::spawn_blocking(move || deployer.plan_backup()).await {
        Ok(plan) => Ok(plan?),
        Err(_panicked) => Err(HttpError::from(CallError::Internal).into()),
    }
}

/// The kept versions that are not in the backup; `None` if all are.
fn left_out(plan: &BackupPlan) -> Option<HeaderValue> {
    let mut names = plan.left_out().map(|(agent_type, version)| format!("{agent_type} {version}"));
    let mut text = names.by_ref().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    match names.count() {
        0 => {}
        more => text.push_str(&format!(" and {more} more")),
    }
    HeaderValue::from_str(&text).ok().filter(|text| !text.is_empty())
}

/// Writes the backup, and logs what became of it.
async fn take(
    snapshot: Box<dyn StateSnapshot>,
    plan: BackupPlan,
    mut output: Pieces,
    permit: OwnedSemaphorePermit,
) {
    let began = Instant::now();
    let written = tokio::task::spawn_blocking(move || {
        let written = write(&*snapshot, &plan, &mut output);
        // Before the stream ends: whoever has read it may take the next backup.
        drop((snapshot, permit));
        written
    });
    match written.await.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))) {
        Ok(bytes) => tracing::info!("a backup of {bytes} bytes was taken in {:.1?}", began.elapsed()),
        Err(error) => {
            let code = ErrorCode::BackupFailed.as_str();
            tracing::warn!(code, "a backup was not finished: {error}");
        }
    }
}

/// Returns the bytes that were written.
fn write(snapshot: &dyn StateSnapshot, plan: &BackupPlan, output: &mut Pieces) -> std::io::Result<u64> {
    let mut output = BufWriter::with_capacity(PIECE, output);
    let mut archive = ArchiveWriter::new(&mut output)?;
    plan.write(&mut archive)?;
    snapshot.write(&mut archive)?;
    archive.finish()?;
    Ok(output.get_ref().bytes)
}

/// The output of a backup: pieces for the client.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    deadline: Instant,
    runtime: Handle,
    /// The bytes that the client has taken, or will.
    bytes: u64,
}

impl Write for Pieces {
    /// Blocks while enough pieces wait.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let piece = &bytes[..bytes.len().min(PIECE)];
        let send = self.sender.send(Bytes::copy_from_slice(piece));
        match self.runtime.block_on(tokio::time::timeout_at(self.deadline, send)) {
            Ok(Ok(())) => {
                self.bytes += piece.len() as u64;
                Ok(piece.len())
            }
            Ok(Err(_)) => Err(std::io::Error::new(ErrorKind::BrokenPipe, "its reader is gone")),
            Err(_) => {
                let reason = format!("it was not read within {BACKUP_TIME:?}");
                Err(std::io::Error::new(ErrorKind::TimedOut, reason))
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
