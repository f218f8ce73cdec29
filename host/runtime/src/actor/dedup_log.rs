//! The dedup log: the calls that an actor has handled and that may be repeated. These are messages of a broker, calls
//! with a caller's key, and calls that a sidecar delivers again after a change of hosts.
//!
//! The log is kept with the actor's state, under keys that begin with `daca:`, which no guest can name
//! ([`crate::imports`]), and is written in the commit of the turn that handled the call. So it outlives the activation:
//! a call whose answer was lost with its host arrives at the actor's next host. Other calls neither read nor write the
//! log. For messages the [`marks`](super::marks) are enough. A caller with a key wants the reply, too, so those replies
//! are kept in [`replies`](super::replies). Of all other calls the last few are kept for some seconds, in
//! [`attempts`](super::attempts).

use std::sync::Arc;

use bytes::Bytes;

use super::attempts::Attempts;
use super::marks::Marks;
use super::replies::{Replies, RequestHash};
use super::{ActorAddress, CallError, CallIdentity};
use daca_model::TurnKind;
use daca_model::backend::{self, Backend, StateWrite, TurnCommit};

/// Marks of messages.
const MESSAGES: &str = "daca:consumed";
/// Marks of calls with keys.
const KEYED: &str = "daca:called";
/// Replies to calls with keys.
const REPLIES: &str = "daca:replies";
/// The last calls of hosts.
const ATTEMPTS: &str = "daca:attempts";

/// A call that may be repeated.
pub(super) enum DedupKey {
    /// A message, by its position.
    Message(Arc<str>),
    Keyed {
        key: Arc<str>,
        request: RequestHash,
    },
    /// A call of a host, by its mark.
    Attempt(Arc<str>),
}

impl DedupKey {
    pub(super) fn new(identity: CallIdentity, kind: &TurnKind) -> DedupKey {
        match (identity, kind) {
            (CallIdentity::Message(place), _) => DedupKey::Message(place),
            (CallIdentity::Attempt(mark), _) => DedupKey::Attempt(mark),
            (CallIdentity::Key(key), TurnKind::Method { name, payload }) => {
                DedupKey::Keyed { key, request: RequestHash::new(name, payload) }
            }
            // Other calls have no key.
            (CallIdentity::Key(key), _) => DedupKey::Keyed { key, request: RequestHash::new("", &[]) },
        }
    }
}

/// The dedup log of an actor. Messages and calls with keys do not displace each other.
#[derive(Debug, Default)]
pub(super) struct DedupLog {
    /// `None` if they have not been read.
    messages: Option<Marks>,
    /// `None` if they have not been read.
    keyed: Option<Keyed>,
    /// `None` if they have not been read.
    attempts: Option<Attempts>,
}

/// The calls with keys. More marks than replies are kept.
#[derive(Debug)]
struct Keyed {
    marks: Marks,
    replies: Replies,
}

impl DedupLog {
    /// Reads the parts that the call needs and `known` lacks.
    pub(super) async fn read(
        known: Option<DedupLog>,
        backend: &dyn Backend,
        actor: &ActorAddress,
        call: &DedupKey,
    ) -> Result<DedupLog, backend::Error> {
        let mut log = known.unwrap_or_default();
        match call {
            DedupKey::Message(_) if log.messages.is_none() => {
                let [marks] = read(backend, actor, [MESSAGES]).await?;
                log.messages = Some(Marks::read(MESSAGES, marks)?);
            }
            DedupKey::Keyed { .. } if log.keyed.is_none() => {
                let [marks, replies] = read(backend, actor, [KEYED, REPLIES]).await?;
                let (marks, replies) = (Marks::read(KEYED, marks)?, Replies::read(REPLIES, replies)?);
                log.keyed = Some(Keyed { marks, replies });
            }
            DedupKey::Attempt(_) if log.attempts.is_none() => {
                let [attempts] = read(backend, actor, [ATTEMPTS]).await?;
                log.attempts = Some(Attempts::read(ATTEMPTS, attempts.as_ref())?);
            }
            _ => {}
        }
        Ok(log)
    }

    /// The calls that the actor's previous host handled, if they have been read.
    pub(super) fn attempts(&self) -> Option<&Attempts> {
        self.attempts.as_ref()
    }

    /// The answer to a call that was handled before; `None` for a new call. Nobody reads the reply to a message.
    pub(super) fn answer(&self, actor: &ActorAddress, call: &DedupKey) -> Result<Option<Bytes>, CallError> {
        let (key, request, keyed) = match (call, &self.keyed) {
            (DedupKey::Message(place), _) => {
                let was_handled = self.messages.as_ref().is_some_and(|marks| marks.has(place));
                return Ok(was_handled.then(Bytes::new));
            }
            (DedupKey::Attempt(mark), _) => {
                return match self.attempts.as_ref().and_then(|attempts| attempts.of(mark)) {
                    Some(Some(reply)) => Ok(Some(reply.clone())),
                    Some(None) => Err(CallError::ReplyLost(actor.clone())),
                    None => Ok(None),
                };
            }
            (DedupKey::Keyed { .. }, None) => return Ok(None),
            (DedupKey::Keyed { key, request }, Some(keyed)) => (key, request, keyed),
        };
        match keyed.replies.of(key) {
            Some(kept) if kept.request == *request => Ok(Some(kept.reply.clone())),
            Some(_) => Err(CallError::KeyReused { actor: actor.clone(), key: key.clone() }),
            None if keyed.marks.has(key) => {
                Err(CallError::ReplyForgotten { actor: actor.clone(), key: key.clone() })
            }
            None => Ok(None),
        }
    }

    /// Adds a call to the commit of the turn that handles it, and returns the log as it is after the commit.
    /// `now` is in seconds since 1970.
    pub(super) fn after(
        mut self,
        call: &DedupKey,
        reply: &Bytes,
        now: u64,
        commit: &mut TurnCommit,
    ) -> DedupLog {
        let now = u32::try_from(now).unwrap_or(u32::MAX);
        match call {
            DedupKey::Message(place) => {
                let marks = self.messages.unwrap_or_default().with(place, now);
                write(commit, MESSAGES, marks.text());
                self.messages = Some(marks);
            }
            DedupKey::Keyed { key, request } => {
                let Some(Keyed { marks, replies }) = self.keyed else { return self };
                let (marks, replies) = (marks.with(key, now), replies.with(key, *request, reply, now));
                write(commit, KEYED, marks.text());
                write(commit, REPLIES, replies.text());
                self.keyed = Some(Keyed { marks, replies });
            }
            // A turn that changes nothing may run twice.
            DedupKey::Attempt(_) if commit.is_empty() && commit.effects.is_empty() => {}
            DedupKey::Attempt(mark) => {
                let attempts = self.attempts.unwrap_or_default().with(mark, reply, now);
                write(commit, ATTEMPTS, attempts.text().into_bytes());
                self.attempts = Some(attempts);
            }
        }
        self
    }
}

/// Returns `true` if the actor's stored state shows that a call was handled.
pub(super) async fn was_handled(
    backend: &dyn Backend,
    actor: &ActorAddress,
    identity: &CallIdentity,
) -> Result<bool, backend::Error> {
    let key = key_of(identity);
    let [value] = read(backend, actor, [key]).await?;
    Ok(match identity {
        CallIdentity::Message(id) | CallIdentity::Key(id) => Marks::read(key, value)?.has(id),
        CallIdentity::Attempt(mark) => Attempts::read(key, value.as_ref())?.of(mark).is_some(),
    })
}

/// The state key of a call's mark.
pub(super) fn key_of(identity: &CallIdentity) -> &'static str {
    match identity {
        CallIdentity::Message(_) => MESSAGES,
        CallIdentity::Key(_) => KEYED,
        CallIdentity::Attempt(_) => ATTEMPTS,
    }
}

async fn read<const COUNT: usize>(
    backend: &dyn Backend,
    actor: &ActorAddress,
    keys: [&str; COUNT],
) -> Result<[Option<Bytes>; COUNT], backend::Error> {
    let mut values = backend.read_state(actor, &keys.map(str::to_owned)).await?.into_iter();
    Ok(keys.map(|_| values.next().flatten().map(|value| value.value)))
}

fn write(commit: &mut TurnCommit, key: &str, value: Vec<u8>) {
    commit.writes.insert(key.to_owned(), StateWrite::Set { value: value.into(), ttl: None });
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod upgrades;
