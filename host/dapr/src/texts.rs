//! The texts of a sidecar's errors on which the host depends.
//!
//! Errors of actors have no details in any release, and most have the code `Internal`, so the text is the only
//! information. Each is here once, with its releases and its origin; texts are matched nowhere else.

use daca_model::backend::Error;
use tonic::{Code, Status};

/// The meaning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A message exceeds the limit of one side.
    TooLong,
    /// Dapr does not accept the name of a reminder, of a timer or of an actor.
    BadName,
    /// The sidecar does not have the actor, and has done nothing.
    NotOwned,
    /// The sidecar hosts no actors at the moment.
    NoHosting,
    /// The feature `ActorStateTTL` is off.
    NoTimeToLive,
    /// Turns of one actor are nested too deeply.
    TooDeep,
    /// The actor's program has no such method.
    NoMethod,
    /// The actor's program answered something other than 200: this status, if it can be parsed.
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

/// The text before the status of an answer that is not 200.
const REFUSED: &str = "error from actor service: (";

/// In this order. The texts of calls that are ended or cut off by a change of hosts (`actor lock is closed` and
/// `placement is disseminating` up to 1.16, `actor is closed, cannot handle` from 1.17 on, `context canceled`, `remote
/// actor moved`) are not here: from 1.16.2 on the router repeats calls, so the last error may follow an attempt that
/// ran, and nothing may be concluded from it.
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

/// The end of the sidecar's error for a secret that its store does not have: `ErrSecretGet` in
/// `pkg/messages/predefined.go` ends with the store's own text, which is that of a file and of Kubernetes. All
/// releases.
const NO_SECRET: &str = "not found";

/// How a service behind the sidecar refuses a request that it would refuse again.
#[derive(Clone, Copy)]
enum Refusal {
    /// By the status behind the text, if that is one of [`DEFINITE`].
    Status,
    Invalid,
    TooLarge,
}

/// The texts of refusals, in the errors of bindings and of brokers.
const REFUSALS: &[(&str, Refusal)] = &[
    // `bindings/http/http.go` of components-contrib. All releases.
    ("received status code ", Refusal::Status),
    // `bindings/twilio/sms/sms.go`, the same. The second is about a request without a number. All releases.
    ("error from Twilio (", Refusal::Status),
    ("twilio missing ", Refusal::Invalid),
    // `async_producer.go` and `errors.go` of IBM/sarama, the client of Kafka: a message that is too large for it, and one
    // that is too large for the broker. All releases.
    ("larger than configured Producer.MaxMessageBytes", Refusal::TooLarge),
    ("Message was too large, server rejected it", Refusal::TooLarge),
];
/// The statuses that say that the same request will be refused again. Not those that an operator may change (401, 403,
/// 404), and not those of a moment (408, 409, 425, 429).
const DEFINITE: [u16; 7] = [400, 405, 410, 413, 414, 415, 422];

/// The error of an event or of a request to a binding. The sidecar does not distinguish a service that refuses from one
/// that is away.
pub(super) fn refused_for_good(error: Error) -> Error {
    match error {
        Error::Unavailable(text) => match refusal_by_service(&text) {
            Some(Refusal::TooLarge) => Error::TooLarge(text),
            Some(Refusal::Status | Refusal::Invalid) => Error::Invalid(text),
            None => Error::Unavailable(text),
        },
        error => error,
    }
}

/// The refusal that a text has in it, if it is definite.
fn refusal_by_service(text: &str) -> Option<Refusal> {
    REFUSALS.iter().find_map(|(words, refusal)| {
        let (_, rest) = text.split_once(*words)?;
        match refusal {
            Refusal::Status => {
                let status = rest.get(..3)?.parse::<u16>().ok()?;
                DEFINITE.contains(&status).then_some(Refusal::Status)
            }
            Refusal::Invalid | Refusal::TooLarge => Some(*refusal),
        }
    })
}

/// Interprets an error. `words` are those of [`super::status::words`], which have the reason for a lost connection.
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

/// The status with which the actor's program rejected a call.
fn refusal(message: &str) -> Option<u16> {
    message.split_once(REFUSED)?.1.split_once(')')?.0.parse().ok()
}

/// Returns `true` if the sidecar has no method of the requested name. It mistakes such a request for a call of another
/// application (`intercept` in `pkg/messaging/grpc_proxy.go`), and complains that the application is missing. All
/// releases.
pub(super) fn is_unproxied(status: &Status) -> bool {
    status.message().starts_with("failed to proxy request: required metadata")
}

/// Returns `true` if the secret store has no secret of the requested name.
pub(super) fn is_no_such_secret(status: &Status) -> bool {
    status.code() == Code::Internal && status.message().ends_with(NO_SECRET)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sidecar's texts, with the binding's inside.
    #[test]
    fn a_service_that_refuses_is_told_from_one_that_may_take_the_request_later() {
        let refused_for_good = |reason: &str| {
            let text = format!("binding \"b\": error invoking output binding b: {reason}");
            refused_for_good(Error::Unavailable(text))
        };
        for refused in [
            "error from Twilio (400): 400 Bad Request",
            "received status code 422",
            "twilio missing \"toNumber\" field",
        ] {
            assert!(matches!(refused_for_good(refused), Error::Invalid(_)), "{refused}");
        }
        let too_large = refused_for_good(
            "kafka server: Message was too large, server rejected it to avoid allocation error",
        );
        assert!(matches!(too_large, Error::TooLarge(_)));
        for later in [
            "error from Twilio (429): 429 Too Many Requests",
            "error from Twilio (500): 500 Internal Server Error",
            "error from Twilio (401): 401 Unauthorized",
            "received status code 503",
            "received status code é00",
            "received status code 4",
            "dial tcp: i/o timeout",
        ] {
            assert!(matches!(refused_for_good(later), Error::Unavailable(_)), "{later}");
        }
    }
}
