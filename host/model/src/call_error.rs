//! Why a call was not answered.

use std::sync::Arc;

use super::{ActorAddress, AddressError};
use crate::Fault;
use crate::backend;

/// Codes of failures with a 5xx status that repeat when the call does.
const LASTING: [&str; 3] = ["call-chain-too-deep", "reply-too-large", "state-total-exceeded"];

/// Why a call has no reply. Each case has a stable code, an HTTP status and a text for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The agent refused the call: the caller's fault.
    #[error("{0}")]
    Invalid(String),
    /// The agent knows no such method, or no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The agent failed.
    #[error("{0}")]
    Failed(String),
    /// The manifest has no such agent type.
    #[error("There is no agent type {0:?} on this host.")]
    UnknownAgentType(String),
    /// The id cannot be that of an actor.
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
        /// Whom the call was for.
        actor: ActorAddress,
        /// Calls that wait.
        queued: usize,
    },
    /// The host has as many calls as it may have.
    #[error("The host is busy with {0} calls, which is its limit. Call again later.")]
    HostBusy(usize),
    /// Too many effects wait for delivery.
    #[error("{0} events and messages wait for delivery, which is the limit of the host. Call again later.")]
    EffectsBacklog(usize),
    /// The host is not ready yet.
    #[error("The host is starting. Call again in a moment.")]
    Starting,
    /// The host takes no more calls.
    #[error("The host is shutting down. Call again in a moment.")]
    ShuttingDown,
    /// The call would wait for itself.
    #[error("{0} waits for this call itself and could never answer it.")]
    WaitsForItself(ActorAddress),
    /// Too many actors wait for one another.
    #[error("{0} turns wait for one another already, which is the limit.")]
    ChainTooDeep(usize),
    /// The guest did not come to an end by itself.
    #[error("{actor}: {fault}. Nothing of the turn was kept.")]
    Fault {
        /// Whose guest.
        actor: ActorAddress,
        /// What it did.
        fault: Fault,
    },
    /// The turn ended well, but its reply exceeds the limit.
    #[error(
        "The reply of {actor} has {bytes} bytes, and its type's limit is {limit}. Nothing of the turn was kept."
    )]
    ReplyTooLarge {
        /// Whose reply.
        actor: ActorAddress,
        /// Bytes of the reply.
        bytes: usize,
        /// The limit of the type.
        limit: u64,
    },
    /// The state has a shape that the version which serves cannot read.
    #[error(
        "The state of {actor} was migrated to {state:?}, and the version {version:?} that serves has no migration that could read it. Nothing was changed. Deploy a version that accepts {state:?}, or pin the actor to one that does."
    )]
    StateShapeUnknown {
        /// Whose state.
        actor: ActorAddress,
        /// The label of its shape.
        state: Arc<str>,
        /// The label of the version.
        version: Arc<str>,
    },
    /// The key of the call belongs to another call.
    #[error(
        "The key {key:?} was sent to {actor} with another method or body. Nothing was done. Send a new key with a new call."
    )]
    KeyReused {
        /// Whom the call was for.
        actor: ActorAddress,
        /// The key.
        key: Arc<str>,
    },
    /// The call was handled before, and its reply is not known any more.
    #[error(
        "{actor} has handled the call with the key {key:?} before, and its reply is no longer kept. It was not handled again."
    )]
    ReplyForgotten {
        /// Whom the call was for.
        actor: ActorAddress,
        /// The key.
        key: Arc<str>,
    },
    /// A sidecar has delivered the call again, and its reply was too long to be kept.
    #[error(
        "{0} has handled the call, and its reply was lost while the actor moved to another host. It was not handled again."
    )]
    ReplyLost(ActorAddress),
    /// The agent failed after something that it asked for was away: its words.
    #[error("{0}")]
    NeededUnavailable(String),
    /// Another host refused or failed the call. What it said is passed on as it was.
    #[error("{detail}")]
    Elsewhere {
        /// Its code.
        code: Arc<str>,
        /// Its HTTP status.
        status: http::StatusCode,
        /// Its text.
        detail: String,
    },
    /// The call is longer than the sidecar takes (`--dapr-max-body-size`, 4 MiB unless it is set).
    #[error("The call is larger than the Dapr sidecar accepts: {0}.")]
    TooLargeForSidecar(String),
    /// The backend could not commit the turn. Only the next read tells whether it was kept after all, as it may be when the
    /// disk fails in the middle.
    #[error("{0}. {kept}", kept = what_was_kept(.0))]
    Backend(backend::Error),
    /// A defect of the host. The log has the details.
    #[error("The host failed unexpectedly. Its log has the details.")]
    Internal,
}

impl CallError {
    /// The stable code, explained in `docs/errors.md`.
    pub fn code(&self) -> &str {
        match self {
            CallError::Invalid(_) => "invalid",
            CallError::NotFound(_) => "not-found",
            CallError::Failed(_) => "failed",
            CallError::UnknownAgentType(_) => "agent-type-unknown",
            CallError::InvalidActorId { .. } => "actor-id-invalid",
            CallError::QueueFull { .. } => "actor-queue-full",
            CallError::HostBusy(_) => "host-busy",
            CallError::EffectsBacklog(_) => "effects-backlog",
            CallError::Starting => "host-starting",
            CallError::ShuttingDown => "host-shutting-down",
            CallError::WaitsForItself(_) => "call-waits-for-itself",
            CallError::ChainTooDeep(_) => "call-chain-too-deep",
            CallError::Fault { fault, .. } => fault.code(),
            CallError::ReplyTooLarge { .. } => "reply-too-large",
            CallError::StateShapeUnknown { .. } => "state-shape-unknown",
            CallError::KeyReused { .. } => "idempotency-key-reused",
            CallError::ReplyForgotten { .. } | CallError::ReplyLost(_) => "reply-forgotten",
            CallError::NeededUnavailable(_) => "needed-unavailable",
            CallError::Elsewhere { code, .. } => code,
            CallError::TooLargeForSidecar(_) => "sidecar-message-too-large",
            CallError::Backend(backend::Error::TooLarge(_)) => "state-total-exceeded",
            CallError::Backend(
                backend::Error::Invalid(_) | backend::Error::NotFound(_) | backend::Error::Other(_),
            ) => "backend-refused",
            CallError::Backend(backend::Error::NotDone(_)) => "not-done",
            CallError::Backend(_) => "backend-unavailable",
            CallError::Internal => "internal",
        }
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> http::StatusCode {
        use http::StatusCode;
        match self {
            CallError::Invalid(_) | CallError::InvalidActorId { .. } | CallError::WaitsForItself(_) => {
                StatusCode::BAD_REQUEST
            }
            CallError::NotFound(_) | CallError::UnknownAgentType(_) => StatusCode::NOT_FOUND,
            CallError::KeyReused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            CallError::ReplyForgotten { .. } | CallError::ReplyLost(_) => StatusCode::CONFLICT,
            CallError::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
            CallError::Backend(backend::Error::TooLarge(_)) => StatusCode::INSUFFICIENT_STORAGE,
            CallError::HostBusy(_)
            | CallError::EffectsBacklog(_)
            | CallError::Starting
            | CallError::ShuttingDown
            | CallError::NeededUnavailable(_)
            | CallError::StateShapeUnknown { .. }
            | CallError::Backend(backend::Error::Unavailable(_) | backend::Error::NotDone(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            CallError::Fault { fault, .. } => fault.status(),
            CallError::Elsewhere { status, .. } => *status,
            CallError::TooLargeForSidecar(_) => StatusCode::PAYLOAD_TOO_LARGE,
            CallError::Failed(_)
            | CallError::Backend(_)
            | CallError::ChainTooDeep(_)
            | CallError::ReplyTooLarge { .. }
            | CallError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// May the same call succeed later? Decides whether an event is delivered again.
    pub fn is_passing(&self) -> bool {
        self.is_refusal()
            || matches!(self, CallError::Failed(_) | CallError::Fault { .. } | CallError::Internal)
            || matches!(self, CallError::Elsewhere { status, code, .. } if status.is_server_error() && !LASTING.contains(&&**code))
    }

    /// Was certainly nothing done, so that the call may be made again at once?
    pub fn is_not_done(&self) -> bool {
        ["host-shutting-down", "not-done"].contains(&self.code())
    }

    /// Is it not known whether the call was handled?
    pub fn is_of_unknown_outcome(&self) -> bool {
        self.code() == "backend-unavailable"
    }

    /// Did the host refuse or lose the call, rather than the agent? Then it did not count as a try.
    pub fn is_refusal(&self) -> bool {
        matches!(self.status(), http::StatusCode::TOO_MANY_REQUESTS | http::StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Says that an id was refused, quoting no more of it than a reader needs.
    pub fn invalid_id(id: &str, reason: AddressError) -> CallError {
        CallError::InvalidActorId { id: id.chars().take(64).collect(), reason }
    }
}

fn what_was_kept(error: &backend::Error) -> &'static str {
    match error {
        backend::Error::TooLarge(_) | backend::Error::NotDone(_) => "Nothing of the turn was kept.",
        _ => "The turn was not confirmed: read before you repeat the call.",
    }
}
