//! A backend that answers everything from memory: what a turn costs without its surroundings.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use daca_model::backend::{
    ActorCall, ActorCalls, Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery, Error,
    Expiry, Ownership, Registration, Secrets, StateStore, StateValue, StateWrite, Tried, TurnCommit,
    WakeupKey, Wakeups,
};
use daca_model::{ActorAddress, CallContext, CallError, Topic};
use parking_lot::{Mutex, MutexGuard};

/// State by actor and key.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<(ActorAddress, String), Bytes>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<(ActorAddress, String), Bytes>> {
        self.0.lock()
    }
}

fn not_here<T>() -> Result<T, Error> {
    Err(Error::Invalid("the ChatAgent asks for no such thing".to_owned()))
}

#[async_trait]
impl StateStore for Memory {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let state = self.lock();
        let value = |key: &String| {
            let value = state.get(&(actor.clone(), key.clone()))?.clone();
            Some(StateValue { value, expiry: Expiry::Never })
        };
        Ok(keys.iter().map(value).collect())
    }

    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        let mut state = self.lock();
        for (key, write) in &commit.writes {
            let key = (actor.clone(), key.clone());
            match write {
                StateWrite::Set { value, .. } => state.insert(key, value.clone()),
                StateWrite::Delete => state.remove(&key),
            };
        }
        Ok(())
    }
}

#[async_trait]
impl EffectDelivery for Memory {
    async fn deliver(&self, _actor: &ActorAddress, effects: &[&Effect]) -> Vec<Tried> {
        effects.iter().map(|_| Ok(()).into()).collect()
    }

    async fn publish(&self, _topic: &Topic, _event: Bytes) -> Result<(), Error> {
        not_here()
    }
}

#[async_trait]
impl Bindings for Memory {
    async fn invoke_binding(
        &self,
        _actor: &ActorAddress,
        _request: &BindingRequest,
        _context: &CallContext,
    ) -> Result<BindingResponse, Error> {
        not_here()
    }
}

#[async_trait]
impl ActorCalls for Memory {
    async fn call_actor(&self, _call: ActorCall, _context: CallContext) -> Result<Bytes, CallError> {
        not_here().map_err(CallError::Backend)
    }
}

#[async_trait]
impl Wakeups for Memory {
    async fn wakeup(&self, _actor: &ActorAddress, _key: &WakeupKey) -> Result<Option<Registration>, Error> {
        not_here()
    }
}

#[async_trait]
impl Secrets for Memory {
    async fn secret(&self, _name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        not_here()
    }
}

impl Ownership for Memory {}

impl Backend for Memory {}
