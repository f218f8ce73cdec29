//! Which calls are repeated, and when, while hosts come and go.

use std::time::Duration;

use bytes::Bytes;
use daca_dapr::InvokeError;
use daca_model::CallError;

/// The waits, in milliseconds, before a call is retried that a change of hosts interrupted; the last one repeats until
/// [`REPEATING`] is over. A sidecar may take a second to notice that its host is gone.
const RETRY_DELAYS: [u64; 5] = [100, 400, 1_000, 1_500, 2_000];
/// The time for which calls are retried. That includes those with an unknown outcome, so it is less than the timeout of
/// a state store (`STORE_TIMEOUT` of `daca-dapr`): a write that the store has not confirmed by then may still happen,
/// and a host that reads the mark at once would not see it.
pub(super) const REPEATING: Duration = Duration::from_secs(10);

/// Why an attempt has no reply.
#[derive(Debug)]
pub(super) enum NoReply {
    /// The actor's host says so.
    Actor(CallError),
    /// The sidecar has no answer of the actor's host.
    Sidecar(InvokeError),
}

impl NoReply {
    /// The error of the call. For the last attempt: it logs what the sidecar said.
    pub(super) fn into_error(self) -> CallError {
        match self {
            NoReply::Actor(error) => error,
            NoReply::Sidecar(error) => error.logged(),
        }
    }
}

/// The pause before another attempt, after `number` pauses; `None` if there is none. A call that was certainly not
/// handled gets all pauses even if it has waited long: `may_go_on` is for the time after them.
pub(super) fn pause(number: usize, may_go_on: bool) -> Option<Duration> {
    let pause = RETRY_DELAYS.get(number).or(RETRY_DELAYS.last().filter(|_| may_go_on));
    pause.copied().map(Duration::from_millis)
}

/// Returns `true` if a call may be retried at once: if it was certainly not handled; and also if its outcome is
/// unknown, provided that its actor handles a repeated call once.
pub(super) fn may_be_repeated(answer: &Result<Bytes, NoReply>, is_handled_once: bool) -> bool {
    let error = match answer {
        Ok(_) => return false,
        Err(NoReply::Actor(error)) => error,
        Err(NoReply::Sidecar(error)) => error.meaning(),
    };
    error.is_not_applied() || (is_handled_once && error.is_of_unknown_outcome())
}

#[cfg(test)]
mod tests {
    use daca_model::backend::Error;
    use tonic::Status;

    use super::*;

    /// A call that was certainly not run is repeated for every caller. One that may have run is repeated only if its actor
    /// handles it once.
    #[test]
    fn a_call_is_repeated_only_where_that_does_no_harm() {
        let actor = "A/a".parse().expect("an address");
        let unavailable = || CallError::Backend(Error::Unavailable("the store".into()));
        let not_done = || CallError::Backend(Error::NotApplied("given up".into()));
        let actors = |error: CallError| Err(NoReply::Actor(error));
        let sidecars = |status: Status| Err(NoReply::Sidecar(InvokeError::new(&actor, &status, true)));
        let status = |text: &str| sidecars(Status::internal(text));
        // The answer, and whether the call is repeated: without a key, with one.
        let cases = [
            (Ok(Bytes::new()), (false, false)),
            (actors(not_done()), (true, true)),
            (actors(unavailable()), (false, true)),
            (actors(CallError::NeededUnavailable("a secret".into())), (false, false)),
            (actors(CallError::Failed("no".into())), (false, false)),
            (actors(CallError::HostBusy(7)), (false, false)),
            // The sidecar's router repeats calls by itself: the last error may follow a try that ran.
            (status("failed to lookup actor: no address"), (false, true)),
            (status("error invoke actor method: actor lock is closed"), (false, true)),
            (status("actor is closed, cannot handle \"Add\""), (false, true)),
            (status("placement is disseminating"), (false, true)),
            (sidecars(Status::unknown("context canceled")), (false, true)),
            (status("Put \"http://h/actors\": context canceled"), (false, true)),
            (sidecars(Status::unavailable("tcp connect error")), (true, true)),
            (status("error from actor service: (500) no"), (false, false)),
            (status("error from actor service: (503) bodies-exhausted"), (true, true)),
            (sidecars(Status::invalid_argument("actor id is invalid")), (false, false)),
            (sidecars(Status::out_of_range("decoded message length too large")), (false, false)),
        ];
        for (answer, expected) in cases {
            let found = (may_be_repeated(&answer, false), may_be_repeated(&answer, true));
            assert_eq!(found, expected, "{answer:?}");
        }
        // Of another program nobody knows what its 503 means.
        let status = Status::internal("error from actor service: (503) no");
        let of_another = Err(NoReply::Sidecar(InvokeError::new(&actor, &status, false)));
        assert!(!may_be_repeated(&of_another, false));
    }
}
