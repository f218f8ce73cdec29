//! The calls from the backend and from turns into the host: wake-ups, events for the manifest's subscriptions, and calls of
//! other actors.
//!
//! The parts of a host refer to each other in a circle. When a host ends, the circle is broken here. Otherwise no part would
//! ever be dropped, nor the threads and the file of each test.

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::json::Document;
use daca_model::backend::{ActorCall, ActorCalls, EventOutcome, FiredWakeup, Inbound};
use daca_model::{ActorAddress, CallContext, CallError};
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;
use daca_server::Subscriptions;
use parking_lot::Mutex;

/// Who serves, from the start of the host to its end.
#[derive(Default)]
pub(crate) struct Local(Mutex<Option<Serving>>);

#[derive(Clone)]
struct Serving {
    actors: Actors,
    router: CallRouter,
    subscriptions: Subscriptions,
}

impl Local {
    /// Serves from now on.
    pub(crate) fn serve(&self, actors: Actors, router: CallRouter, subscriptions: Subscriptions) {
        let serving = Serving { actors, router, subscriptions };
        *self.0.lock() = Some(serving);
    }

    /// Serves nobody any more.
    pub(crate) fn end(&self) {
        let serving = self.0.lock().take();
        // After the lock: it may be the last handle.
        drop(serving);
    }

    fn serving(&self) -> Result<Serving, CallError> {
        let serving = self.0.lock().clone();
        serving.ok_or(CallError::ShuttingDown)
    }
}

#[async_trait]
impl ActorCalls for Local {
    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        self.serving()?.router.call(call, context).await
    }
}

#[async_trait]
impl Inbound for Local {
    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError> {
        self.serving()?.actors.wake(&actor, fired, data, CallContext::default()).await
    }

    async fn event(&self, path: &str, event: &Document) -> EventOutcome {
        match self.serving() {
            Ok(serving) => serving.subscriptions.handle(path, event, CallContext::of_host()).await,
            Err(error) => EventOutcome::Drop(error.to_string()),
        }
    }

    async fn event_failed(&self, path: &str, event: &Document, reason: String) -> EventOutcome {
        match self.serving() {
            Ok(serving) => serving.subscriptions.failed(path, event, reason).await,
            Err(error) => EventOutcome::Failed(error.to_string()),
        }
    }
}
