//! What the backend asks of the host: calls, wake-ups, and events for the manifest's subscriptions.
//!
//! Host and backend know each other. A host that ends lets go of the one side, or neither would ever be dropped, and with
//! them the threads and the file of each test.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::{ActorCall, EventOutcome, FiredWakeup, Inbound};
use daca_model::{ActorAddress, CallContext, CallError};
use daca_runtime::actor::Actors;
use daca_server::Subscriptions;

/// Who serves, until the host ends.
pub(crate) struct Local(Mutex<Option<Serving>>);

#[derive(Clone)]
struct Serving {
    actors: Actors,
    subscriptions: Subscriptions,
}

impl Local {
    pub(crate) fn new(actors: Actors, subscriptions: Subscriptions) -> Arc<Local> {
        Arc::new(Local(Mutex::new(Some(Serving { actors, subscriptions }))))
    }

    /// Serves nobody any more.
    pub(crate) fn end(&self) {
        let serving = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // After the lock: it may be the last handle.
        drop(serving);
    }

    fn serving(&self) -> Result<Serving, CallError> {
        let serving = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        serving.ok_or(CallError::ShuttingDown)
    }
}

#[async_trait]
impl Inbound for Local {
    async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        self.serving()?.actors.call_here(call, context).await
    }

    async fn call_active(&self, call: ActorCall, context: CallContext) -> Option<Result<Bytes, CallError>> {
        self.serving().ok()?.actors.call_active(call, context).await
    }

    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError> {
        self.serving()?.actors.wake(&actor, fired, data, CallContext::default()).await
    }

    async fn event(&self, path: &str, event: &Bytes) -> EventOutcome {
        match self.serving() {
            Ok(serving) => serving.subscriptions.handle(path, event, CallContext::of_host()).await,
            Err(error) => EventOutcome::Drop(error.to_string()),
        }
    }

    async fn event_failed(&self, path: &str, event: &Bytes, reason: String) -> EventOutcome {
        match self.serving() {
            Ok(serving) => serving.subscriptions.failed(path, event, reason).await,
            Err(error) => EventOutcome::Failed(error.to_string()),
        }
    }
}
