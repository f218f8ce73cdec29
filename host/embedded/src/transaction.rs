//! The tables of the state file, and the changes of one turn.
//!
//! Everything here runs within a transaction that the [`writer`](super::writer) begins and commits.

mod lasting;
mod quotas;
mod tables;
mod values;

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};

use super::usage::{Growth, TypeUsage};
use daca_base::clock::millis;
use daca_base::json::UnknownFields;
use daca_model::ActorAddress;
use daca_model::backend::{EFFECTS, Error, Expiry, Registration, StateValue, WakeupKey, WakeupKind};

pub(super) use lasting::LastingParts;
pub(super) use quotas::{Quota, Quotas, entry_bytes, is_counted};
use quotas::{difference, too_many_bytes, too_many_registrations};
pub(super) use tables::{
    EXPIRIES, EXPIRY_BYTES, STATE, Tables, USAGE, WAKEUPS, WakeupRowKey, expiry_of, wakeup_key,
};

/// The number of expired values that are removed at once, so that a purge never delays the commits for long.
const PURGE_BATCH: usize = 10_000;

/// A commit's change of the schedule: when a reminder or timer fires next, if ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScheduleChange {
    pub(super) actor: ActorAddress,
    pub(super) key: WakeupKey,
    pub(super) next: Option<Due>,
}

/// The next firing of a reminder or timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Unix milliseconds.
    pub(super) at: u64,
    pub(super) token: u128,
}

/// What became of a turn's commit.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) changes: Vec<ScheduleChange>,
    /// The bytes that count for the quotas.
    pub(super) added: u64,
    pub(super) freed: u64,
}

/// Writes the result of a turn. The inner error rejects only this turn, of which nothing is left then.
pub(super) fn apply(
    tables: &mut Tables<'_>,
    actor: &ActorAddress,
    turn: &LastingParts,
    quota: Quota,
    now: u64,
    last_token: &mut u64,
) -> Result<Result<Applied, Error>, redb::Error> {
    let Tables { state, expiries, wakeups, usage, row, replaced } = tables;
    if let Err(changed) = turn.check(state, actor)? {
        return Ok(Err(changed));
    }
    let changes = match turn.has_wakeups() {
        true => wakeup_changes(wakeups.open()?, actor, turn, now, last_token)?,
        false => BTreeMap::new(),
    };
    if !changes.is_empty()
        && let Some(number) =
            too_many_registrations(wakeups.open()?, actor, sizes(&changes), quota.registrations)?
    {
        return Ok(Err(Error::TooManyRegistrations(format!(
            "{actor} would have {number} reminders and timers; the limit registrations of its type is {}",
            quota.registrations
        ))));
    }
    // Before it is known whether they may be: what a value replaces comes with the write.
    let of_values = values::write(state, row, replaced, (actor, turn), now)?;
    let of_wakeups = difference(wakeups, actor, sizes(&changes))?;
    let (freed, added) = (of_values.0 + of_wakeups.0, of_values.1 + of_wakeups.1);
    if freed != added {
        let owner = (&*actor.agent_type, &*actor.id);
        let before = usage.get(owner)?.map_or(0, |bytes| bytes.value());
        let after = before.saturating_add(added).saturating_sub(freed);
        if let Some(refused) = too_many_bytes(actor, after, added.saturating_sub(freed), quota) {
            values::put_back(state, replaced, (actor, turn))?;
            return Ok(Err(refused));
        }
        match after {
            0 => usage.remove(owner)?,
            _ => usage.insert(owner, after)?,
        };
    }
    values::note_expiries(expiries, replaced, (actor, turn), now)?;
    for (key, row) in &changes {
        match row {
            Some(row) => wakeups.open()?.insert(wakeup_key(actor, key), row.bytes.as_slice())?,
            None => wakeups.open()?.remove(wakeup_key(actor, key))?,
        };
    }
    let change = |(key, row): (WakeupKey, Option<EncodedRow>)| ScheduleChange {
        actor: actor.clone(),
        key,
        next: row.map(|row| row.due),
    };
    Ok(Ok(Applied { changes: changes.into_iter().map(change).collect(), added, freed }))
}

/// The bytes of the new registrations; `None` is a removal.
fn sizes(
    changes: &BTreeMap<WakeupKey, Option<EncodedRow>>,
) -> impl Iterator<Item = (&WakeupKey, Option<usize>)> {
    changes.iter().map(|(key, row)| (key, row.as_ref().map(|row| row.bytes.len())))
}

/// The new registrations of the actor's reminders and timers; `None` is a removal.
fn wakeup_changes(
    table: &impl ReadableTable<WakeupRowKey<'static>, &'static [u8]>,
    actor: &ActorAddress,
    turn: &LastingParts,
    now: u64,
    last_token: &mut u64,
) -> Result<BTreeMap<WakeupKey, Option<EncodedRow>>, redb::Error> {
    let mut changes = BTreeMap::new();
    if let Some(fired) = &turn.handled {
        let row = table.get(wakeup_key(actor, &fired.key))?.map(|row| row.value().to_vec());
        // This firing must not advance another registration of the same name.
        if let Some(Ok(row)) = row.map(|row| WakeupRow::decode(&row))
            && row.token() == fired.token
        {
            let next = row.after_firing(now);
            changes.insert(fired.key.clone(), next.map(|row| EncodedRow::of(row, now)).transpose()?);
        }
    }
    if turn.ends_timers {
        let timer = WakeupKind::Timer as u8;
        let first = (timer, &*actor.agent_type, &*actor.id, "");
        for row in table.range(first..)? {
            let (key, _) = row?;
            let (kind, agent_type, id, name) = key.value();
            if (kind, agent_type, id) != (timer, &*actor.agent_type, &*actor.id) {
                break;
            }
            changes.insert(WakeupKey { kind: WakeupKind::Timer, name: name.to_owned() }, None);
        }
    }
    for (key, registration) in &turn.wakeups {
        *last_token += 1;
        let row = registration.as_ref().map(|registration| WakeupRow::new(registration, now, *last_token));
        changes.insert(key.clone(), row.map(|row| EncodedRow::of(row, now)).transpose()?);
    }
    Ok(changes)
}

/// Removes expired values from the file, and reports the bytes of each with its type. Returns `true` if none is left.
pub(super) fn purge(
    tables: &mut Tables<'_>,
    now: u64,
    mut freed: impl FnMut(&str, u64),
) -> Result<bool, redb::Error> {
    let Tables { state, expiries, usage, .. } = tables;
    let expiries = expiries.open()?;
    let mut expired = Vec::new();
    for row in expiries.range(..(now, "", "", ""))?.take(PURGE_BATCH) {
        let (key, _) = row?;
        let (expiry, agent_type, id, key) = key.value();
        expired.push((expiry, agent_type.to_owned(), id.to_owned(), key.to_owned()));
    }
    for (expiry, agent_type, id, key) in &expired {
        let at = (agent_type.as_str(), id.as_str(), key.as_str());
        expiries.remove((*expiry, at.0, at.1, at.2))?;
        if state.get(at)?.is_some_and(|row| expiry_of(row.value()) == *expiry) {
            let old = state.remove(at)?.map_or(0, |old| old.value().len());
            let bytes = entry_bytes(key, old.saturating_sub(EXPIRY_BYTES));
            let before = usage.get((at.0, at.1))?.map_or(0, |bytes| bytes.value());
            freed(at.0, bytes.min(before));
            match before.saturating_sub(bytes) {
                0 => usage.remove((at.0, at.1))?,
                left => usage.insert((at.0, at.1), left)?,
            };
        }
    }
    Ok(expired.len() < PURGE_BATCH)
}

/// The bytes of each agent type in the file, to be added to what is known.
pub(super) fn read_usage(database: &Database, known: &TypeUsage) -> Result<Growth, redb::Error> {
    let table = database.begin_read()?.open_table(USAGE)?;
    let mut all = known.growth();
    for row in table.iter()? {
        let (owner, bytes) = row?;
        all.add(owner.value().0, bytes.value(), 0);
    }
    Ok(all)
}

/// Every reminder and timer in the file.
pub(super) fn read_schedule(database: &Database, now: u64) -> Result<Vec<ScheduleChange>, redb::Error> {
    let table = database.begin_read()?.open_table(WAKEUPS)?;
    let mut scheduled = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let (kind, agent_type, id, name) = key.value();
        let kind = if kind == WakeupKind::Reminder as u8 { WakeupKind::Reminder } else { WakeupKind::Timer };
        let is_of_effects = kind == WakeupKind::Reminder && name == EFFECTS;
        let Ok(row) = WakeupRow::decode(value.value()) else {
            tracing::error!(
                "the registration {name:?} of {agent_type}/{id} cannot be read and is left alone"
            );
            continue;
        };
        scheduled.push(ScheduleChange {
            actor: ActorAddress::unchecked(agent_type, id),
            key: WakeupKey { kind, name: name.to_owned() },
            // What the last run of the host has left is sent at once.
            next: Some(if is_of_effects { Due { at: now, ..row.due(now) } } else { row.due(now) }),
        });
    }
    Ok(scheduled)
}

/// An encoded row: encoded once, for its size and for the write.
struct EncodedRow {
    due: Due,
    bytes: Vec<u8>,
}

impl EncodedRow {
    fn of(row: WakeupRow, now: u64) -> Result<EncodedRow, redb::Error> {
        Ok(EncodedRow { due: row.due(now), bytes: row.encode()? })
    }
}

/// A reminder or timer in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WakeupRow {
    /// Together with the sequence, which counts within a run of the host, it distinguishes this registration from
    /// another of the same name.
    registered_unix_ms: u64,
    sequence: u64,
    next_unix_ms: u64,
    ends_unix_ms: Option<u64>,
    due_ms: u64,
    period_ms: Option<u64>,
    ttl_ms: Option<u64>,
    data: String,
    /// What a newer host has added. A new registration does not have it.
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl WakeupRow {
    fn new(registration: &Registration, now: u64, sequence: u64) -> WakeupRow {
        WakeupRow {
            registered_unix_ms: now,
            sequence,
            next_unix_ms: now.saturating_add(millis(registration.due)),
            ends_unix_ms: registration.ttl.map(|ttl| now.saturating_add(millis(ttl))),
            due_ms: millis(registration.due),
            period_ms: registration.period.map(millis),
            ttl_ms: registration.ttl.map(millis),
            data: base64::engine::general_purpose::STANDARD.encode(&registration.data),
            unknown: UnknownFields::default(),
        }
    }

    /// Registration and firing in one number: a firing may advance only its own registration.
    fn token(&self) -> u128 {
        (u128::from(self.registered_unix_ms ^ (self.sequence << 42)) << 64) | u128::from(self.next_unix_ms)
    }

    /// The next firing.
    fn due(&self, now: u64) -> Due {
        Due { at: self.next_at(now), token: self.token() }
    }

    /// The row's time, but no later from now than the registered duration: a host that was started after its clock was
    /// set back finds times of the previous clock.
    fn next_at(&self, now: u64) -> u64 {
        let has_fired = self.next_unix_ms != self.registered_unix_ms.saturating_add(self.due_ms);
        let longest = self.period_ms.filter(|_| has_fired).unwrap_or(self.due_ms);
        self.next_unix_ms.min(now.saturating_add(longest))
    }

    /// The rest of a registration after a firing at `now`: missed firings are not made up for.
    fn after_firing(mut self, now: u64) -> Option<WakeupRow> {
        let period = self.period_ms?.max(1);
        let fired = self.next_at(now).min(now);
        let missed = (now - fired) / period;
        self.next_unix_ms = fired.saturating_add(period.saturating_mul(missed.saturating_add(1)));
        if let (Some(end), Some(ttl)) = (&mut self.ends_unix_ms, self.ttl_ms) {
            *end = (*end).min(now.saturating_add(ttl));
        }
        let ended = self.ends_unix_ms.is_some_and(|end| self.next_unix_ms > end);
        (!ended).then_some(self)
    }

    fn encode(&self) -> Result<Vec<u8>, redb::Error> {
        serde_json::to_vec(self).map_err(|error| redb::Error::Io(error.into()))
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<WakeupRow, Error> {
        daca_base::json::read(bytes)
            .map_err(|error| Error::Other(format!("a registration cannot be read: {error}")))
    }

    pub(super) fn into_registration(self, now: u64) -> Result<(Registration, Due), Error> {
        let data = base64::engine::general_purpose::STANDARD
            .decode(&self.data)
            .map_err(|error| Error::Other(format!("a registration cannot be read: {error}")))?;
        let registration = Registration {
            due: Duration::from_millis(self.due_ms),
            period: self.period_ms.map(Duration::from_millis),
            ttl: self.ttl_ms.map(Duration::from_millis),
            data: Bytes::from(data),
        };
        Ok((registration, self.due(now)))
    }
}

pub(super) fn decode_value(row: &[u8], now: u64) -> Option<StateValue> {
    let (_, value) = row.split_first_chunk::<8>()?;
    let expiry = expiry_of(row);
    if expiry != 0 && expiry <= now {
        return None;
    }
    let expiry = match expiry {
        0 => Expiry::Never,
        at => UNIX_EPOCH.checked_add(Duration::from_millis(at)).map_or(Expiry::Never, Expiry::At),
    };
    Some(StateValue { value: Bytes::copy_from_slice(value), expiry })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
