//! The quotas of agent types, and what counts for those of an actor and of its type: bytes, and reminders and timers.

use std::collections::HashMap;
use std::sync::Arc;

use daca_model::ActorAddress;
use daca_model::backend::{EFFECTS, Error, WakeupKey, WakeupKind};
use redb::ReadableTable;

use super::tables::{SeldomTable, WakeupRowKey, wakeup_key};

/// The overhead of an entry, so that many small ones count as well.
const ENTRY_BYTES: u64 = 64;

/// What an agent type may have in the state file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// The bytes of one actor.
    pub(crate) actor_bytes: u64,
    /// The bytes of all its actors together.
    pub(crate) type_bytes: u64,
    /// What it may add to the bytes of all types. The writer knows it.
    pub(crate) host_bytes: u64,
    /// The reminders and timers of one actor.
    pub(crate) registrations: usize,
    /// The weight by which it shares the writing.
    pub(crate) weight: u32,
}

impl Quota {
    /// That of a type which the manifest does not have.
    pub(crate) const UNLIMITED: Quota = Quota {
        actor_bytes: u64::MAX,
        type_bytes: u64::MAX,
        host_bytes: u64::MAX,
        registrations: usize::MAX,
        weight: 1,
    };
}

/// Those of all agent types.
pub(crate) type Quotas = HashMap<Arc<str>, Quota>;

/// The number of the actor's reminders and timers after a turn that registers new ones, if that is too many. `changes` have
/// the bytes of the new registrations; `None` is a removal.
pub(super) fn too_many_registrations<'k>(
    wakeups: &impl ReadableTable<WakeupRowKey<'static>, &'static [u8]>,
    actor: &ActorAddress,
    changes: impl Iterator<Item = (&'k WakeupKey, Option<usize>)>,
    most: usize,
) -> Result<Option<usize>, redb::Error> {
    let (mut new, mut removed) = (0, 0);
    for (key, row) in changes.filter(|(key, _)| is_counted(Some(key.kind), &key.name)) {
        let is_there = wakeups.get(wakeup_key(actor, key))?.is_some();
        new += usize::from(row.is_some() && !is_there);
        removed += usize::from(row.is_none() && is_there);
    }
    if new <= removed {
        return Ok(None);
    }
    let mut before = 0;
    for kind in [WakeupKind::Reminder, WakeupKind::Timer] {
        for row in wakeups.range((kind as u8, &*actor.agent_type, &*actor.id, "")..)? {
            let (key, _) = row?;
            let (of_kind, agent_type, id, name) = key.value();
            // What is beyond the limit need not be counted.
            if (of_kind, agent_type, id) != (kind as u8, &*actor.agent_type, &*actor.id) || before > most {
                break;
            }
            before += usize::from(is_counted(Some(kind), name));
        }
    }
    let after = before.saturating_add(new).saturating_sub(removed);
    Ok((after > most).then_some(after))
}

/// Why a turn is refused after which its actor has so many bytes, if that is too many. What does not grow is never refused.
pub(super) fn too_many_bytes(actor: &ActorAddress, after: u64, grown: u64, quota: Quota) -> Option<Error> {
    if after > quota.actor_bytes && grown > 0 {
        return Some(Error::TooLarge(format!(
            "{actor} would have {after} bytes of state; the limit state-total of its type is {}",
            quota.actor_bytes
        )));
    }
    let (bound, left) = match quota.host_bytes < quota.type_bytes {
        true => ("storage of the host leaves its type", quota.host_bytes),
        false => ("the limit storage of its type leaves", quota.type_bytes),
    };
    (grown > left)
        .then(|| Error::StorageExceeded(format!("{actor} would add {grown} bytes of state; {bound} {left}")))
}

/// The bytes that a turn frees and adds with its reminders and timers. `changes` are those of [`too_many_registrations`].
pub(super) fn difference<'k>(
    wakeups: &mut SeldomTable<'_, WakeupRowKey<'static>, &'static [u8]>,
    actor: &ActorAddress,
    changes: impl Iterator<Item = (&'k WakeupKey, Option<usize>)>,
) -> Result<(u64, u64), redb::Error> {
    let (mut freed, mut added) = (0, 0);
    for (key, row) in changes.filter(|(key, _)| is_counted(Some(key.kind), &key.name)) {
        if let Some(old) = wakeups.open()?.get(wakeup_key(actor, key))? {
            freed += entry_bytes(&key.name, old.value().len());
        }
        if let Some(bytes) = row {
            added += entry_bytes(&key.name, bytes);
        }
    }
    Ok((freed, added))
}

/// Returns `true` if a value, or a reminder or timer of this kind, counts for its actor's quota. Effects do not: a binding
/// that is away must not fill a quota. Those that wait are bounded for the whole host (`max-pending-effects`), and dead
/// letters for each actor. Of reminders and timers, only one has a name that no guest can give.
pub(crate) fn is_counted(wakeup: Option<WakeupKind>, name: &str) -> bool {
    wakeup.map_or(!name.starts_with(EFFECTS), |kind| kind != WakeupKind::Reminder || name != EFFECTS)
}

pub(crate) fn entry_bytes(key: &str, value: usize) -> u64 {
    ENTRY_BYTES + (key.len() + value) as u64
}
