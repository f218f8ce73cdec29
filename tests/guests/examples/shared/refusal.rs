//! How these guests tell their caller what the host refused.

use daca_sdk::Error;
use serde_json::{Value, json};

/// `{"case": "denied", "message": "…"}`
pub(crate) fn refusal(error: &Error) -> Value {
    let (case, message) = match error {
        Error::Denied(message) => ("denied", message),
        Error::NotFound(message) => ("not-found", message),
        Error::Invalid(message) => ("invalid", message),
        Error::Unavailable(message) => ("unavailable", message),
        Error::TooLarge(message) => ("too-large", message),
        Error::Other(message) => ("other", message),
        Error::Undecodable(message) => ("undecodable", message),
    };
    json!({ "case": case, "message": message })
}
