//! Durable wake-ups.
//!
//! A reminder survives deactivation and restarts. It fires until it is unregistered, has fired once (without a period),
//! or its time is over. It calls the function marked `#[reminder]`, at least once: a firing that ends with a failure is
//! retried.
//!
//! Registering and unregistering are staged, and take effect when the call succeeds.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rt::bindings::actor::daca::agent::reminders as host;
use crate::{Error, Schedule, json};

/// A registered reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminder<T> {
    /// The data of each firing.
    pub data: T,
    /// When it fires, as it was registered.
    pub schedule: Schedule,
}

/// Stages a reminder under a name. It replaces one of the same name. Each firing carries the data.
///
/// # Errors
///
/// [`Error::Invalid`] when the agent has no `#[reminder]`, for an invalid name, for a period of zero, and for data that
/// cannot be written as JSON; [`Error::TooLarge`] when the data exceeds a limit.
pub fn register<T: Serialize + ?Sized>(name: &str, schedule: Schedule, data: &T) -> Result<(), Error> {
    let data = json::encode(format_args!("the data of the reminder `{name}`"), data)?;
    Ok(host::register(name, schedule.into(), &data)?)
}

/// Stages the removal of a reminder. Removing a name that does not exist is not an error.
///
/// # Errors
///
/// [`Error::Invalid`] for an invalid name.
pub fn unregister(name: &str) -> Result<(), Error> {
    Ok(host::unregister(name)?)
}

/// The reminder of a name, as it was registered; `None` when it does not exist. Sees the call's own changes.
///
/// # Errors
///
/// [`Error::Undecodable`] when its data is of another type; [`Error::Unavailable`] when the host cannot look it up.
pub fn get<T: DeserializeOwned>(name: &str) -> Result<Option<Reminder<T>>, Error> {
    let Some(found) = host::get(name)? else { return Ok(None) };
    let data = json::decode(format_args!("the data of the reminder `{name}`"), json::or_null(&found.data))?;
    Ok(Some(Reminder { data, schedule: found.schedule.into() }))
}
