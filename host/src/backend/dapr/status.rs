//! What the sidecar's errors mean. Their words go to the log and into the error; the case decides who may try again.

use bytes::Bytes;
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
fn never_began(status: &Status) -> bool {
    let text = status.message();
    // What broke off on the way to the host or back may have been handled there.
    let reached_a_host = text.contains("Put \"");
    // The last is what gRPC says of a call that was never sent to the other sidecar (`picker_wrapper.go` of grpc-go).
    const NEVER_BEGAN: [&str; 4] = [
        "remote actor moved",
        "failed to lookup actor",
        "failed to create actor",
        "while waiting for connections to become ready",
    ];
    NEVER_BEGAN.iter().any(|it| text.contains(it))
        || (!reached_a_host && (text.ends_with("lock closed") || text.ends_with("lock is closed")))
        || (reached_a_host && text.contains("dial tcp") && text.ends_with("connect: connection refused"))
}

/// May a call be made again at once? When it was surely not done; and also when its outcome is not known, if its actor handles
/// a call that comes again once.
pub(super) fn may_be_repeated(
    actor: &ActorAddress,
    answer: &Result<Result<Bytes, CallError>, Status>,
    is_handled_once: bool,
) -> bool {
    match answer {
        Ok(Ok(_)) => false,
        Ok(Err(error)) => error.is_not_done() || (is_handled_once && error.is_of_unknown_outcome()),
        Err(status) if never_began(status) => true,
        Err(status) => {
            let error = meaning_of_call(actor, status);
            is_handled_once && (error.is_not_done() || error.is_of_unknown_outcome())
        }
    }
}

/// Has the sidecar no such method? One that it does not know it takes for a call of another application
/// (`intercept` in `pkg/messaging/grpc_proxy.go`), and says that it does not know of which.
pub(super) fn is_unknown_method(status: &Status) -> bool {
    status.code() == Code::Unimplemented
        || status.message().starts_with("failed to proxy request: required metadata")
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
            (status("failed to lookup actor: no address"), (true, true)),
            (
                Err(Status::cancelled("context canceled while waiting for connections to become ready")),
                (true, true),
            ),
            (status("error invoke actor method: actor lock is closed"), (true, true)),
            (status("Put \"http://h/actors\": actor lock is closed"), (false, true)),
            (status("placement is disseminating"), (false, true)),
            (status("Put \"http://h/actors\": context canceled"), (false, true)),
            (status("error from actor service: (500) no"), (false, false)),
            (Err(Status::out_of_range("decoded message length too large")), (false, false)),
        ];
        for (answer, expected) in cases {
            let found = (may_be_repeated(&actor, &answer, false), may_be_repeated(&actor, &answer, true));
            assert_eq!(found, expected, "{answer:?}");
        }
    }
}
