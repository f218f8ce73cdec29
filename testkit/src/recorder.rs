//! The embedded backend, with a record of events and binding requests, and with the test's answers of bindings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::clock::Clock;
use daca_embedded::Embedded;
use daca_model::backend::{
    Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery, EffectRequest, Error,
    Inbound, Ownership, Readiness, Registration, Secrets, StateStore, StateValue, Tried, TurnCommit,
    WakeupKey, Wakeups,
};
use daca_model::{ActorAddress, CallContext, Topic};
use parking_lot::Mutex;

use crate::BindingAnswer;
use crate::seen::{BindingCall, Event, How};

/// Whose the host's own events are.
const HOST: &str = "daca";

/// The backend of a test's host.
pub(crate) struct Recorder {
    pub(crate) embedded: Embedded,
    secrets: BTreeMap<String, String>,
    /// By `BINDING` or `BINDING/OPERATION`.
    answers: Mutex<BTreeMap<String, BindingAnswer>>,
    events: Mutex<Vec<Event>>,
    bindings: Mutex<Vec<BindingCall>>,
}

impl Recorder {
    pub(crate) fn new(
        embedded: Embedded,
        secrets: BTreeMap<String, String>,
        answers: BTreeMap<String, BindingAnswer>,
    ) -> Recorder {
        let (events, bindings) = (Mutex::default(), Mutex::default());
        Recorder { embedded, secrets, answers: Mutex::new(answers), events, bindings }
    }

    /// From now on a binding answers this.
    pub(crate) fn answer(&self, binding: &str, answer: BindingAnswer) {
        self.answers.lock().insert(binding.to_owned(), answer);
    }

    /// The published events, in order.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().clone()
    }

    /// The requests to bindings, in order.
    pub(crate) fn bindings(&self) -> Vec<BindingCall> {
        self.bindings.lock().clone()
    }

    fn answer_to(&self, request: &BindingRequest) -> Option<BindingAnswer> {
        let answers = self.answers.lock();
        let of_operation = answers.get(&format!("{}/{}", request.name, request.operation));
        of_operation.or_else(|| answers.get(&request.name)).cloned()
    }

    /// Notes an effect once it is settled. One that may work later is tried again.
    fn note(&self, actor: &ActorAddress, effect: &Effect, result: &Result<(), Error>) {
        if result.as_ref().is_err_and(Error::is_retryable) {
            return;
        }
        match &effect.request {
            EffectRequest::Publish { pubsub, topic, event } => {
                self.events.lock().push(Event::new(actor.to_string(), pubsub, topic, event, result));
            }
            EffectRequest::Send(request) => {
                let failed = result.as_ref().err();
                let sent = BindingCall::new(actor.to_string(), How::Sent, request, failed);
                self.bindings.lock().push(sent);
            }
        }
    }

    /// Why the test lets a sent binding fail.
    fn failure_of(&self, effect: &Effect) -> Option<Error> {
        match &effect.request {
            EffectRequest::Publish { .. } => None,
            EffectRequest::Send(request) => self.answer_to(request)?.0.err(),
        }
    }
}

#[async_trait]
impl StateStore for Recorder {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.embedded.read_state(actor, keys).await
    }

    async fn read_state_within(
        &self,
        actor: &ActorAddress,
        keys: &[String],
        most_bytes: u64,
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.embedded.read_state_within(actor, keys, most_bytes).await
    }

    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        self.embedded.commit(actor, commit).await
    }

    async fn commit_shared(&self, actor: &ActorAddress, commit: &Arc<TurnCommit>) -> Result<(), Error> {
        self.embedded.commit_shared(actor, commit).await
    }

    fn clock(&self) -> &Clock {
        self.embedded.clock()
    }
}

#[async_trait]
impl EffectDelivery for Recorder {
    async fn deliver(&self, actor: &ActorAddress, effects: &[&Effect]) -> Vec<Tried> {
        let mut results = Vec::with_capacity(effects.len());
        for effect in effects {
            match self.failure_of(effect) {
                Some(error) => results.push(Tried::from(Err(error))),
                None => results.extend(self.embedded.deliver(actor, &[*effect]).await),
            }
        }
        for (effect, tried) in effects.iter().zip(&results) {
            self.note(actor, effect, &tried.result);
        }
        results
    }

    fn takes_together(&self, first: &EffectRequest, next: &EffectRequest) -> bool {
        self.embedded.takes_together(first, next)
    }

    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error> {
        let result = self.embedded.publish(topic, event.clone()).await;
        let seen = Event::new(HOST.to_owned(), &topic.pubsub, &topic.topic, &event, &result);
        self.events.lock().push(seen);
        result
    }
}

#[async_trait]
impl Bindings for Recorder {
    async fn invoke_binding(
        &self,
        actor: &ActorAddress,
        request: &BindingRequest,
        context: &CallContext,
    ) -> Result<BindingResponse, Error> {
        // Also where the test answers: it writes the log.
        let response = self.embedded.invoke_binding(actor, request, context).await;
        let response = self.answer_to(request).map_or(response, |answer| answer.0);
        let failed = response.as_ref().err();
        let invoked = BindingCall::new(actor.to_string(), How::Invoked, request, failed);
        self.bindings.lock().push(invoked);
        response
    }
}

#[async_trait]
impl Wakeups for Recorder {
    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error> {
        self.embedded.wakeup(actor, key).await
    }

    async fn reminder_failed(&self, actor: &ActorAddress, name: &str) {
        self.embedded.reminder_failed(actor, name).await;
    }
}

#[async_trait]
impl Secrets for Recorder {
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        match self.secrets.get(name) {
            Some(value) => Ok(Some(BTreeMap::from([(name.to_owned(), value.clone())]))),
            None => self.embedded.secret(name).await,
        }
    }
}

/// There is no other host.
impl Ownership for Recorder {}

#[async_trait]
impl Backend for Recorder {
    fn start(&self, inbound: Arc<dyn Inbound>) {
        self.embedded.start(inbound);
    }

    fn readiness(&self) -> Readiness {
        self.embedded.readiness()
    }

    async fn leave(&self, timeout: Duration) {
        self.embedded.leave(timeout).await;
    }

    async fn shut_down(&self) {
        self.embedded.shut_down().await;
    }
}
