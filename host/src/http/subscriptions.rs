//! Events: a CloudEvent arrives for a subscription, is logged, and may become a call to an actor.
//!
//! The answer is the one that Dapr reads: SUCCESS, RETRY or DROP. An event that can never be read is dropped, because any
//! other answer brings it back for ever. The embedded backend delivers its events here without HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::call;
use crate::actor::{Actors, CallContext};
use crate::backend::{EventOutcome, cloud_event};
use crate::json::Document;
use crate::manifest::Subscription;
use crate::telemetry::printable;

/// The manifest's subscriptions by path. Cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    by_path: Arc<HashMap<String, Subscription>>,
    actors: Actors,
}

impl Subscriptions {
    /// Paths are different from each other: the manifest was checked.
    pub fn new(subscriptions: &[Subscription], actors: Actors) -> Subscriptions {
        let by_path = subscriptions.iter().map(|one| (one.path.clone(), one.clone())).collect();
        Subscriptions { by_path: Arc::new(by_path), actors }
    }

    /// The subscriptions, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Subscription> {
        self.by_path.values()
    }

    /// The paths at which events arrive.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(String::as_str)
    }

    /// Handles an event in its envelope.
    pub async fn handle(&self, path: &str, event: &Bytes, context: CallContext) -> EventOutcome {
        let Some(subscription) = self.by_path.get(path) else {
            return EventOutcome::Drop(format!("no subscription has the path {path}"));
        };
        let data = match cloud_event::data(event) {
            Ok(data) => data,
            Err(reason) => return Subscriptions::unreadable(path, &reason),
        };
        if let Some(log) = &subscription.log {
            tracing::info!(path, "{}", printable(&log.render(&data)));
        }
        let Some(call) = &subscription.call else { return EventOutcome::Success };
        let outcome = self.call(call, data, context).await;
        if let EventOutcome::Drop(reason) = &outcome {
            tracing::warn!(path, code = "event-dropped", "an event is dropped: {}", printable(reason));
        }
        outcome
    }

    /// Drops an event that can never be read.
    pub(super) fn unreadable(path: &str, reason: &str) -> EventOutcome {
        tracing::warn!(path, code = "event-unreadable", "an event is dropped: {}", printable(reason));
        EventOutcome::Drop("Invalid event data format".into())
    }

    async fn call(&self, call: &crate::manifest::Call, data: Document, context: CallContext) -> EventOutcome {
        let call = match call::actor_call(call, &HashMap::new(), &Ok(data)) {
            Ok(call) => call,
            Err(error) => return EventOutcome::Drop(error.detail),
        };
        match self.actors.call(call, context).await {
            Ok(_reply) => EventOutcome::Success,
            Err(error) if error.is_passing() => EventOutcome::Retry(error.to_string()),
            Err(error) => EventOutcome::Drop(error.to_string()),
        }
    }
}
