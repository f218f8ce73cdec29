//! JSON, which is what typed values are to the outside. Private; every module that has typed values goes through here.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// No bytes at all stand for `null`, as does the word.
pub(crate) fn or_null(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"null" } else { bytes }
}

/// `what` names the value in the message of an error.
pub(crate) fn encode<T: Serialize + ?Sized>(what: impl fmt::Display, value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|e| Error::Invalid(format!("{what} cannot be written as JSON: {e}")))
}

/// `what` names the value in the message of an error.
pub(crate) fn decode<T: DeserializeOwned>(what: impl fmt::Display, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| Error::Undecodable(format!("{what}: {e}")))
}
