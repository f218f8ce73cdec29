//! Wake-ups and events that a backend brings by itself, without HTTP.

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::json::Document;
use daca_model::backend::{EventOutcome, FiredWakeup, Inbound};
use daca_model::{ActorAddress, CallContext, CallError};
use daca_runtime::actor::Actors;
use daca_server::Subscriptions;

/// The host's side of the embedded backend. Behind a sidecar the same things arrive as requests.
pub(super) struct Local {
    pub(super) actors: Actors,
    pub(super) subscriptions: Subscriptions,
}

#[async_trait]
impl Inbound for Local {
    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError> {
        self.actors.wake(&actor, fired, data, CallContext::default()).await
    }

    async fn event(&self, path: &str, event: &Document) -> EventOutcome {
        self.subscriptions.handle(path, event, CallContext::of_host()).await
    }

    async fn event_failed(&self, path: &str, event: &Document, reason: String) -> EventOutcome {
        self.subscriptions.failed(path, event, reason).await
    }

    fn may_log(&self, agent_type: &str, bytes: usize) -> bool {
        self.actors.may_log(agent_type, bytes)
    }
}
