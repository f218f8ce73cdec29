//! Interprets the sidecar's errors. Their text goes to the log and into the error; the case decides who may retry.

use bytes::Bytes;
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
        Some(Meaning::NotOwned) => return Error::NotDone(text),
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
///
/// `is_of_a_host` means that hosts of this app have the actor.
pub(super) fn call_error(actor: &ActorAddress, status: &Status, is_of_a_host: bool) -> CallError {
    let error = meaning_of_call(actor, status, is_of_a_host);
    tracing::info!(code = ErrorCode::SidecarError.as_str(), status = ?status.code(), "{}", printable(&error.to_string()));
    error
}

fn meaning_of_call(actor: &ActorAddress, status: &Status, is_of_a_host: bool) -> CallError {
    let words = words(status);
    let could_not = || format!("{actor} could not be called: {words}");
    match texts::meaning(status, &words) {
        Some(Meaning::TooLong) => CallError::TooLargeForSidecar(words),
        Some(Meaning::TooDeep) => {
            let (code, status) =
                (ErrorCode::CallChainTooDeep.into(), http::StatusCode::INTERNAL_SERVER_ERROR);
            CallError::Elsewhere(RemoteError { code, status, detail: format!("{actor}: {words}") })
        }
        Some(Meaning::NoMethod) => CallError::NotFound(format!("{actor}: {words}")),
        // A host answers an actor's errors with 200 and a mark: it rejected the request before it looked at the call.
        Some(Meaning::Refused(Some(429 | 408 | 503))) if is_of_a_host => {
            CallError::Backend(Error::NotDone(could_not()))
        }
        Some(Meaning::Refused(_)) => CallError::Failed(format!("{actor}: {words}")),
        Some(Meaning::NeverSent) => CallError::Backend(Error::NotDone(could_not())),
        // The names in an address are checked before anything is sent; a newer release may reject more of them.
        Some(Meaning::BadName) => CallError::Backend(Error::Invalid(could_not())),
        _ if status.code() == Code::InvalidArgument => CallError::Backend(Error::Invalid(could_not())),
        _ => CallError::Backend(Error::Unavailable(could_not())),
    }
}

/// Returns `true` if a call may be retried at once: if it was certainly not handled; and also if its outcome is
/// unknown, provided that its actor handles a repeated call once.
pub(super) fn may_be_repeated(
    actor: &ActorAddress,
    answer: &Result<Result<Bytes, CallError>, Status>,
    is_of_a_host: bool,
    is_handled_once: bool,
) -> bool {
    let may_be =
        |error: &CallError| error.is_not_done() || (is_handled_once && error.is_of_unknown_outcome());
    match answer {
        Ok(Ok(_)) => false,
        Ok(Err(error)) => may_be(error),
        Err(status) => may_be(&meaning_of_call(actor, status, is_of_a_host)),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What was surely not done is repeated for everybody, and what may have been done for those whose actor handles it once.
    #[test]
    fn a_call_is_repeated_only_where_that_does_no_harm() {
        let actor = "A/a".parse().expect("an address");
        let unavailable = || CallError::Backend(Error::Unavailable("the store".into()));
        let not_done = || CallError::Backend(Error::NotDone("given up".into()));
        let status = |text: &str| Err(Status::internal(text));
        // The answer, and whether the call is repeated: without a key, with one.
        let cases = [
            (Ok(Ok(Bytes::new())), (false, false)),
            (Ok(Err(not_done())), (true, true)),
            (Ok(Err(unavailable())), (false, true)),
            (Ok(Err(CallError::NeededUnavailable("a secret".into()))), (false, false)),
            (Ok(Err(CallError::Failed("no".into()))), (false, false)),
            (Ok(Err(CallError::HostBusy(7))), (false, false)),
            // The router repeats calls by itself: the last error may follow a try that ran.
            (status("failed to lookup actor: no address"), (false, true)),
            (status("error invoke actor method: actor lock is closed"), (false, true)),
            (status("actor is closed, cannot handle \"Add\""), (false, true)),
            (status("placement is disseminating"), (false, true)),
            (Err(Status::unknown("context canceled")), (false, true)),
            (status("Put \"http://h/actors\": context canceled"), (false, true)),
            (Err(Status::unavailable("tcp connect error")), (true, true)),
            (status("error from actor service: (500) no"), (false, false)),
            (status("error from actor service: (503) bodies-exhausted"), (true, true)),
            (Err(Status::invalid_argument("actor id is invalid")), (false, false)),
            (Err(Status::out_of_range("decoded message length too large")), (false, false)),
        ];
        for (answer, expected) in cases {
            let may_be = |is_handled_once| may_be_repeated(&actor, &answer, true, is_handled_once);
            let found = (may_be(false), may_be(true));
            assert_eq!(found, expected, "{answer:?}");
        }
        // Of another program nobody knows what its 503 means.
        let of_another = status("error from actor service: (503) no");
        assert!(!may_be_repeated(&actor, &of_another, false, false));
    }
}
