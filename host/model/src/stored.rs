//! JSON of the host's own records on their way into durable state.

use bytes::Bytes;
use serde::Serialize;

use crate::backend::Error;

/// The JSON of a record. The host's records all have one; should one not, then nothing is written, rather than an empty value
/// that nobody could read again.
pub fn stored_json<T: Serialize>(record: &T) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(record);
    json.map(Bytes::from)
        .map_err(|error| Error::Other(format!("a record cannot be written as JSON: {error}")))
}
