//! Events: a CloudEvent arrives for a subscription, is logged, and may become a call to an actor.
//!
//! The answer is one of Dapr's: SUCCESS, RETRY or DROP. An unreadable event is dropped, because any other answer has it
//! redelivered forever. The embedded backend delivers its events here without HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::call;
use super::dead_letters::Tries;
use super::events::{self, DeadEvent};
use daca_base::ErrorCode;
use daca_base::json::Document;
use daca_base::telemetry::printable;
use daca_manifest::Subscription;
use daca_model::backend::{ActorCall, EventOutcome};
use daca_model::cloud_event;
use daca_model::{CallContext, CallIdentity};
use daca_routing::CallRouter;
use daca_runtime::actor::Actors;

/// The manifest's subscriptions by path. Cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    by_path: Arc<HashMap<String, Subscribed>>,
    actors: Actors,
    router: CallRouter,
}

/// A subscription, and the counts of its own dead letters: those of another one push none of them out.
struct Subscribed {
    subscription: Subscription,
    tries: Tries,
}

impl Subscriptions {
    /// The paths are unique: the manifest was checked.
    pub fn new(subscriptions: &[Subscription], actors: Actors, router: CallRouter) -> Subscriptions {
        let subscribed =
            |one: &Subscription| Subscribed { subscription: one.clone(), tries: Tries::default() };
        let by_path = subscriptions.iter().map(|one| (one.path.clone(), subscribed(one))).collect();
        Subscriptions { by_path: Arc::new(by_path), actors, router }
    }

    /// The subscriptions, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Subscription> {
        self.by_path.values().map(|one| &one.subscription)
    }

    /// The agent type that the events of a path call, if they call any.
    pub(super) fn agent_type(&self, path: &str) -> Option<&Arc<str>> {
        Some(&self.by_path.get(path)?.subscription.call.as_ref()?.agent_type)
    }

    /// The paths at which events arrive.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(String::as_str)
    }

    /// Handles an event in its envelope, with one attempt.
    pub async fn handle(&self, path: &str, event: &Document, context: CallContext) -> EventOutcome {
        let Some(subscribed) = self.by_path.get(path) else { return unknown(path) };
        match self.read_parsed(subscribed, event.clone()).await {
            Ok(read) => self.attempt(&read, context).await,
            Err(outcome) => outcome,
        }
    }

    /// The agent has failed on each attempt of [`Subscriptions::handle`]: dead-letters the event, if its subscription has
    /// a topic for that.
    pub async fn failed(&self, path: &str, event: &Document, reason: String) -> EventOutcome {
        let subscribed = self.by_path.get(path).filter(|one| one.subscription.dead_letter.is_some());
        match subscribed {
            Some(subscribed) => self.never(subscribed, Some(event), reason).await,
            None => EventOutcome::Failed(reason),
        }
    }

    /// Parses an event and logs it. The error is the outcome if there is nothing more to do.
    pub(super) async fn read(&self, path: &str, event: &Bytes) -> Result<ReadEvent<'_>, EventOutcome> {
        let Some(subscribed) = self.by_path.get(path) else { return Err(unknown(path)) };
        match Document::parse(event) {
            Ok(document) => self.read_parsed(subscribed, document).await,
            Err(error) => {
                let reason = format!("it is not JSON: {error}");
                Err(self.unreadable(subscribed, DeadEvent::Bytes(event), &reason).await)
            }
        }
    }

    /// The same for an event that is parsed.
    async fn read_parsed<'s>(
        &self,
        subscribed: &'s Subscribed,
        document: Document,
    ) -> Result<ReadEvent<'s>, EventOutcome> {
        let subscription = &subscribed.subscription;
        let path = &*subscription.path;
        let [data, source, id] = document.fields_named(["data", "source", "id"]);
        let data = cloud_event::data_in(&document, data);
        let data = data.and_then(|data| events::check_names([source, id]).map(|()| data));
        let data = match data {
            Ok(data) => data,
            Err(reason) => {
                return Err(self.unreadable(subscribed, DeadEvent::Event(&document), &reason).await);
            }
        };
        if let Some(log) = &subscription.log {
            tracing::info!(path, "{}", printable(&log.render(&data)));
        }
        let Some(call) = &subscription.call else { return Err(EventOutcome::Success) };
        match call::actor_call(call, None, &Ok(data)) {
            Ok(call) => {
                let identity = events::identity(path, &document);
                let original = subscription.dead_letter.is_some().then_some(document);
                Ok(ReadEvent { subscribed, call, identity, original })
            }
            Err(error) => Err(self.never(subscribed, Some(&document), error.detail).await),
        }
    }

    /// Makes the call that an event becomes.
    pub(super) async fn attempt(&self, event: &ReadEvent<'_>, context: CallContext) -> EventOutcome {
        let context = CallContext { identity: event.identity.clone(), ..context };
        // In a box: most events that end here are only logged, and the state of a call is large.
        match Box::pin(self.router.call(event.call.clone(), context)).await {
            Ok(_reply) => EventOutcome::Success,
            Err(error) if error.is_refusal() => EventOutcome::Retry(error.to_string()),
            Err(error) if error.is_retryable() => EventOutcome::Failed(error.to_string()),
            Err(error) => self.never(event.subscribed, event.original.as_ref(), error.to_string()).await,
        }
    }

    /// The agent has failed on each attempt: without a dead-letter topic the event is given back to the broker.
    pub(super) async fn give_up(&self, event: &ReadEvent<'_>, reason: String) -> EventOutcome {
        match &event.original {
            Some(_) => self.never(event.subscribed, event.original.as_ref(), reason).await,
            None => EventOutcome::Retry(reason),
        }
    }

    /// An event whose bytes cannot be read.
    pub(super) async fn undecodable(&self, path: &str, event: DeadEvent<'_>, reason: &str) -> EventOutcome {
        match self.by_path.get(path) {
            Some(subscribed) => self.unreadable(subscribed, event, reason).await,
            None => EventOutcome::Drop(reason.to_owned()),
        }
    }

    async fn unreadable(
        &self,
        Subscribed { subscription, tries }: &Subscribed,
        letter: DeadEvent<'_>,
        reason: &str,
    ) -> EventOutcome {
        if subscription.dead_letter.is_some() {
            return events::dead_letter(&self.actors, tries, subscription, letter, reason).await;
        }
        let path = &*subscription.path;
        tracing::warn!(
            path,
            code = ErrorCode::EventUnreadable.as_str(),
            "an event is dropped: {}",
            printable(reason)
        );
        EventOutcome::Drop("Invalid event data format".into())
    }

    async fn never(
        &self,
        Subscribed { subscription, tries }: &Subscribed,
        original: Option<&Document>,
        reason: String,
    ) -> EventOutcome {
        if let Some(event) = original.filter(|_| subscription.dead_letter.is_some()) {
            let event = DeadEvent::Event(event);
            return events::dead_letter(&self.actors, tries, subscription, event, &reason).await;
        }
        let path = &subscription.path;
        tracing::warn!(
            path,
            code = ErrorCode::EventDropped.as_str(),
            "an event is dropped: {}",
            printable(&reason)
        );
        EventOutcome::Drop(reason)
    }
}

fn unknown(path: &str) -> EventOutcome {
    EventOutcome::Drop(format!("no subscription has the path {path}"))
}

/// A parsed event, and the call that it becomes.
pub(super) struct ReadEvent<'s> {
    subscribed: &'s Subscribed,
    call: ActorCall,
    identity: Option<CallIdentity>,
    /// As received, if the subscription has a dead-letter topic.
    original: Option<Document>,
}

impl ReadEvent<'_> {
    /// The attempts that the agent has at it.
    pub(super) fn attempts(&self) -> u32 {
        self.subscribed.subscription.attempts
    }
}
