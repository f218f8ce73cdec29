//! The calls that an actor has handled and that may come again: messages of a broker, and calls to which their caller has given
//! a key.
//!
//! What is remembered lies with the actor's state, under keys that no guest can name, and is written in the commit of the turn
//! that handled the call. So it outlives the activation: a call whose answer was lost with its host comes to the actor's next
//! host. Nobody reads or writes it for any other call. Of messages the [`marks`](super::marks) are enough; whoever sends a key
//! wants the reply, too, so that these are kept as well, in [`replies`](super::replies).

use bytes::Bytes;

use super::marks::Marks;
use super::replies::{Replies, Request};
use super::{ActorAddress, CallError, CallIdentity};
use crate::backend::{self, Backend, TurnCommit};
use crate::component::TurnKind;

/// Such a call.
pub(super) struct Repeatable {
    identity: CallIdentity,
    request: Request,
}

impl Repeatable {
    pub(super) fn new(identity: CallIdentity, kind: &TurnKind) -> Repeatable {
        let request = match kind {
            TurnKind::Method { name, payload } => Request::new(name, payload),
            // Nobody gives them a key.
            _ => Request::new("", &[]),
        };
        Repeatable { identity, request }
    }
}

/// What an actor remembers of such calls.
#[derive(Debug, Default)]
pub(super) struct Handled {
    marks: Marks,
    /// None when they were not looked up: only calls with keys need them.
    replies: Option<Replies>,
}

impl Handled {
    /// Reads what the call needs and `known` lacks.
    pub(super) async fn read(
        known: Option<Handled>,
        backend: &dyn Backend,
        actor: &ActorAddress,
        call: &Repeatable,
    ) -> Result<Handled, backend::Error> {
        let has_marks = known.is_some();
        let mut handled = known.unwrap_or_default();
        let needs_replies = matches!(call.identity, CallIdentity::Key(_)) && handled.replies.is_none();
        let keys = [(!has_marks).then_some(super::marks::KEY), needs_replies.then_some(super::replies::KEY)];
        let keys = keys.into_iter().flatten().map(str::to_owned).collect::<Vec<_>>();
        if keys.is_empty() {
            return Ok(handled);
        }
        let mut values = backend.read_state(actor, &keys).await?.into_iter();
        let mut next = || values.next().flatten().map(|value| value.value);
        if !has_marks {
            handled.marks = Marks::read(next())?;
        }
        if needs_replies {
            handled.replies = Some(Replies::read(next())?);
        }
        Ok(handled)
    }

    /// The answer to a call that was handled before; none to one that was not. A message has nobody who would read its reply.
    pub(super) fn answer(&self, actor: &ActorAddress, call: &Repeatable) -> Result<Option<Bytes>, CallError> {
        let id = call.identity.id();
        let was_handled = self.marks.has(&id);
        let key = match &call.identity {
            CallIdentity::Message(_) => return Ok(was_handled.then(Bytes::new)),
            CallIdentity::Key(key) => key,
        };
        match self.replies.as_ref().and_then(|replies| replies.of(&id)) {
            Some(kept) if kept.request == call.request => Ok(Some(kept.reply.clone())),
            Some(_) => Err(CallError::KeyReused { actor: actor.clone(), key: key.clone() }),
            None if was_handled => Err(CallError::ReplyForgotten { actor: actor.clone(), key: key.clone() }),
            None => Ok(None),
        }
    }

    /// Adds a call to the commit of the turn that handles it, and answers what is known once that is done.
    pub(super) fn after(&self, call: &Repeatable, reply: &Bytes, commit: &mut TurnCommit) -> Handled {
        let (id, now) = (call.identity.id(), seconds());
        let marks = self.marks.after(&id, now, commit);
        let replies = match (&call.identity, &self.replies) {
            (CallIdentity::Key(_), Some(replies)) => {
                Some(replies.after(&id, call.request, reply, now, commit))
            }
            (_, replies) => replies.clone(),
        };
        Handled { marks, replies }
    }
}

/// Seconds since 1970.
fn seconds() -> u32 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
