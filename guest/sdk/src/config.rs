//! Settings of the agent type, from the host's manifest. They are strings.

use std::collections::BTreeMap;

use crate::Error;
use crate::rt::bindings::actor::wasi::config::store as host;

/// The value of a setting; `None` when the manifest has none for this agent type.
///
/// # Errors
///
/// [`Error::Unavailable`] or [`Error::Other`] when the host cannot read its settings.
pub fn get(key: &str) -> Result<Option<String>, Error> {
    Ok(host::get(key)?)
}

/// All settings of the agent type.
///
/// # Errors
///
/// Those of [`get`].
pub fn all() -> Result<BTreeMap<String, String>, Error> {
    Ok(host::get_all()?.into_iter().collect())
}
