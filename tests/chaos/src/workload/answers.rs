//! What an answer says of what became of a call.

use daca_tests::Answer;

use crate::history::{Outcome, shortened};
use crate::wire::Entry;

/// Codes that say that nothing was kept: their pages in `docs/errors` promise it.
const NOTHING_KEPT: [&str; 18] = [
    "actor-queue-full",
    "backend-refused",
    "effects-backlog",
    "failed",
    "guest-trapped",
    "host-busy",
    "host-shutting-down",
    "host-starting",
    "internal",
    "invalid",
    "memory-exceeded",
    "memory-exhausted",
    "needed-unavailable",
    "no-room-for-instance",
    "not-done",
    "running-time-exceeded",
    "share-exceeded",
    "turn-time-exceeded",
];
/// It was kept, and its reply is gone.
const REPLY_FORGOTTEN: &str = "reply-forgotten";

/// What came of a call. A request that never reached a host was refused.
pub(crate) fn outcome(answer: anyhow::Result<Answer>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let was_not_sent = error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
            let said = shortened(&format!("{error:#}"));
            return if was_not_sent { Outcome::Refused(said) } else { Outcome::Unanswered(said) };
        }
    };
    let code = answer.code.as_deref().unwrap_or("no code");
    let said = shortened(&format!("{} {code}: {}", answer.status.as_u16(), answer.detail()));
    if answer.status == 200 {
        return match serde_json::from_value::<Entry>(answer.body) {
            Ok(entry) => Outcome::Kept(Some(entry)),
            Err(error) => Outcome::Unknown(shortened(&format!("an answer that is no entry: {error}"))),
        };
    }
    match code {
        REPLY_FORGOTTEN => Outcome::Kept(None),
        code if NOTHING_KEPT.contains(&code) => Outcome::Refused(said),
        _ => Outcome::Unknown(said),
    }
}

/// What was said when it was not kept.
pub(crate) fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Kept(_) => "kept".to_owned(),
        Outcome::Refused(said) | Outcome::Unknown(said) | Outcome::Unanswered(said) => said.clone(),
    }
}
