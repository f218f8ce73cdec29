//! Events for the subscribers of a topic.
//!
//! An event is an [`Effect`]: it is sent after the call has succeeded, in order with the actor's other events for this
//! component, and retried for a while when the broker cannot be reached. So `Ok` means that it will be sent, not that it was sent.

use serde::Serialize;

use crate::rt::bindings::actor::daca::agent::pubsub as host;
use crate::{Effect, Error, json};

/// Stages an event, as JSON, for a topic of a pub/sub component.
///
/// # Errors
///
/// [`Error::Denied`] when the manifest does not list the topic for this agent type; [`Error::TooLarge`] when the event
/// or the number of effects exceeds a limit; [`Error::Invalid`] when the event cannot be written as JSON, or when its
/// lists and objects are nested more than 127 levels deep. If the manifest itself subscribes to the topic, an event that
/// is neither an object nor a text that contains one is [`Error::Invalid`], too: its subscriptions take objects.
pub fn publish<T: Serialize + ?Sized>(pubsub: &str, topic: &str, event: &T) -> Result<Effect, Error> {
    publish_bytes(pubsub, topic, &json::encode(format_args!("the event for `{topic}`"), event)?)
}

/// Stages an event of raw bytes. JSON is sent as `application/json`, any other bytes as `application/octet-stream`.
///
/// # Errors
///
/// Those of [`publish`].
pub fn publish_bytes(pubsub: &str, topic: &str, event: &[u8]) -> Result<Effect, Error> {
    Ok(Effect::new(host::publish(pubsub, topic, event)?))
}
