//! Interprets the sidecar's errors. Their text goes to the log and into the error; the case decides who may retry.

use tonic::{Code, Status};

use super::texts::{self, Meaning};
use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::backend::Error;
use daca_model::{ActorAddress, CallError, RemoteError};

/// The contract's error for a sidecar's error about state, events, bindings, reminders, timers and secrets.
///
/// The sidecar returns `Internal` when a component failed (Redis unreachable, Twilio's 500), and most often a retry
/// succeeds.
pub(super) fn error(what: &str, status: &Status) -> Error {
    let error = meaning(what, status);
    tracing::info!(code = ErrorCode::SidecarError.as_str(), status = ?status.code(), "{}", printable(&error.to_string()));
    error
}

/// The same for repeated requests, whose errors would fill the log.
pub(super) fn meaning(what: &str, status: &Status) -> Error {
    let words = words(status);
    let text = format!("{what}: {words}");
    match texts::meaning(status, &words) {
        Some(Meaning::TooLong) => return Error::TooLarge(text),
        Some(Meaning::BadName) => return Error::Invalid(text),
        Some(Meaning::NotOwned) => return Error::NotApplied(text),
        Some(Meaning::NoHosting) => return Error::Unavailable(text),
        Some(Meaning::NoTimeToLive) => return Error::Other(text),
        _ => {}
    }
    match status.code() {
        Code::NotFound => Error::NotFound(text),
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists => Error::Invalid(text),
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
            Error::Other(text)
        }
        _ => Error::Unavailable(text),
    }
}

/// Why the sidecar did not return an actor's answer.
#[derive(Debug)]
pub struct InvokeError {
    meaning: CallError,
    code: Code,
}

impl InvokeError {
    /// Interprets the sidecar's status. `is_of_a_host` means that hosts of this app have the actor.
    pub fn new(actor: &ActorAddress, status: &Status, is_of_a_host: bool) -> InvokeError {
        InvokeError { meaning: meaning_of_call(actor, status, is_of_a_host), code: status.code() }
    }

    /// The error of the call, if there is no other attempt.
    pub fn meaning(&self) -> &CallError {
        &self.meaning
    }

    /// Logs that the call failed, and returns its error. For the last attempt.
    pub fn logged(self) -> CallError {
        let InvokeError { meaning, code } = self;
        tracing::info!(code = ErrorCode::SidecarError.as_str(), status = ?code, "{}", printable(&meaning.to_string()));
        meaning
    }
}

fn meaning_of_call(actor: &ActorAddress, status: &Status, is_of_a_host: bool) -> CallError {
    let words = words(status);
    let could_not = || format!("{actor} could not be called: {words}");
    match texts::meaning(status, &words) {
        // Its limit is `--dapr-max-body-size`, 4 MiB by default.
        Some(Meaning::TooLong) => {
            let text = format!("The call is larger than the Dapr sidecar accepts: {words}.");
            CallError::TooLargeForBackend(text)
        }
        Some(Meaning::TooDeep) => {
            let code = ErrorCode::CallChainTooDeep;
            let status = http::StatusCode::INTERNAL_SERVER_ERROR.as_u16();
            let detail = format!("{actor}: {words}");
            CallError::Elsewhere(RemoteError { code: code.into(), class: code.class(), status, detail })
        }
        Some(Meaning::NoMethod) => CallError::NotFound(format!("{actor}: {words}")),
        // A host answers an actor's errors with 200 and a mark: it rejected the request before it looked at the call.
        Some(Meaning::Refused(Some(429 | 408 | 503))) if is_of_a_host => {
            CallError::Backend(Error::NotApplied(could_not()))
        }
        Some(Meaning::Refused(_)) => CallError::Failed(format!("{actor}: {words}")),
        Some(Meaning::NeverSent) => CallError::Backend(Error::NotApplied(could_not())),
        // The names in an address are checked before anything is sent; a newer release may reject more of them.
        Some(Meaning::BadName) => CallError::Backend(Error::Invalid(could_not())),
        _ if status.code() == Code::InvalidArgument => CallError::Backend(Error::Invalid(could_not())),
        _ => CallError::Backend(Error::Unavailable(could_not())),
    }
}

/// Returns `true` if the sidecar has no such method. It mistakes an unknown one for a call of another application
/// (`intercept` in `pkg/messaging/grpc_proxy.go`), and complains that the application is missing.
pub(super) fn is_unknown_method(status: &Status) -> bool {
    status.code() == Code::Unimplemented || texts::is_unproxied(status)
}

/// The sidecar's own text, or the known facts if there is none.
pub(super) fn words(status: &Status) -> String {
    use std::error::Error as _;
    let text = daca_base::telemetry::shortened(status.message()).to_owned();
    // tonic says "transport error" or less, and has the reason in the source.
    let mut source = status.source();
    let mut innermost = None;
    while let Some(error) = source {
        innermost = Some(error.to_string());
        source = error.source();
    }
    match (innermost, status.code()) {
        (Some(reason), _) => format!("the Dapr sidecar cannot be reached ({reason})"),
        (None, Code::DeadlineExceeded) => format!("the Dapr sidecar did not answer in time ({text})"),
        (None, Code::Cancelled) => format!("the Dapr sidecar aborted the call ({text})"),
        _ => text,
    }
}
