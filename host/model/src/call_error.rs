//! Why a call has no reply.

use std::sync::Arc;

use daca_base::ErrorCode;
use daca_base::error_code::{AnyCode, Class};
use daca_base::shares::HeldBack;

use super::{ActorAddress, AddressError};
use crate::Fault;
use crate::backend;

/// Why a call has no reply. Each case has a stable code and a text for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The agent rejected the call: the caller's fault.
    #[error("{0}")]
    Invalid(String),
    /// The agent has no such method or no such item.
    #[error("{0}")]
    NotFound(String),
    /// The agent failed.
    #[error("{0}")]
    Failed(String),
    /// The manifest has no such agent type.
    #[error("There is no agent type {0:?} on this host.")]
    UnknownAgentType(String),
    /// The id is not a valid actor id.
    #[error("The actor id {id:?} cannot be used: {reason}.")]
    InvalidActorId {
        /// The id, shortened.
        id: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The actor's queue is full.
    #[error("{actor} has {queued} calls waiting, which is the limit of its type. Call again later.")]
    QueueFull {
        /// The called actor.
        actor: ActorAddress,
        /// The number of waiting calls.
        queued: usize,
    },
    /// The host has reached its limit of calls.
    #[error("The host is busy with {0} calls, which is its limit. Call again later.")]
    HostBusy(usize),
    /// The agent type has its share of something that all types use.
    #[error("{0}. Call again later.")]
    ShareExceeded(HeldBack),
    /// The host's budget of memory is used up.
    #[error("The host has no memory for the call now. Call again later.")]
    MemoryExhausted,
    /// Too many effects wait for delivery.
    #[error("{0} events and messages wait for delivery, which is the limit of the host. Call again later.")]
    EffectsBacklog(usize),
    /// A reminder or timer of a newer host. It is not the agent's, and this host does not know what to do.
    #[error("{0:?} is a reminder or timer of a newer host. This host leaves it to that one.")]
    WakeupOfNewerHost(String),
    /// The host is not ready yet.
    #[error("The host is starting. Call again in a moment.")]
    Starting,
    /// The host no longer accepts calls.
    #[error("The host is shutting down. Call again in a moment.")]
    ShuttingDown,
    /// The call would wait for itself.
    #[error("{0} waits for this call itself and could never answer it.")]
    WaitsForItself(ActorAddress),
    /// The chain of actors that wait for one another is too long.
    #[error("{0} turns wait for one another already, which is the limit.")]
    ChainTooDeep(usize),
    /// The guest was aborted.
    #[error("{actor}: {fault}. Nothing of the turn was kept.")]
    Fault {
        /// The actor whose guest it is.
        actor: ActorAddress,
        /// The fault.
        fault: Fault,
    },
    /// The turn succeeded, but its reply exceeds the limit.
    #[error(
        "The reply of {actor} has {bytes} bytes, and its type's limit is {limit}. Nothing of the turn was kept."
    )]
    ReplyTooLarge {
        /// The actor whose reply it is.
        actor: ActorAddress,
        /// Bytes of the reply.
        bytes: usize,
        /// The limit of the type.
        limit: u64,
    },
    /// The state has a schema that the serving version cannot read.
    #[error(
        "The state of {actor} was migrated to {state:?}, and the version {version:?} that serves has no migration that can read it. Nothing was changed. Deploy a version that accepts {state:?}, or pin the actor to one that does."
    )]
    StateShapeUnknown {
        /// The actor whose state it is.
        actor: ActorAddress,
        /// The label of its schema.
        state: Arc<str>,
        /// The label of the version.
        version: Arc<str>,
    },
    /// The key of the call belongs to another call.
    #[error(
        "The key {key:?} was sent to {actor} with another method or body. Nothing was done. Send a new key with a new call."
    )]
    KeyReused {
        /// The called actor.
        actor: ActorAddress,
        /// The key.
        key: Arc<str>,
    },
    /// The identity of the event belongs to another event.
    #[error(
        "{0} has handled another event with this source and id, and takes this one for a repetition with other content. It was not handled. A producer gives each event an id of its own."
    )]
    EventIdReused(ActorAddress),
    /// The call was handled before, and its reply is no longer kept.
    #[error(
        "{actor} has handled the call with the key {key:?} before, and its reply is no longer kept. It was not handled again."
    )]
    ReplyForgotten {
        /// The called actor.
        actor: ActorAddress,
        /// The key.
        key: Arc<str>,
    },
    /// A sidecar delivered the call again, and its reply was too long to be kept.
    #[error(
        "{0} has handled the call, and its reply was lost while the actor moved to another host. It was not handled again."
    )]
    ReplyLost(ActorAddress),
    /// The actor has no such dead letter.
    #[error("{actor} has no dead letter {id:?}. `daca effects {actor}` lists them.")]
    DeadLetterUnknown {
        /// The actor.
        actor: ActorAddress,
        /// The identity, shortened.
        id: String,
    },
    /// Names of methods that begin with `daca:` are for calls between hosts.
    #[error("The method {0:?} is reserved for the hosts.")]
    MethodReserved(String),
    /// The agent failed after a service that it used was unavailable. The text is the agent's.
    #[error("{0}")]
    NeededUnavailable(String),
    /// Another host rejected or failed the call. Its answer is passed on unchanged.
    #[error("{0}")]
    Elsewhere(RemoteError),
    /// The call exceeds the limit of the backend that carries it. The text is the backend's.
    #[error("{0}")]
    TooLargeForBackend(String),
    /// The backend could not commit the turn. Only the next read shows whether it was committed after all, which can
    /// happen when the disk fails in the middle.
    #[error("{0}. {kept}", kept = what_was_kept(.0))]
    Backend(backend::Error),
    /// A defect of the host. The log has the details.
    #[error("The host failed unexpectedly. Its log has the details.")]
    Internal,
}

/// The answer of another host to a call that it rejected or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct RemoteError {
    /// Its code, which this build may not know.
    pub code: AnyCode,
    /// The kind of error. Decisions depend only on this, even for a code that this build does not know.
    pub class: Class,
    /// The number with which the host would have answered over HTTP. It is only passed on.
    pub status: u16,
    /// Its text.
    pub detail: String,
}

impl CallError {
    /// The stable code, explained in `docs/errors/`.
    pub fn code(&self) -> AnyCode {
        self.own_code().map_or_else(|remote| remote.code.clone(), AnyCode::Known)
    }

    /// The code of an error of this host; or the error of another host, which may have other codes.
    pub fn own_code(&self) -> Result<ErrorCode, &RemoteError> {
        Ok(match self {
            CallError::Invalid(_) => ErrorCode::Invalid,
            CallError::NotFound(_) => ErrorCode::NotFound,
            CallError::Failed(_) => ErrorCode::Failed,
            CallError::UnknownAgentType(_) => ErrorCode::AgentTypeUnknown,
            CallError::InvalidActorId { .. } => ErrorCode::ActorIdInvalid,
            CallError::QueueFull { .. } => ErrorCode::ActorQueueFull,
            CallError::HostBusy(_) => ErrorCode::HostBusy,
            CallError::ShareExceeded(_) => ErrorCode::ShareExceeded,
            CallError::MemoryExhausted => ErrorCode::MemoryExhausted,
            CallError::EffectsBacklog(_) => ErrorCode::EffectsBacklog,
            CallError::WakeupOfNewerHost(_) => ErrorCode::WakeupOfNewerHost,
            CallError::Starting => ErrorCode::HostStarting,
            CallError::ShuttingDown => ErrorCode::HostShuttingDown,
            CallError::WaitsForItself(_) => ErrorCode::CallWaitsForItself,
            CallError::ChainTooDeep(_) => ErrorCode::CallChainTooDeep,
            CallError::Fault { fault, .. } => fault.code(),
            CallError::ReplyTooLarge { .. } => ErrorCode::ReplyTooLarge,
            CallError::StateShapeUnknown { .. } => ErrorCode::StateShapeUnknown,
            CallError::KeyReused { .. } => ErrorCode::IdempotencyKeyReused,
            CallError::EventIdReused(_) => ErrorCode::EventIdReused,
            CallError::ReplyForgotten { .. } | CallError::ReplyLost(_) => ErrorCode::ReplyForgotten,
            CallError::DeadLetterUnknown { .. } => ErrorCode::DeadLetterUnknown,
            CallError::MethodReserved(_) => ErrorCode::MethodReserved,
            CallError::NeededUnavailable(_) => ErrorCode::NeededUnavailable,
            CallError::Elsewhere(remote) => return Err(remote),
            CallError::TooLargeForBackend(_) => ErrorCode::SidecarMessageTooLarge,
            CallError::Backend(backend::Error::TooLarge(_)) => ErrorCode::StateTotalExceeded,
            CallError::Backend(backend::Error::StorageExceeded(_)) => ErrorCode::StorageExceeded,
            CallError::Backend(backend::Error::TooManyRegistrations(_)) => ErrorCode::RegistrationsExceeded,
            CallError::Backend(
                backend::Error::Invalid(_) | backend::Error::NotFound(_) | backend::Error::Other(_),
            ) => ErrorCode::BackendRefused,
            CallError::Backend(backend::Error::NotApplied(_)) => ErrorCode::NotApplied,
            CallError::Backend(backend::Error::TooNew(_)) => ErrorCode::StateTooNew,
            CallError::Backend(backend::Error::Unavailable(_)) => ErrorCode::BackendUnavailable,
            CallError::Internal => ErrorCode::Internal,
        })
    }

    /// What the agent's code said before it was aborted. Not part of the text, which callers see: it is for the operator.
    pub fn last_words(&self) -> Option<&str> {
        match self {
            CallError::Fault { fault, .. } => fault.last_words(),
            _ => None,
        }
    }

    /// The class of its code; of another host's error, the class that was made of its answer.
    pub fn class(&self) -> Class {
        self.own_code().map_or_else(|remote| remote.class, ErrorCode::class)
    }

    /// Returns `true` if a retry of the call may succeed. Decides whether an event is redelivered.
    pub fn is_retryable(&self) -> bool {
        self.class().is_retryable()
    }

    /// Returns `true` if the call was certainly not handled, so that it may be retried at once.
    pub fn is_not_applied(&self) -> bool {
        matches!(self.code(), AnyCode::Known(ErrorCode::HostShuttingDown | ErrorCode::NotApplied))
    }

    /// Returns `true` if it is unknown whether the call was handled.
    pub fn is_of_unknown_outcome(&self) -> bool {
        self.code() == ErrorCode::BackendUnavailable
    }

    /// Returns `true` if the host, not the agent, rejected or lost the call. It then does not count as an attempt.
    pub fn is_refusal(&self) -> bool {
        self.class().is_refusal()
    }

    /// The error for an invalid id. It quotes no more of the id than a reader needs.
    pub fn invalid_id(id: &str, reason: AddressError) -> CallError {
        CallError::InvalidActorId { id: id.chars().take(64).collect(), reason }
    }
}

fn what_was_kept(error: &backend::Error) -> &'static str {
    match error {
        backend::Error::TooLarge(_)
        | backend::Error::StorageExceeded(_)
        | backend::Error::TooManyRegistrations(_)
        | backend::Error::NotApplied(_)
        | backend::Error::TooNew(_) => "Nothing of the turn was kept.",
        _ => "The turn was not confirmed: read before you repeat the call.",
    }
}
