//! A backend without data that does nothing, for turns that belong to no actor: smoke tests, and the description of a
//! script.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::log_budget::TurnUse;
use super::scope::{ScopeOptions, TurnScope, WakeupHandlers};
use super::state_cache::KnownState;
use daca_base::shares::SharedRate;
use daca_manifest::AgentType;
use daca_model::backend::{
    ActorCall, ActorCalls, BindingRequest, BindingResponse, Bindings, Error, Secrets, StateStore, StateValue,
    TurnCommit, Wakeups,
};
use daca_model::{ActorAddress, CallContext, CallError};

/// The null backend. Secrets are real if it is given some, since reading them changes nothing.
#[derive(Default)]
pub(crate) struct NullBackend {
    secrets: Option<Arc<dyn Secrets>>,
}

impl NullBackend {
    pub(crate) fn with_secrets(secrets: Arc<dyn Secrets>) -> NullBackend {
        NullBackend { secrets: Some(secrets) }
    }
}

/// A turn of an actor that does not exist, within the limits of an agent type. Its effects go nowhere.
pub(crate) fn scratch_scope(
    agent: &Arc<AgentType>,
    [actor_id, turn_id]: [&str; 2],
    handlers: WakeupHandlers,
    nowhere: NullBackend,
    log_rate: Option<SharedRate>,
) -> TurnScope {
    let nowhere = Arc::new(nowhere);
    let options = ScopeOptions {
        actor: ActorAddress { agent_type: agent.name.clone(), id: actor_id.into() },
        agent: agent.clone(),
        handlers,
        migrate_from: None,
        backend: nowhere.clone(),
        calls: nowhere,
        turn_id: turn_id.into(),
        context: CallContext::default(),
        known: KnownState::default(),
        counted: TurnUse { log_rate, ..TurnUse::default() },
    };
    TurnScope::new(options, None, false)
}

/// The error for calls that would take effect at once.
fn only_a_smoke_test() -> Error {
    Error::NotApplied(
        "this is a smoke test before the version serves: external systems are not called".into(),
    )
}

#[async_trait]
impl StateStore for NullBackend {
    async fn read_state(&self, _: &ActorAddress, keys: &[String]) -> Result<Vec<Option<StateValue>>, Error> {
        Ok(vec![None; keys.len()])
    }

    async fn commit(&self, _: &ActorAddress, _: &TurnCommit) -> Result<(), Error> {
        Ok(())
    }
}

#[async_trait]
impl Bindings for NullBackend {
    async fn invoke_binding(
        &self,
        _: &ActorAddress,
        _: &BindingRequest,
        _: &CallContext,
    ) -> Result<BindingResponse, Error> {
        Err(only_a_smoke_test())
    }
}

#[async_trait]
impl ActorCalls for NullBackend {
    async fn call_actor(&self, _: ActorCall, _: CallContext) -> Result<Bytes, CallError> {
        Err(CallError::Backend(only_a_smoke_test()))
    }
}

impl Wakeups for NullBackend {}

#[async_trait]
impl Secrets for NullBackend {
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        match &self.secrets {
            Some(secrets) => secrets.secret(name).await,
            None => Err(only_a_smoke_test()),
        }
    }
}
