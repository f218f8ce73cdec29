//! What the sidecar's errors mean. Their words go to the log and into the error; the case decides who may try again.

use tonic::{Code, Status};

use crate::actor::{ActorAddress, CallError};
use crate::backend::Error;
use crate::telemetry::printable;

/// The contract's error for what the sidecar said of state, events, bindings, reminders, timers and secrets.
///
/// `Internal` is what the sidecar says when a component failed (Redis away, Twilio's 500), and most often it works later.
pub(super) fn error(what: &str, status: &Status) -> Error {
    let error = meaning(what, status);
    tracing::info!(code = "sidecar-error", status = ?status.code(), "{}", printable(&error.to_string()));
    error
}

/// The same, for what is asked again and again, so that it would fill the log.
pub(super) fn meaning(what: &str, status: &Status) -> Error {
    let text = format!("{what}: {}", words(status));
    match status.code() {
        _ if is_too_long(status) => Error::TooLarge(text),
        // What the scheduler takes as a name is in `JobName` of `github.com/diagridio/go-etcd-cron`; `Unknown` is its code.
        _ if status.message().contains("job name is invalid") => Error::Invalid(text),
        // The fence against a host that has lost an actor (`TransactionalStateOperation` in `pkg/actors/state/state.go`).
        _ if status.message().contains("actor instance is missing") => Error::NotDone(text),
        // As long as the sidecar hosts no actors, which passes.
        _ if status.message().contains("only possible on hosted actor types") => Error::Unavailable(text),
        // `StateOperation` in `pkg/actors/api/transactional.go`.
        _ if status.message().contains("ttlInSeconds is not supported") => Error::Other(text),
        Code::NotFound => Error::NotFound(text),
        Code::InvalidArgument | Code::OutOfRange | Code::AlreadyExists => Error::Invalid(text),
        Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
            Error::Other(text)
        }
        _ => Error::Unavailable(text),
    }
}

/// Why the sidecar did not bring back the answer of an actor.
///
/// The texts are those of Dapr 1.16 (`pkg/actors/targets/app/app.go`, `pkg/messages/predefined.go`): it gives all of them
/// the code `Internal`.
pub(super) fn call_error(actor: &ActorAddress, status: &Status) -> CallError {
    let error = meaning_of_call(actor, status);
    tracing::info!(code = "sidecar-error", status = ?status.code(), "{}", printable(&error.to_string()));
    error
}

fn meaning_of_call(actor: &ActorAddress, status: &Status) -> CallError {
    let text = words(status);
    if is_too_long(status) {
        return CallError::TooLargeForSidecar(text);
    }
    if text.contains("maximum stack depth exceeded") {
        let (code, status) = ("call-chain-too-deep".into(), http::StatusCode::INTERNAL_SERVER_ERROR);
        return CallError::Elsewhere { code, status, detail: format!("{actor}: {text}") };
    }
    if text.contains("actor method not found") {
        return CallError::NotFound(format!("{actor}: {text}"));
    }
    // The actor of another program answered something else than 200.
    if text.contains("error from actor service: (") {
        return CallError::Failed(format!("{actor}: {text}"));
    }
    let text = format!("{actor} could not be called: {text}");
    // tonic keeps the reason for a connection that could not be made underneath.
    let never_left = text.contains("tcp connect error") || text.contains("Connection refused (os error");
    CallError::Backend(if never_left { Error::NotDone(text) } else { Error::Unavailable(text) })
}

/// Did the call fail in the middle of a change of hosts, before a turn began? Then it may be made again at once.
pub(super) fn never_began(status: &Status) -> bool {
    let text = status.message();
    // What broke off on the way to the host or back may have been handled there.
    let reached_a_host = text.contains("Put \"");
    ["remote actor moved", "failed to lookup actor", "failed to create actor"]
        .iter()
        .any(|it| text.contains(it))
        || (!reached_a_host && text.ends_with("lock closed"))
        || (reached_a_host && text.contains("dial tcp") && text.ends_with("connect: connection refused"))
}

/// May the call succeed in a moment, if making it again does no harm? Not when it has taken all its time.
pub(super) fn is_worth_another_try(actor: &ActorAddress, status: &Status) -> bool {
    status.code() != Code::DeadlineExceeded && meaning_of_call(actor, status).is_worth_another_try()
}

/// What gRPC says of a message that is longer than one side takes.
fn is_too_long(status: &Status) -> bool {
    matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange)
        && (status.message().contains("larger than max")
            || status.message().contains("message length too large"))
}

/// The sidecar's own words, or what is known when there are none.
pub(super) fn words(status: &Status) -> String {
    use std::error::Error as _;
    let text = crate::telemetry::shortened(status.message()).to_owned();
    // tonic says "transport error" or less, and keeps the reason underneath.
    let mut source = status.source();
    let mut innermost = None;
    while let Some(error) = source {
        innermost = Some(error.to_string());
        source = error.source();
    }
    match (innermost, status.code()) {
        (Some(reason), _) => format!("the Dapr sidecar cannot be reached ({reason})"),
        (None, Code::DeadlineExceeded) => format!("the Dapr sidecar did not answer in time ({text})"),
        (None, Code::Cancelled) => format!("the Dapr sidecar broke the call off ({text})"),
        _ => text,
    }
}
