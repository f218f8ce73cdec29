//! A backend for unit tests: state in a map, and deliveries with results that a test determines.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::{
    Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery, EffectRequest, Error, Expiry,
    Inbound, Ownership, Readiness, Registration, Secrets, StateStore, StateValue, StateWrite, TurnCommit,
    WakeupKey, Wakeups,
};
use daca_model::{ActorAddress, CallContext, Topic};
use parking_lot::Mutex;

/// The test's result of a delivery, by the effect's name.
type Delivery = dyn Fn(&str) -> Result<(), Error> + Send + Sync;
/// The test's result of a commit.
type Commit = dyn Fn(&TurnCommit) -> Result<(), Error> + Send + Sync;

/// The backend.
pub(crate) struct FakeBackend {
    state: Mutex<BTreeMap<(ActorAddress, String), Bytes>>,
    /// Every delivery attempt, in order: the effect's name.
    tried: Mutex<Vec<String>>,
    delivery: Box<Delivery>,
    commit: Box<Commit>,
}

impl FakeBackend {
    /// Keeps everything, and delivers with the results of `delivery`.
    pub(crate) fn delivering(
        delivery: impl Fn(&str) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<FakeBackend> {
        Arc::new(FakeBackend {
            state: Mutex::default(),
            tried: Mutex::default(),
            delivery: Box::new(delivery),
            commit: Box::new(|_| Ok(())),
        })
    }

    /// Delivers everything, and commits with the results of `commit`: failed commits are kept, too, as if only the
    /// answer were lost.
    pub(crate) fn committing(
        commit: impl Fn(&TurnCommit) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Arc<FakeBackend> {
        Arc::new(FakeBackend {
            state: Mutex::default(),
            tried: Mutex::default(),
            delivery: Box::new(|_| Ok(())),
            commit: Box::new(commit),
        })
    }

    /// The names of the attempted effects, in order.
    pub(crate) fn tried(&self) -> Vec<String> {
        self.tried.lock().clone()
    }
}

/// An event with a name for a test.
pub(crate) fn event(name: &str) -> Effect {
    let request =
        EffectRequest::Publish { pubsub: "p".into(), topic: "t".into(), event: Bytes::from(name.to_owned()) };
    Effect { request, delivered_line: None, undeliverable_line: None, traceparent: None }
}

fn name(effect: &Effect) -> String {
    match &effect.request {
        EffectRequest::Publish { event, .. } => String::from_utf8_lossy(event).into_owned(),
        EffectRequest::Send(request) => request.name.clone(),
    }
}

#[async_trait]
impl StateStore for FakeBackend {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let state = self.state.lock();
        let value = |key: &String| {
            let value = state.get(&(actor.clone(), key.clone()))?.clone();
            Some(StateValue { value, expiry: Expiry::Never })
        };
        Ok(keys.iter().map(value).collect())
    }

    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        let answer = (self.commit)(commit);
        if matches!(answer, Err(Error::NotDone(_))) {
            return answer;
        }
        let mut state = self.state.lock();
        for (key, write) in &commit.writes {
            let key = (actor.clone(), key.clone());
            match write {
                StateWrite::Set { value, .. } => state.insert(key, value.clone()),
                StateWrite::Delete => state.remove(&key),
            };
        }
        answer
    }
}

#[async_trait]
impl EffectDelivery for FakeBackend {
    async fn deliver(&self, _: &ActorAddress, effects: &[&Effect]) -> Vec<Result<(), Error>> {
        let names = effects.iter().map(|effect| name(effect)).collect::<Vec<_>>();
        self.tried.lock().extend(names.iter().cloned());
        names.iter().map(|name| (self.delivery)(name)).collect()
    }

    async fn publish(&self, _: &Topic, _: Bytes) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Bindings for FakeBackend {
    async fn invoke_binding(
        &self,
        _: &ActorAddress,
        _: &BindingRequest,
        _: &CallContext,
    ) -> Result<BindingResponse, Error> {
        Ok(BindingResponse::default())
    }
}

#[async_trait]
impl Wakeups for FakeBackend {
    async fn wakeup(&self, _: &ActorAddress, _: &WakeupKey) -> Result<Option<Registration>, Error> {
        Ok(None)
    }
}

#[async_trait]
impl Secrets for FakeBackend {
    async fn secret(&self, _: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        Ok(None)
    }
}

impl Ownership for FakeBackend {}

#[async_trait]
impl Backend for FakeBackend {
    fn start(&self, _: Arc<dyn Inbound>) {}

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }

    async fn leave(&self, _: Duration) {}

    async fn shut_down(&self) {}
}
