//! The texts of a sidecar's errors that the host has to read.
//!
//! Errors of actors carry no details in any release, and most have the code `Internal`, so that the text is all there is. Each
//! is here once, with the releases that have it and where it comes from; nothing else matches texts.

use tonic::{Code, Status};

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A message exceeds what one side takes.
    TooLong,
    /// The name of a reminder, of a timer or of an actor is none that Dapr takes.
    BadName,
    /// The sidecar does not have the actor, and has done nothing.
    NotOwned,
    /// The sidecar hosts no actors at the moment.
    NoHosting,
    /// The feature `ActorStateTTL` is off.
    NoTimeToLive,
    /// Turns of one actor are nested too deep.
    TooDeep,
    /// The actor's program has no such method.
    NoMethod,
    /// The actor's program answered something else than 200: this status, where it can be read.
    Refused(Option<u16>),
    /// No connection was made, so that nothing was sent.
    NeverSent,
}

struct Text {
    text: &'static str,
    meaning: Meaning,
}

const fn text(text: &'static str, meaning: Meaning) -> Text {
    Text { text, meaning }
}

/// Before the status of an answer that is not 200.
const REFUSED: &str = "error from actor service: (";

/// In this order. What ends or cuts off a call in a change of hosts (`actor lock is closed` and `placement is disseminating`
/// up to 1.16, `actor is closed, cannot handle` from 1.17 on, `context canceled`, `remote actor moved`) is not here: from 1.16.2
/// on the router repeats calls, so that the last error may follow a try that ran, and nothing may be concluded from it.
const TEXTS: &[Text] = &[
    // gRPC itself, both sides. All releases.
    text("larger than max", Meaning::TooLong),
    text("message length too large", Meaning::TooLong),
    // `JobName` of `github.com/diagridio/go-etcd-cron`. All releases; its code is `Unknown`.
    text("job name is invalid", Meaning::BadName),
    // `ErrActorInstanceMissing` in `pkg/messages/predefined.go`. All releases.
    text("actor instance is missing", Meaning::NotOwned),
    // `ErrActorReminderOpActorNotHosted`, the same file. All releases.
    text("only possible on hosted actor types", Meaning::NoHosting),
    // `GetOrCreate` in `pkg/actors/table/table.go`. 1.18.
    text("actor hosting is suspended", Meaning::NoHosting),
    // `StateOperation` in `pkg/actors/api/transactional.go`. All releases.
    text("ttlInSeconds is not supported", Meaning::NoTimeToLive),
    // `ErrActorMaxStackDepthExceeded` in `pkg/messages/predefined.go`. All releases.
    text("maximum stack depth exceeded", Meaning::TooDeep),
    // `pkg/actors/targets/app/app.go` up to 1.17, `pkg/actors/targets/app/transport/http/http.go` in 1.18.
    text("actor method not found", Meaning::NoMethod),
    text(REFUSED, Meaning::Refused(None)),
    // tonic and the operating system, of the connection to the sidecar.
    text("tcp connect error", Meaning::NeverSent),
    text("Connection refused (os error", Meaning::NeverSent),
];

/// What the sidecar says of a secret that its store does not have: `ErrSecretGet` in `pkg/messages/predefined.go` ends with the
/// store's own words, those of a file and of Kubernetes. All releases.
const NO_SECRET: &str = "not found";

/// Reads an error. `words` are those of [`super::status::words`], in which the reason for a lost connection is.
pub(super) fn meaning(status: &Status, words: &str) -> Option<Meaning> {
    let is_in = |text: &&Text| status.message().contains(text.text) || words.contains(text.text);
    let found = TEXTS.iter().find(is_in)?;
    let is_too_long = matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange);
    match found.meaning {
        Meaning::TooLong if !is_too_long => None,
        Meaning::Refused(_) => Some(Meaning::Refused(refusal(status.message()))),
        meaning => Some(meaning),
    }
}

/// The status with which the actor's program has refused a call.
fn refusal(message: &str) -> Option<u16> {
    message.split_once(REFUSED)?.1.split_once(')')?.0.parse().ok()
}

/// Returns `true` if the sidecar has no method of the name that was asked for. It takes such a request for a call of another
/// application (`intercept` in `pkg/messaging/grpc_proxy.go`), and says that it does not know of which. All releases.
pub(super) fn is_unproxied(status: &Status) -> bool {
    status.message().starts_with("failed to proxy request: required metadata")
}

/// Returns `true` if the secret store has no secret of the name that was asked for.
pub(super) fn is_no_such_secret(status: &Status) -> bool {
    status.code() == Code::Internal && status.message().ends_with(NO_SECRET)
}
