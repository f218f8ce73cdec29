//! Wake-up calls for as long as the actor is active.
//!
//! A timer calls the method marked `#[timer]`. An idle deactivation ends it, and a restart of the host may; what must
//! not be lost is a [reminder](crate::reminders).
//!
//! Registering and unregistering are staged, and happen when the call ends well.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rt::bindings::actor::daca::agent::timers as host;
use crate::{Error, Schedule, json};

/// A registered timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer<T> {
    /// What each firing carries.
    pub data: T,
    /// When it fires, as it was registered.
    pub schedule: Schedule,
}

/// Stages a timer under a name, in place of one of the same name. Each firing carries the data.
///
/// # Errors
///
/// [`Error::Invalid`] when the agent has no `#[timer]`, for a name that cannot be one, for a period of zero, and for
/// data that cannot be JSON; [`Error::TooLarge`] when the data exceeds a limit.
pub fn register<T: Serialize + ?Sized>(name: &str, schedule: Schedule, data: &T) -> Result<(), Error> {
    let data = json::encode(format_args!("the data of the timer `{name}`"), data)?;
    Ok(host::register(name, schedule.into(), &data)?)
}

/// Stages the removal of a timer. A name that does not exist is no error.
///
/// # Errors
///
/// [`Error::Invalid`] for a name that cannot be one.
pub fn unregister(name: &str) -> Result<(), Error> {
    Ok(host::unregister(name)?)
}

/// The timer under a name, as it was registered; none when there is none. Sees the call's own changes.
///
/// # Errors
///
/// [`Error::Undecodable`] when its data is of another type; [`Error::Unavailable`] when the host cannot find out.
pub fn get<T: DeserializeOwned>(name: &str) -> Result<Option<Timer<T>>, Error> {
    let Some(found) = host::get(name)? else { return Ok(None) };
    let data = json::decode(format_args!("the data of the timer `{name}`"), json::or_null(&found.data))?;
    Ok(Some(Timer { data, schedule: found.schedule.into() }))
}
