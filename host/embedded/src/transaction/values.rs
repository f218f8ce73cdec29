//! The values that a turn writes. A write returns what it replaces, whose bytes count for the quotas: to ask for it before
//! would be a second search in the tree for each value. So values are written first, and put back if the turn is refused,
//! which is rare.

use daca_base::clock::millis;
use daca_model::ActorAddress;
use daca_model::backend::StateWrite;
use redb::Table;

use super::lasting::LastingParts;
use super::quotas::{entry_bytes, is_counted};
use super::tables::{EXPIRY_BYTES, ExpiryKey, ReplacedRows, SeldomTable, StateKey, expiry_of};

/// A turn and its actor.
type TurnOf<'a> = (&'a ActorAddress, &'a LastingParts);
type StateTable<'a> = Table<'a, StateKey<'static>, &'static [u8]>;

/// Writes the values, and keeps what they replace. Returns the bytes that this frees and adds.
pub(super) fn write(
    state: &mut StateTable<'_>,
    row: &mut Vec<u8>,
    replaced: &mut ReplacedRows,
    (actor, turn): TurnOf<'_>,
    now: u64,
) -> Result<(u64, u64), redb::Error> {
    replaced.clear();
    let (mut freed, mut added) = (0, 0);
    for (key, write) in &turn.writes {
        let at = (&*actor.agent_type, &*actor.id, key.as_str());
        let old = match write {
            StateWrite::Delete => state.remove(at)?,
            StateWrite::Set { value, .. } => {
                row.clear();
                row.extend_from_slice(&expiry(write, now).to_le_bytes());
                row.extend_from_slice(value);
                state.insert(at, row.as_slice())?
            }
        };
        let old = old.as_ref().map(|old| old.value());
        if is_counted(None, key) {
            let before = old.map(|old| old.len().saturating_sub(EXPIRY_BYTES));
            freed += before.map_or(0, |bytes| entry_bytes(key, bytes));
            if let StateWrite::Set { value, .. } = write {
                added += entry_bytes(key, value.len());
            }
        }
        replaced.add(old);
    }
    Ok((freed, added))
}

/// Undoes the writes.
pub(super) fn put_back(
    state: &mut StateTable<'_>,
    replaced: &ReplacedRows,
    (actor, turn): TurnOf<'_>,
) -> Result<(), redb::Error> {
    for (key, old) in turn.writes.keys().zip(replaced.iter()) {
        let at = (&*actor.agent_type, &*actor.id, key.as_str());
        match old {
            Some(row) => state.insert(at, row)?,
            None => state.remove(at)?,
        };
    }
    Ok(())
}

/// Brings the index of expiries up to date with the writes.
pub(super) fn note_expiries(
    expiries: &mut SeldomTable<'_, ExpiryKey<'static>, ()>,
    replaced: &ReplacedRows,
    (actor, turn): TurnOf<'_>,
    now: u64,
) -> Result<(), redb::Error> {
    for ((key, write), old) in turn.writes.iter().zip(replaced.iter()) {
        let (before, after) = (old.map_or(0, expiry_of), expiry(write, now));
        if before != 0 {
            expiries.open()?.remove((before, &*actor.agent_type, &*actor.id, key.as_str()))?;
        }
        if after != 0 {
            expiries.open()?.insert((after, &*actor.agent_type, &*actor.id, key.as_str()), ())?;
        }
    }
    Ok(())
}

/// When what is written expires, in Unix milliseconds; 0 is never.
fn expiry(write: &StateWrite, now: u64) -> u64 {
    match write {
        StateWrite::Set { ttl: Some(ttl), .. } => now.saturating_add(millis(*ttl)),
        StateWrite::Set { ttl: None, .. } | StateWrite::Delete => 0,
    }
}
