//! Effects that failed for good.

use serde::de::DeserializeOwned;

use crate::rt::bindings::on_effect_failed::exports::daca::agent::on_effect_failed as host;
use crate::{Error, json};

/// An effect of this actor that was given up, as a function marked `#[effect_failed]` gets it.
///
/// The host keeps it as a dead letter. It may have reached its receiver: a try whose answer was lost has failed, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedEffect {
    /// Its identity, which no repetition changes: the id of its CloudEvent, or the `Idempotency-Key` of its binding.
    pub identity: String,
    /// What it asked for.
    pub request: EffectRequest,
    /// The tries that were made to deliver it.
    pub attempts: u32,
}

/// What an effect asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectRequest {
    /// An event ([`pubsub::publish`](crate::pubsub::publish)).
    Publish {
        /// The pub/sub component.
        pubsub: String,
        /// The topic.
        topic: String,
        /// The event.
        event: Vec<u8>,
    },
    /// A one-way call of a binding ([`bindings::send`](crate::bindings::send)).
    Send {
        /// The binding.
        binding: String,
        /// Its operation.
        operation: String,
        /// The data.
        data: Vec<u8>,
        /// Names and values beside them.
        metadata: Vec<(String, String)>,
    },
}

impl FailedEffect {
    /// The event, or the data for the binding.
    pub fn payload(&self) -> &[u8] {
        match &self.request {
            EffectRequest::Publish { event, .. } => event,
            EffectRequest::Send { data, .. } => data,
        }
    }

    /// The payload, parsed as JSON. An empty one counts as `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] when it is not of the type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::decode("the payload of the effect", json::or_null(self.payload()))
    }
}

impl From<host::FailedEffect> for FailedEffect {
    fn from(failed: host::FailedEffect) -> Self {
        let request = match failed.request {
            host::Request::Publish(host::Published { pubsub, topic, event }) => {
                EffectRequest::Publish { pubsub, topic, event }
            }
            host::Request::Send(host::Sent { binding, operation, data, metadata }) => {
                EffectRequest::Send { binding, operation, data, metadata }
            }
        };
        Self { identity: failed.id, request, attempts: failed.attempts }
    }
}
