//! Events for whoever subscribes to a topic.
//!
//! An event is an [`Effect`]: it is sent after the call has ended well, in order with the call's other effects, and
//! tried again for a while when the broker cannot be reached. So `Ok` says that it will be sent, not that it was.

use serde::Serialize;

use crate::rt::bindings::actor::daca::agent::pubsub as host;
use crate::{Effect, Error, json};

/// Stages an event, as JSON, for a topic of a pub/sub component.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the topic for this agent type; [`Error::TooLarge`] when the event
/// or the number of effects exceeds a limit; [`Error::Invalid`] when the event cannot be JSON, when it has more than 127
/// lists and objects within one another, and when it is no object (nor a text that holds one) but the manifest itself
/// subscribes to the topic: its subscriptions take objects.
pub fn publish<T: Serialize + ?Sized>(pubsub: &str, topic: &str, event: &T) -> Result<Effect, Error> {
    publish_bytes(pubsub, topic, &json::encode(format_args!("the event for `{topic}`"), event)?)
}

/// Stages an event of bytes as they are. Those that are JSON travel as `application/json`, others as
/// `application/octet-stream`.
///
/// # Errors
///
/// Those of [`publish`].
pub fn publish_bytes(pubsub: &str, topic: &str, event: &[u8]) -> Result<Effect, Error> {
    Ok(Effect::new(host::publish(pubsub, topic, event)?))
}
