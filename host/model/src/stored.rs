//! JSON of the host's own records for durable state.

use bytes::Bytes;
use serde::Serialize;

use crate::backend::Error;

/// Serialises a record as JSON. All of the host's records can be serialised. If one could not, an error is returned and
/// nothing is written, rather than an empty value that could not be read again.
pub fn stored_json<T: Serialize>(record: &T) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(record);
    json.map(Bytes::from)
        .map_err(|error| Error::Other(format!("a record cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod properties;
