//! The actor's own durable state: keys and values.
//!
//! Values are JSON; [`get_bytes`] and [`set_bytes`] are for other bytes. Writes are staged: they commit together, in one
//! transaction, when the call succeeds. Reads see the call's own writes. A key has at least one character, and neither
//! control characters nor `||`. The prefix `daca:` is reserved for the host.
//!
//! Every function fails with [`Error::Unavailable`] when the store cannot be reached.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rt::bindings::actor::daca::agent::state as host;
use crate::{Error, json};

/// The value of a key; `None` when it does not exist, or when its time to live is over.
///
/// # Errors
///
/// [`Error::Undecodable`] when the value is of another type.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Error> {
    host::get(key)?.map(|bytes| decode(key, &bytes)).transpose()
}

/// The values of several keys, in the order of the keys, read in one request.
///
/// # Errors
///
/// [`Error::Undecodable`] when one of the values is of another type.
pub fn get_many<T: DeserializeOwned>(keys: &[&str]) -> Result<Vec<Option<T>>, Error> {
    let values = host::get_many(keys)?;
    keys.iter().zip(values).map(|(key, value)| value.map(|bytes| decode(key, &bytes)).transpose()).collect()
}

/// The bytes of a key; `None` when it does not exist, or when its time to live is over.
///
/// # Errors
///
/// Those of the module.
pub fn get_bytes(key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(host::get(key)?)
}

/// Stages a write. The key is kept until it is deleted, even if it had a time to live before.
///
/// # Errors
///
/// [`Error::TooLarge`] when the key, the value or the sum of this call's writes exceeds a limit of the agent type;
/// [`Error::Invalid`] for an invalid key, and for a value that cannot be written as JSON, or whose lists and objects are
/// nested more than 127 levels deep, so that it could not be read again.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<(), Error> {
    set_bytes(key, &encode(key, value)?)
}

/// Stages a write of a value that expires. The time counts from the end of this call, in whole seconds; a fraction is
/// rounded up. The maximum is 136 years.
///
/// # Errors
///
/// Those of [`set`], and [`Error::Invalid`] for a time of zero.
pub fn set_with_ttl<T: Serialize + ?Sized>(key: &str, value: &T, ttl: Duration) -> Result<(), Error> {
    Ok(host::set(key, &encode(key, value)?, Some(seconds(ttl)))?)
}

/// Stages a write of raw bytes.
///
/// # Errors
///
/// Those of [`set`].
pub fn set_bytes(key: &str, value: &[u8]) -> Result<(), Error> {
    Ok(host::set(key, value, None)?)
}

/// Stages a removal. Removing a key that does not exist is not an error.
///
/// # Errors
///
/// [`Error::Invalid`] for an invalid key.
pub fn delete(key: &str) -> Result<(), Error> {
    Ok(host::delete(key)?)
}

fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<u8>, Error> {
    json::encode(format_args!("the value for the key `{key}`"), value)
}

fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Error> {
    json::decode(format_args!("the value under the key `{key}`"), bytes)
}

fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs().saturating_add((ttl.subsec_nanos() > 0).into())).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_rounded_up() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
        assert_eq!(seconds(Duration::from_secs(u64::from(u32::MAX) + 1)), u32::MAX);
    }
}
