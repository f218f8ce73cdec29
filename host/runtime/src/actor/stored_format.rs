//! The format of the host's own values in an actor's state.
//!
//! An actor may move to a host of the release before during a rolling update, and back. So a value of a newer format is
//! refused, and neither taken for damaged nor for missing: its actor is served by hosts that know it. The values that had
//! no number at first get one once their format changes: they are an object then, with the field `format`.

use daca_model::backend;
use serde::Deserialize;

/// What every format of a value has that has a number.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

/// The error for a stored value of a newer format.
pub(super) fn too_new(key: &str, format: u32, known: u32) -> backend::Error {
    backend::Error::TooNew(format!(
        "The state's {key:?} was written by a newer host, in format {format}; this host reads formats up to {known}"
    ))
}

/// The error for a stored value without a number that cannot be read: a newer host has written it, or no host has.
pub(super) fn unreadable_value(key: &str, value: &[u8]) -> backend::Error {
    check_format(key, value, 1).err().unwrap_or_else(|| unreadable(key))
}

/// Refuses a value of a newer format.
pub(super) fn check_format(key: &str, value: &[u8], known: u32) -> Result<(), backend::Error> {
    match daca_base::json::read_object::<Numbered>(value) {
        Ok(Numbered { format }) if format > known => Err(too_new(key, format, known)),
        _ => Ok(()),
    }
}

/// The error for a stored value that is invalid, and so was not written by a host.
pub(super) fn unreadable(key: &str) -> backend::Error {
    backend::Error::Other(format!("the state's {key:?} was not written by a host"))
}
