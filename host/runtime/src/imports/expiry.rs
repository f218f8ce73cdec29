//! When a value that is written now expires.

use std::time::{Duration, SystemTime};

use daca_model::backend::Expiry;

/// The expiry of a write that commits now.
pub(super) fn expiry(ttl: Option<Duration>, now: SystemTime) -> Expiry {
    ttl.and_then(|ttl| now.checked_add(ttl)).map_or(Expiry::Never, Expiry::At)
}
