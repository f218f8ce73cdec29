//! The dedup log: the calls that an actor has handled and that may be repeated. These are messages of a broker, calls
//! with a caller's key, and calls that the backend delivers again after a change of hosts.
//!
//! The log is kept with the actor's state, under keys that begin with `daca:`, which no guest can name
//! ([`crate::imports`]), and is written in the commit of the turn that handled the call. So it outlives the activation:
//! a call whose answer was lost with its host arrives at the actor's next host. Other calls neither read nor write the
//! log. For messages the marks ([`super::mark_log`]) are enough. A caller with a key wants the reply, too, so those replies
//! are kept in [`replies`](super::replies). Of all other calls the last few are kept for some seconds, in
//! [`attempts`](super::attempts).
//!
//! The marks must still be stored as they were read when the commit is applied ([`TurnCommit::unchanged`]): the actor's
//! previous host may handle the same call at the same time.

use std::sync::Arc;

use bytes::Bytes;

use super::attempts::Attempts;
use super::mark_log::MarkLog;
use super::marks::Mark;
use super::replies::Replies;
use super::request_hash::{EventContent, RequestHash};
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
    /// An event, by its identity, and its content.
    Event {
        id: Arc<str>,
        content: EventContent,
    },
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
            (CallIdentity::Message(id), TurnKind::Method { name, payload })
                if CallIdentity::is_event(&id) =>
            {
                DedupKey::Event { id, content: EventContent::new(name, payload) }
            }
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

/// The dedup log of an actor. Messages and calls with keys do not displace each other. Most actors have at most one of the
/// parts.
#[derive(Debug, Default)]
pub(super) struct DedupLog {
    /// `None` if they have not been read.
    messages: Option<Box<MarkLog>>,
    /// `None` if they have not been read.
    keyed: Option<Box<Keyed>>,
    /// `None` if they have not been read.
    attempts: Option<Attempts>,
}

/// The calls with keys. More marks than replies are kept.
#[derive(Debug)]
struct Keyed {
    marks: MarkLog,
    replies: Replies,
}

impl DedupLog {
    /// Returns `true` if the part that the call needs has been read.
    pub(super) fn has_part_for(&self, identity: &CallIdentity) -> bool {
        match identity {
            CallIdentity::Message(_) => self.messages.is_some(),
            CallIdentity::Key(_) => self.keyed.is_some(),
            CallIdentity::Attempt(_) => self.attempts.is_some(),
        }
    }

    /// Reads the part that the call needs, unless `known` has it.
    pub(super) async fn read(
        known: Option<DedupLog>,
        backend: &dyn Backend,
        actor: &ActorAddress,
        identity: &CallIdentity,
    ) -> Result<DedupLog, backend::Error> {
        let mut log = known.unwrap_or_default();
        if log.has_part_for(identity) {
            return Ok(log);
        }
        match identity {
            CallIdentity::Message(_) => {
                let [stored] = read(backend, actor, [MESSAGES]).await?;
                let marks = MarkLog::of(stored, backend, (actor, MESSAGES)).await?;
                log.messages = Some(Box::new(marks));
            }
            CallIdentity::Key(_) => {
                let [stored, replies] = read(backend, actor, [KEYED, REPLIES]).await?;
                let marks = MarkLog::of(stored, backend, (actor, KEYED)).await?;
                log.keyed = Some(Box::new(Keyed { marks, replies: Replies::read(REPLIES, replies)? }));
            }
            CallIdentity::Attempt(_) => {
                let [attempts] = read(backend, actor, [ATTEMPTS]).await?;
                log.attempts = Some(Attempts::read(ATTEMPTS, attempts.as_ref())?);
            }
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
                let was_handled = self.messages.as_ref().is_some_and(|known| known.has(place));
                return Ok(was_handled.then(Bytes::new));
            }
            (DedupKey::Event { id, content }, _) => {
                return match self.messages.as_ref().and_then(|known| known.event(id, *content)) {
                    Some(true) => Ok(Some(Bytes::new())),
                    Some(false) => Err(CallError::EventIdReused(actor.clone())),
                    None => Ok(None),
                };
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
            DedupKey::Message(place) => self.add_message(Mark::of_call(place, now), commit),
            DedupKey::Event { id, content } => self.add_message(Mark::of_event(id, *content, now), commit),
            DedupKey::Keyed { key, request } => {
                let Some(keyed) = &mut self.keyed else { return self };
                let Keyed { marks, replies } = &mut **keyed;
                marks.add(KEYED, Mark::of_call(key, now), commit);
                *replies = replies.with(key, *request, reply, now);
                write(commit, REPLIES, replies.text().into());
            }
            // A turn that changes nothing may run twice.
            DedupKey::Attempt(_) if commit.is_empty() && commit.effects.is_empty() => {}
            DedupKey::Attempt(mark) => {
                let attempts = self.attempts.unwrap_or_default().with(mark, reply, now);
                write(commit, ATTEMPTS, attempts.text().into());
                self.attempts = Some(attempts);
            }
        }
        self
    }

    /// Adds the mark of a message or event, whose part has been read.
    fn add_message(&mut self, mark: Mark, commit: &mut TurnCommit) {
        if let Some(messages) = &mut self.messages {
            messages.add(MESSAGES, mark, commit);
        }
    }

    /// About the bytes that it takes in memory, apart from the last calls of hosts.
    pub(super) fn bytes(&self) -> u64 {
        let of_keyed = |keyed: &Keyed| keyed.marks.bytes() + keyed.replies.bytes();
        self.messages.as_deref().map_or(0, MarkLog::bytes) + self.keyed.as_deref().map_or(0, of_keyed)
    }
}

/// Returns `true` if the actor's stored state shows that a call was handled, which the turn of this commit had not found
/// in its log.
pub(super) async fn was_handled(
    backend: &dyn Backend,
    actor: &ActorAddress,
    identity: &CallIdentity,
    commit: &TurnCommit,
) -> Result<bool, backend::Error> {
    let key = key_of(identity);
    let [stored] = read(backend, actor, [key]).await?;
    if let CallIdentity::Attempt(mark) = identity {
        return Ok(Attempts::read(key, stored.as_ref())?.of(mark).is_some());
    }
    let before = commit.unchanged.as_ref().filter(|before| before.key == key);
    let before = before.and_then(|before| before.value.as_ref());
    let since = MarkLog::since(before, stored, backend, (actor, key)).await?;
    Ok(match identity {
        // Another content with this identity is as good as handled.
        CallIdentity::Message(id) if CallIdentity::is_event(id) => {
            since.event(id, EventContent::new("", &Bytes::new())).is_some()
        }
        CallIdentity::Message(id) | CallIdentity::Key(id) | CallIdentity::Attempt(id) => since.has(id),
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

fn write(commit: &mut TurnCommit, key: &str, value: Bytes) {
    commit.writes.insert(key.to_owned(), StateWrite::Set { value, ttl: None });
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod upgrades;
