//! Output bindings: external systems, such as an SMS gateway, a mail server or an HTTP service.
//!
//! Use [`send`] to write and [`invoke`] to read. [`send`] takes effect only if the call succeeds; [`invoke`] takes
//! effect at once, even if the call fails later.
//!
//! Both take the data as bytes, and metadata as pairs of unique names and values.

use serde::de::DeserializeOwned;

use crate::rt::bindings::actor::daca::agent::bindings as host;
use crate::{Effect, Error, json};

/// The response of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The body.
    pub data: Vec<u8>,
    /// Its metadata, such as the status code of an HTTP binding.
    pub metadata: Vec<(String, String)>,
}

impl Response {
    /// The data, parsed as JSON. Empty data counts as `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] when it is not of the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::decode("the response of the binding", json::or_null(&self.data))
    }
}

/// Calls a binding now and waits for its response.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the binding with this operation; [`Error::Unavailable`] when it
/// cannot be reached.
pub fn invoke(
    name: &str,
    operation: &str,
    data: impl AsRef<[u8]>,
    metadata: &[(&str, &str)],
) -> Result<Response, Error> {
    let response = host::invoke(name, operation, data.as_ref(), metadata)?;
    Ok(Response { data: response.data, metadata: response.metadata })
}

/// Stages a one-way call of a binding: an [`Effect`], sent after this call has succeeded.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the binding with this operation; [`Error::TooLarge`] when the
/// data, the metadata or the number of effects exceeds a limit.
pub fn send(
    name: &str,
    operation: &str,
    data: impl AsRef<[u8]>,
    metadata: &[(&str, &str)],
) -> Result<Effect, Error> {
    Ok(Effect::new(host::send(name, operation, data.as_ref(), metadata)?))
}
