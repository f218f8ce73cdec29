//! An actor's stored values and registrations, and whether all due firings have been handled. Only tests of agents use
//! this.
//!
//! The host itself never needs any of it. An agent cannot list its keys either, because behind a sidecar nobody can.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::ReadableDatabase;

use super::Embedded;
use super::store::Store;
use super::transaction::{STATE, WAKEUPS, WakeupRow, decode_value};
use daca_model::ActorAddress;
use daca_model::backend::{Error, Registration, StateValue, WakeupKind};

/// A reminder or timer that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// As it was registered.
    pub registration: Registration,
    /// When it fires next.
    pub next: SystemTime,
}

impl Embedded {
    /// All values of an actor, in the order of their keys, the host's own (`daca:…`) among them.
    pub async fn state_of(&self, actor: &ActorAddress) -> Result<Vec<(String, StateValue)>, Error> {
        self.store.state_of(actor).await
    }

    /// All reminders or all timers of an actor, in the order of their names.
    pub async fn scheduled_of(
        &self,
        actor: &ActorAddress,
        kind: WakeupKind,
    ) -> Result<Vec<Scheduled>, Error> {
        let now = self.clock.unix_ms();
        let scheduled = |(name, row): (String, Result<WakeupRow, Error>)| {
            let (registration, due) = row?.into_registration(now)?;
            Ok(Scheduled { name, registration, next: time(due.at) })
        };
        self.store.wakeups_of(actor, kind).await?.into_iter().map(scheduled).collect()
    }

    /// When the next reminder or timer fires that is not being handled, of whatever actor.
    pub fn next_firing(&self) -> Option<SystemTime> {
        self.schedule.next_at().map(time)
    }

    /// Returns `true` if no reminder or timer is due, and none is being handled.
    pub fn has_settled(&self) -> bool {
        self.schedule.is_settled()
    }

    /// Waits until every reminder and timer that is due has been handled. What has failed then waits for its next try, which is
    /// later by the clock. Whoever moves the clock calls this afterwards, or the firings come up to a second later.
    pub async fn settled(&self) {
        self.schedule.settled().await;
    }
}

impl Store {
    async fn state_of(&self, actor: &ActorAddress) -> Result<Vec<(String, StateValue)>, Error> {
        let (actor, clock) = (actor.clone(), self.clock.clone());
        self.with_database(move |database| {
            let (table, now) = (database.begin_read()?.open_table(STATE)?, clock.unix_ms());
            let owner = (&*actor.agent_type, &*actor.id);
            let mut values = Vec::new();
            for row in table.range((owner.0, owner.1, "")..)? {
                let (key, value) = row?;
                let (agent_type, id, key) = key.value();
                if (agent_type, id) != owner {
                    break;
                }
                values.extend(decode_value(value.value(), now).map(|value| (key.to_owned(), value)));
            }
            Ok(values)
        })
        .await
    }

    async fn wakeups_of(
        &self,
        actor: &ActorAddress,
        kind: WakeupKind,
    ) -> Result<Vec<(String, Result<WakeupRow, Error>)>, Error> {
        let actor = actor.clone();
        self.with_database(move |database| {
            let table = database.begin_read()?.open_table(WAKEUPS)?;
            let owner = (kind as u8, &*actor.agent_type, &*actor.id);
            let mut rows = Vec::new();
            for row in table.range((owner.0, owner.1, owner.2, "")..)? {
                let (key, value) = row?;
                let (kind, agent_type, id, name) = key.value();
                if (kind, agent_type, id) != owner {
                    break;
                }
                rows.push((name.to_owned(), WakeupRow::decode(value.value())));
            }
            Ok(rows)
        })
        .await
    }
}

/// A time of the state file. All of them are within the times of the system.
fn time(unix_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(unix_ms)
}
