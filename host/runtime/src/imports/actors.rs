//! `daca:agent/actors`: calls to other actors.

use super::scope::check_name;
use super::{Imports, TurnScope};
use crate::contract::daca::agent::actors::{Error, Host};
use daca_base::error_code::Class;
use daca_model::Fault;
use daca_model::backend::{self, ActorCall};
use daca_model::{ActorAddress, CallError};

impl Host for Imports<'_> {
    async fn invoke(
        &mut self,
        agent_type: String,
        actor_id: String,
        method: String,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, Error> {
        check_name("agent type", &agent_type)?;
        check_name("method", &method)?;
        if !self.scope.options.agent.permissions.may_call(&agent_type) {
            return Err(self.denied("actors", &agent_type, "call actors of the type"));
        }
        let turn = &mut *self.scope;
        turn.check_payload("the payload", payload.len())?;
        let actor = ActorAddress::new(&agent_type, &actor_id)
            .map_err(|error| Error::Invalid(format!("{agent_type}/{actor_id} is not an actor: {error}")))?;
        let reply = call(turn, ActorCall { actor, method, payload: payload.into() }).await;
        reply.map_err(|error| turn.met(into_contract(error)))
    }
}

async fn call(turn: &TurnScope, call: ActorCall) -> Result<Vec<u8>, CallError> {
    let options = &turn.options;
    let context = options.context.with(&options.actor);
    options.calls.call_actor(call, context).await.map(Vec::from)
}

/// An error of another host, whose code this build may not know.
fn of_class(class: Class, text: String) -> Error {
    match class {
        Class::NotFound => Error::NotFound(text),
        Class::TooLarge | Class::StorageFull | Class::OverQuota => Error::TooLarge(text),
        Class::Busy | Class::Unavailable => Error::Unavailable(text),
        Class::Failed | Class::Permanent | Class::TimedOut | Class::Setup | Class::Notice => {
            Error::Other(text)
        }
        Class::Invalid
        | Class::Unauthorized
        | Class::Forbidden
        | Class::WrongMethod
        | Class::TooSlow
        | Class::Conflict
        | Class::Overtaken
        | Class::HeadTooLarge
        | Class::WrongEncoding
        | Class::NotImplemented
        | Class::Unusable => Error::Invalid(text),
    }
}

/// The callee's error, as an error of the caller's contract.
fn into_contract(error: CallError) -> Error {
    let text = error.to_string();
    match error {
        CallError::Invalid(_)
        | CallError::InvalidActorId { .. }
        | CallError::WaitsForItself(_)
        | CallError::ChainTooDeep(_)
        | CallError::KeyReused { .. }
        | CallError::EventIdReused(_)
        | CallError::ReplyForgotten { .. }
        | CallError::ReplyLost(_) => Error::Invalid(text),
        CallError::NotFound(_) | CallError::UnknownAgentType(_) | CallError::DeadLetterUnknown { .. } => {
            Error::NotFound(text)
        }
        CallError::MethodReserved(_) => Error::Denied(text),
        CallError::Backend(
            backend::Error::TooLarge(_)
            | backend::Error::StorageExceeded(_)
            | backend::Error::TooManyRegistrations(_),
        ) => Error::TooLarge(text),
        CallError::QueueFull { .. }
        | CallError::HostBusy(_)
        | CallError::ShareExceeded(_)
        | CallError::MemoryExhausted
        | CallError::EffectsBacklog(_)
        | CallError::WakeupOfNewerHost(_)
        | CallError::Starting
        | CallError::ShuttingDown
        | CallError::NeededUnavailable(_)
        | CallError::StateShapeUnknown { .. }
        | CallError::Fault { fault: Fault::NoRoom(_) | Fault::NoMemory, .. }
        | CallError::Backend(
            backend::Error::Unavailable(_) | backend::Error::NotApplied(_) | backend::Error::TooNew(_),
        ) => Error::Unavailable(text),
        CallError::ReplyTooLarge { .. } | CallError::TooLargeForBackend(_) => Error::TooLarge(text),
        CallError::Elsewhere(remote) => of_class(remote.class, text),
        CallError::Failed(_) | CallError::Fault { .. } | CallError::Backend(_) | CallError::Internal => {
            Error::Other(text)
        }
    }
}
