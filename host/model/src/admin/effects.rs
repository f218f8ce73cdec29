//! Pending effects and dead letters: the answers to `GET /effects…`, and the changes of dead letters.
//!
//! [`EffectsRequest`] and its answers are also what two hosts say to each other: the host that is asked passes the
//! request on to the one that has the actor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Word;
use crate::shown_effect::EffectKind;

/// The answer to `GET /effects` and `GET /effects/{agent_type}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectActors {
    /// The actors with pending effects or dead letters, by type and id.
    pub actors: Vec<EffectActor>,
    /// The `after` of the next page, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The number of actors with dead letters that did not fit into the index of the hosts, which this list is made from.
    pub left_out: u64,
}

/// An actor with pending effects or dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectActor {
    /// The agent type.
    pub agent_type: String,
    /// The actor's id.
    pub actor_id: String,
    /// Effects that have not left. Those that were given up and are no dead letters yet are among them.
    pub pending: usize,
    /// Dead letters.
    pub dead: usize,
    /// Milliseconds since 1970 when its oldest dead letter was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_since_unix_ms: Option<u64>,
    /// Why its host did not tell; the numbers are 0 then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer to `GET /effects/{agent_type}/{actor_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorEffects {
    /// The agent type.
    pub agent_type: String,
    /// The actor's id.
    pub actor_id: String,
    /// All effects that have not left. Those that were given up and are no dead letters yet are among them.
    pub pending: usize,
    /// All dead letters.
    pub dead: usize,
    /// Milliseconds since 1970 when the oldest dead letter was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_since_unix_ms: Option<u64>,
    /// Some of them: dead letters first, each group from old to new.
    pub effects: Vec<EffectInfo>,
    /// The `from` of the next page, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<usize>,
}

/// A pending effect, or a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectInfo {
    /// Its identity, which no repetition changes.
    pub id: String,
    /// Whether it is sent.
    pub state: Word<EffectState>,
    /// What it asks for.
    pub kind: Word<EffectKind>,
    /// `PUBSUB/TOPIC` or `BINDING/OPERATION`.
    pub target: String,
    /// Milliseconds since 1970 when its turn requested it, or somebody retried it; of a dead letter, when it was given
    /// up. `None` if an older host has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// The tries that were made to deliver it; of a pending one, those of its present host.
    pub attempts: u32,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The size of its payload.
    pub bytes: usize,
    /// The payload as text, or in base64 if it is not text; cut after 4,096 bytes. Only on request: it may be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The metadata; only on request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Whether an effect is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectState {
    /// It waits for delivery, or is in delivery.
    Pending,
    /// It was given up, and is a dead letter.
    Dead,
    /// It was given up, and could not become a dead letter yet.
    GivenUp,
}

/// The body of `POST /effects/{agent_type}/{actor_id}/retry` and `…/discard`: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EffectsChangeRequest {
    /// The identity of a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `true` for all dead letters of the actor.
    #[serde(default)]
    pub all: bool,
}

/// The answer to a change of dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsChanged {
    /// The agent type.
    pub agent_type: String,
    /// The actor's id.
    pub actor_id: String,
    /// The action.
    pub action: Word<EffectsAction>,
    /// The identities of the dead letters that it was done to, from old to new.
    pub effects: Vec<String>,
    /// The effect with the requested identity is no dead letter, so nothing was done: what is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_dead: Option<Word<NotDead>>,
}

/// What is known of an effect that is no dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotDead {
    /// It has not left: somebody has retried it.
    Pending,
    /// It is gone: it has left, was discarded, or was dropped because its actor had too many; or there was none.
    Gone,
}

/// An action on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectsAction {
    /// They are pending again, behind the others.
    Retry,
    /// They are removed, and never sent.
    Discard,
}

/// What an actor's host is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectsRequest {
    /// A page of its effects; the answer is [`ActorEffects`].
    List(EffectsPage),
    /// A change of its dead letters; the answer is [`EffectsChanged`].
    Change(EffectsChange),
    /// Not of an operator: the reminder of its effects has fired at another actor, which has it in its place. There is no
    /// answer.
    Wake,
}

/// A page of an actor's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsPage {
    /// The number of effects before it.
    pub from: usize,
    /// The maximum number of effects in it.
    pub limit: usize,
    /// With payloads and metadata.
    pub payload: bool,
}

/// A change of an actor's dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EffectsChange {
    /// What is done.
    pub action: EffectsAction,
    /// The identity of one; all of them if `None`.
    pub id: Option<String>,
}
