//! Secrets of the host's secret store.

use std::collections::BTreeMap;

use crate::Error;
use crate::rt::bindings::actor::daca::agent::secrets as host;

/// The values of a secret, by key. A store that keeps single values returns one, whose key is the secret's name.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the secret for this agent type; [`Error::NotFound`] when the
/// store does not have it; [`Error::Unavailable`] when the store cannot be reached.
pub fn get(name: &str) -> Result<BTreeMap<String, String>, Error> {
    Ok(host::get(name)?.into_iter().collect())
}
