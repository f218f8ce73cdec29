//! The ChatAgent served natively: what somebody would write by hand in Rust for this one agent, on the host's own store.
//!
//! Routes, state file, events, outbox and order are the host's; components, limits, permissions, routing by a manifest and
//! everything else that makes the host a host are not there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use axum::extract::{self, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use daca_base::json::Document;
use daca_embedded::Embedded;
use daca_model::backend::{
    Backend as _, Effect, EffectDelivery as _, EffectStatus, EventOutcome, FiredWakeup, Inbound, Outbox,
    StateStore as _,
};
use daca_model::cloud_event;
use daca_model::{ActorAddress, CallError};
use parking_lot::Mutex;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::chat_agent::ChatAgent;
use crate::host::{address, manifest};

/// Effects that wait; a message waits for a place.
const WAITING: usize = 10_000;

/// How to serve.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// The folder for state
    #[arg(long)]
    data: PathBuf,
    /// The ChatAgent's component, which the manifest of the store names
    #[arg(long)]
    component: PathBuf,
}

/// What the routes share.
struct Shared {
    backend: Arc<Embedded>,
    actors: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<ChatAgent>>>>>,
    effects: mpsc::Sender<(ActorAddress, Effect)>,
}

/// Serves until SIGTERM.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let outbox = Arc::new(Outbox::default());
    let backend = open(&arguments.component, &arguments.data, &outbox)?;
    backend.start(Arc::new(Events));
    let (effects, waiting) = mpsc::channel(WAITING);
    let delivering = tokio::spawn(deliver(backend.clone(), outbox, waiting));
    let shared = Arc::new(Shared { backend: backend.clone(), actors: Mutex::default(), effects });
    let app = Router::new()
        .route("/chat/{actor_id}", post(chat))
        .route("/chat/{actor_id}/history", get(history))
        .with_state(shared);
    let listener = tokio::net::TcpListener::bind(arguments.listen).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    delivering.await?;
    backend.shut_down().await;
    Ok(())
}

fn open(component: &Path, data: &Path, outbox: &Arc<Outbox>) -> anyhow::Result<Arc<Embedded>> {
    Ok(Arc::new(Embedded::open(&manifest(component)?, data, outbox.clone())?))
}

async fn chat(
    State(shared): State<Arc<Shared>>,
    extract::Path(id): extract::Path<String>,
    body: Bytes,
) -> Response {
    match shared.message(&id, &body).await {
        Ok(Ok(reply)) => with_json(&[br#"{"response":"#, &reply, b"}"]),
        Ok(Err(detail)) => (StatusCode::BAD_REQUEST, Json(json!({ "detail": detail }))).into_response(),
        Err(error) => failed(&error),
    }
}

async fn history(State(shared): State<Arc<Shared>>, extract::Path(id): extract::Path<String>) -> Response {
    match shared.history(&id).await {
        Ok(history) => with_json(&[br#"{"history":"#, &history, b"}"]),
        Err(error) => failed(&error),
    }
}

impl Shared {
    /// The inner error is the caller's fault.
    async fn message(&self, id: &str, body: &[u8]) -> anyhow::Result<Result<Bytes, String>> {
        let address = address(id)?;
        let actor = self.actor(id);
        let mut actor = actor.lock().await;
        let agent = self.active(&mut actor, &address).await?;
        let done = match agent.process_message(body) {
            Ok(done) => done,
            Err(detail) => return Ok(Err(detail)),
        };
        self.backend.commit(&address, &done.commit).await?;
        agent.apply(done.commit.writes);
        for effect in done.commit.effects {
            self.effects.send((address.clone(), effect)).await?;
        }
        Ok(Ok(done.reply))
    }

    async fn history(&self, id: &str) -> anyhow::Result<Bytes> {
        let actor = self.actor(id);
        let mut actor = actor.lock().await;
        Ok(self.active(&mut actor, &address(id)?).await?.history())
    }

    fn actor(&self, id: &str) -> Arc<tokio::sync::Mutex<Option<ChatAgent>>> {
        let mut actors = self.actors.lock();
        if let Some(actor) = actors.get(id) {
            return actor.clone();
        }
        actors.entry(id.to_owned()).or_default().clone()
    }

    /// The agent, with its history read when it has none in memory.
    async fn active<'a>(
        &self,
        actor: &'a mut Option<ChatAgent>,
        address: &ActorAddress,
    ) -> anyhow::Result<&'a mut ChatAgent> {
        if actor.is_none() {
            let keys = [ChatAgent::history_key(&address.id)];
            let stored = self.backend.read_state(address, &keys).await?.pop().flatten();
            *actor = Some(ChatAgent::new(&address.id, stored.map(|stored| stored.value)));
        }
        actor.as_mut().context("the agent was just made")
    }
}

/// Delivers effects in the order of their turns.
async fn deliver(
    backend: Arc<Embedded>,
    outbox: Arc<Outbox>,
    mut waiting: mpsc::Receiver<(ActorAddress, Effect)>,
) {
    while let Some((actor, effect)) = waiting.recv().await {
        let id = outbox.add(&actor, &effect);
        let delivered =
            backend.deliver(&actor, &[&effect]).await.into_iter().all(|tried| tried.result.is_ok());
        outbox.settle(id, if delivered { EffectStatus::Sent } else { EffectStatus::Failed });
    }
}

fn with_json(parts: &[&[u8]]) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], parts.concat()).into_response()
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "detail": format!("{error:#}") }))).into_response()
}

/// Takes the events of the subscription.
struct Events;

#[async_trait]
impl Inbound for Events {
    async fn wake(&self, _actor: ActorAddress, _fired: FiredWakeup, _data: Bytes) -> Result<(), CallError> {
        Err(CallError::Starting)
    }

    async fn event(&self, _path: &str, event: &Document) -> EventOutcome {
        match cloud_event::data_of(event) {
            Ok(_) => EventOutcome::Success,
            Err(_) => EventOutcome::Drop("Invalid event data format".to_owned()),
        }
    }
}
