//! Calls to other actors.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::rt::bindings::actor::daca::agent::actors as host;
use crate::{Error, json};

/// Calls a method of an actor, with a payload in JSON, and waits for its reply. An empty reply counts as `null`.
///
/// The call takes effect at once, and stands even if the current call fails.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the agent type; [`Error::Unavailable`] when the actor cannot be
/// reached; [`Error::Invalid`] when it is this actor itself, or one that waits for this call. A failure of the callee
/// is [`Error::Invalid`], [`Error::NotFound`] or, for [`Failure::Failed`](crate::Failure::Failed), [`Error::Other`].
/// [`Error::Undecodable`] when the reply is not of the type; the callee has done its work in that case.
pub fn invoke<P, R>(agent_type: &str, actor_id: &str, method: &str, payload: &P) -> Result<R, Error>
where
    P: Serialize + ?Sized,
    R: DeserializeOwned,
{
    let payload = json::encode(format_args!("the payload for `{method}`"), payload)?;
    let reply = host::invoke(agent_type, actor_id, method, &payload)?;
    json::decode(format_args!("the reply of `{method}`"), json::or_null(&reply))
}
