//! `POST /backup`: the state at one instant, and what was deployed, as one stream while the host runs.
//!
//! One thread reads and writes, some pieces ahead of the client, so a backup costs little memory however large it is.
//! While it lasts, the state file keeps what was deleted since it began. So its time is bounded, one is taken at a time,
//! and a client that reads too slowly is cut off like any other ([`super::socket`]). A stream that ends early has no
//! end, and its reader notices that ([`daca_base::archive`]).

use std::convert::Infallible;
use std::io::{BufWriter, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::answer::HttpError;
use daca_base::ErrorCode;
use daca_base::archive::ArchiveWriter;
use daca_deploy::Deployer;
use daca_model::backup::StateSnapshot;
use daca_runtime::actor::Actors;

/// The time within which a backup must be read.
const BACKUP_TIME: Duration = Duration::from_secs(3_600);
/// The bytes of a piece of the stream.
const PIECE: usize = 64 * 1024;
/// The pieces that wait for the client.
const WAITING: usize = 8;

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

async fn backup(State(state): State<BackupState>) -> Result<Response, HttpError> {
    let permit = state.running.try_acquire_owned().map_err(|_| {
        HttpError::new(ErrorCode::BackupBusy, "Another backup is being taken, and one is the maximum.")
    })?;
    let snapshot = state.actors.snapshot().await.map_err(|error| {
        HttpError::new(ErrorCode::BackendUnavailable, format!("The state cannot be read: {error}."))
    })?;
    let Some(snapshot) = snapshot else {
        let detail =
            "The state of this host's actors is in Dapr's state store, which has backups of its own.";
        return Err(HttpError::new(ErrorCode::BackupUnsupported, detail));
    };
    let (sender, pieces) = mpsc::channel(WAITING);
    let deadline = Instant::now() + BACKUP_TIME;
    let output = Pieces { sender, deadline, runtime: Handle::current(), bytes: 0 };
    tokio::spawn(take(snapshot, state.deployer, output, permit));
    let stream = futures::stream::unfold((pieces, state.stopping), |(mut pieces, stopping)| async move {
        let piece = stopping.run_until_cancelled(pieces.recv()).await.flatten()?;
        Some((Ok::<_, Infallible>(piece), (pieces, stopping)))
    });
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(stream)).into_response())
}

/// Writes the backup, and logs what became of it.
async fn take(
    snapshot: Box<dyn StateSnapshot>,
    deployer: Deployer,
    mut output: Pieces,
    permit: OwnedSemaphorePermit,
) {
    let began = Instant::now();
    let written = tokio::task::spawn_blocking(move || {
        let written = write(&*snapshot, &deployer, &mut output);
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
fn write(snapshot: &dyn StateSnapshot, deployer: &Deployer, output: &mut Pieces) -> std::io::Result<u64> {
    let mut output = BufWriter::with_capacity(PIECE, output);
    let mut archive = ArchiveWriter::new(&mut output)?;
    // What is deployed after the instant of the state can read that state; the reverse need not be so.
    deployer.back_up(&mut archive)?;
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
