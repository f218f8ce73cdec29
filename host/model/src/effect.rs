//! Effects, and the requests to output bindings: what a turn asks of the outside.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;

use crate::ActorAddress;
use crate::backend::Error;
use crate::shown_effect::{EffectKind, readable, shown_metadata};

/// An effect: an external action that a turn requests and that happens after its commit.
#[derive(Debug, Clone)]
pub struct Effect {
    /// Its identity, which no repetition changes: the turn that requested it, and its number within the turn. A receiver
    /// that has seen it can drop it.
    pub id: Arc<str>,
    /// The requested action.
    pub request: EffectRequest,
    /// The log line after its delivery.
    pub delivered_line: Option<String>,
    /// The beginning of the log line if it is dropped.
    pub undeliverable_line: Option<String>,
    /// The trace context of the turn that requested it.
    pub traceparent: Option<Arc<str>>,
    /// The agent requested it when it was told of another one's failure. It is not told if this one fails, too.
    pub after_failure: bool,
}

impl Effect {
    /// What is between the name of a turn and the number of an effect of the migration before it.
    pub const OF_MIGRATION: &str = "migration";

    /// The identity of the effect with this number of a turn.
    pub fn id_of(turn: &str, number: usize) -> Arc<str> {
        // With room for most numbers: a text that is formatted into nothing grows several times.
        let mut id = String::with_capacity(turn.len() + 4);
        id.push_str(turn);
        write!(id, "-{number}").ok(); // a text takes everything
        id.into()
    }

    /// Returns `true` for the identity of an effect of a host: sixteen digits of the host's run, the number of the turn in
    /// it, and that of the effect in the turn, or in the migration before the turn.
    pub fn is_id(text: &str) -> bool {
        let parts = text.split('-').collect::<Vec<_>>();
        let (run, turn, number) = match parts[..] {
            [run, turn, number] | [run, turn, Effect::OF_MIGRATION, number] => (run, turn, number),
            _ => return false,
        };
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        run.len() == 16
            && run.bytes().all(|byte| byte.is_ascii_hexdigit())
            && is_number(turn)
            && is_number(number)
    }

    /// The turn that requested it.
    pub fn turn(&self) -> &str {
        Effect::turn_of(&self.id)
    }

    /// The turn that requested the effect with this identity.
    pub fn turn_of(id: &str) -> &str {
        id.rsplit_once('-').map_or(id, |(turn, _)| turn)
    }

    /// The size of its payload and log lines in bytes, for the bounds on what waits in memory.
    pub fn bytes(&self) -> usize {
        let lines = [&self.delivered_line, &self.undeliverable_line];
        self.request.bytes() + lines.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// An effect that was given up.
#[derive(Debug, Clone)]
pub struct FailedEffect {
    /// The effect.
    pub effect: Effect,
    /// The tries that were made to deliver it.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: Error,
    /// The agent was told, and its turn was kept.
    pub is_told: bool,
}

/// The result of a delivery, with the number of tries that were made.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The tries: at least one. Of several receivers, that with the most counts.
    pub attempts: u32,
    /// The result of the last one.
    pub result: Result<(), Error>,
}

impl From<Result<(), Error>> for Tried {
    /// The result of a single try.
    fn from(result: Result<(), Error>) -> Tried {
        Tried { attempts: 1, result }
    }
}

/// The action of an effect.
#[derive(Debug, Clone)]
pub enum EffectRequest {
    /// Publish an event.
    Publish {
        /// The pub/sub component.
        pubsub: String,
        /// The topic.
        topic: String,
        /// The event's data.
        event: Bytes,
    },
    /// Call an output binding, one way.
    Send(BindingRequest),
}

impl EffectRequest {
    /// The component of Dapr that it goes to. One that is away holds up the effects for it, and no others.
    pub fn target(&self) -> EffectTarget {
        match self {
            EffectRequest::Publish { pubsub, .. } => EffectTarget::Pubsub(pubsub.clone()),
            EffectRequest::Send(request) => EffectTarget::Binding(request.name.clone()),
        }
    }

    /// Its kind, as the outbox and the admin API name it.
    pub fn kind(&self) -> EffectKind {
        match self {
            EffectRequest::Publish { .. } => EffectKind::Publish,
            EffectRequest::Send(_) => EffectKind::Send,
        }
    }

    /// `PUBSUB/TOPIC` or `BINDING/OPERATION`.
    pub fn shown_target(&self) -> String {
        match self {
            EffectRequest::Publish { pubsub, topic, .. } => [pubsub.as_str(), "/", topic.as_str()].concat(),
            EffectRequest::Send(request) => [request.name.as_str(), "/", request.operation.as_str()].concat(),
        }
    }

    /// The payload for people, and the metadata, both of bounded length.
    pub fn shown_payload(&self) -> (String, BTreeMap<String, String>) {
        match self {
            EffectRequest::Publish { event, .. } => (readable(event).into_owned(), BTreeMap::new()),
            EffectRequest::Send(request) => {
                let metadata = shown_metadata(&request.metadata).into_iter();
                let metadata = metadata.map(|(name, value)| (name.into_owned(), value.into_owned()));
                (readable(&request.data).into_owned(), metadata.collect())
            }
        }
    }

    /// The size of its payload in bytes, for the bounds on what waits in memory.
    pub fn bytes(&self) -> usize {
        match self {
            EffectRequest::Publish { event, .. } => event.len(),
            EffectRequest::Send(request) => {
                let metadata = request.metadata.iter().map(|(name, value)| name.len() + value.len());
                request.data.len() + metadata.sum::<usize>()
            }
        }
    }

    /// The bytes of the request in the actor's effect log, or a little more. There its data are text in JSON, or base64.
    pub fn logged_bytes(&self) -> usize {
        /// What the log has around each: field names, the identity, the trace context, the time, and its origin.
        const AROUND: usize = 352;
        let (data, names) = match self {
            EffectRequest::Publish { pubsub, topic, event } => {
                (event, json_bytes(pubsub) + json_bytes(topic))
            }
            EffectRequest::Send(BindingRequest { name, operation, data, metadata }) => {
                let metadata = metadata.iter().map(|(name, value)| json_bytes(name) + json_bytes(value) + 6);
                (data, json_bytes(name) + json_bytes(operation) + metadata.sum::<usize>())
            }
        };
        let data = std::str::from_utf8(data).map_or_else(|_| data.len().div_ceil(3) * 4, json_bytes);
        data + names + AROUND
    }
}

/// The bytes of a text in JSON.
fn json_bytes(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..=0x1f => 6,
        _ => 1,
    });
    bytes.sum()
}

/// The component of Dapr that an effect goes to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EffectTarget {
    /// A pub/sub component, with all of its topics.
    Pubsub(String),
    /// An output binding.
    Binding(String),
}

/// A request to an output binding.
#[derive(Debug, Clone)]
pub struct BindingRequest {
    /// The binding.
    pub name: String,
    /// Its operation.
    pub operation: String,
    /// The payload.
    pub data: Bytes,
    /// Its metadata: names and values.
    pub metadata: BTreeMap<String, String>,
}

/// The response of an output binding.
#[derive(Debug, Clone, Default)]
pub struct BindingResponse {
    /// The payload.
    pub data: Bytes,
    /// Its metadata: names and values.
    pub metadata: BTreeMap<String, String>,
}

/// Which actors with effects are to be listed.
#[derive(Debug, Clone)]
pub struct EffectScan {
    /// Only those of this agent type.
    pub agent_type: Option<Arc<str>>,
    /// Only those behind this one, by type and id.
    pub after: Option<ActorAddress>,
    /// The maximum number.
    pub limit: usize,
}

/// A page of the actors that have pending effects or dead letters, by type and id. It may have fewer than were asked for,
/// or none, and not be the last one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectScanPage {
    /// The actors.
    pub actors: Vec<ActorAddress>,
    /// The `after` of the next page; `None` if this is the last one.
    pub next: Option<ActorAddress>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_turns_and_of_migrations_are_known() {
        for turn in ["0123456789abcdef-7", "0123456789abcdef-7-migration"] {
            assert!(Effect::is_id(&Effect::id_of(turn, 12)), "{turn}");
        }
        for other in ["", "0123456789abcdef-7", "0123456789abcdef-7-other-1", "0123456789abcdeg-7-1", "a-7-1"]
        {
            assert!(!Effect::is_id(other), "{other}");
        }
    }
}
