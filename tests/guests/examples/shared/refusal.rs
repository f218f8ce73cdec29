//! How these guests tell their caller what the host refused.

use daca_sdk::Error;
use serde_json::{Value, json};

/// `{"case": "denied", "message": "…"}`
pub(crate) fn refusal(error: &Error) -> Value {
    json!({ "case": error.code(), "message": error.message() })
}
