//! Which actors have effects that have been waiting for long, in the state that the hosts of an app share: an operator
//! asks one host, and is told of all. Each host writes a line of its own while it has any, as it does for its versions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daca_base::clock::{Clock, millis};
use daca_base::json;
use daca_model::ActorAddress;
use daca_model::backend::{Error, SharedStore, change_shared, stored_json};
use serde::{Deserialize, Serialize};

use super::delivery::Deliveries;

/// The key of the lines of all hosts.
const KEY: &str = "daca-late-effects";
/// The time after which an effect that waits is late.
const LATE_AFTER: Duration = Duration::from_secs(10);
/// The interval at which a host writes its line.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);
/// A host that has not written for this time is gone, or has no late effects.
const HOST_TIMEOUT: Duration = Duration::from_secs(40);
/// The time by which the clock of another host may be ahead. A line of a later time would stay after its host is gone.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// The actors in the line of a host.
const MAX_ACTORS: usize = 50;

/// The line of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Milliseconds since 1970.
    at: u64,
    /// As `TYPE/ID`.
    actors: Vec<String>,
}

/// The lines by the names of the hosts.
type Lines = BTreeMap<String, Line>;

/// The actors with late effects, of all hosts.
pub(super) struct LateEffects {
    store: Option<Arc<dyn SharedStore>>,
    /// The name of this run of the host. Nobody is shown it.
    host: String,
    /// That of the backend, by which effects are late.
    clock: Clock,
}

impl LateEffects {
    /// Of the hosts that share this store.
    pub(super) fn new(store: Option<Arc<dyn SharedStore>>, clock: Clock) -> LateEffects {
        LateEffects { store, host: daca_model::new_id(), clock }
    }

    /// Keeps the line of this host. Runs until it is dropped.
    pub(super) async fn run(&self, deliveries: &Deliveries) {
        let Some(store) = &self.store else { return std::future::pending().await };
        let mut has_line = false;
        loop {
            self.clock.sleep(WRITE_INTERVAL).await;
            let since = self.clock.unix_ms().saturating_sub(millis(LATE_AFTER));
            let late = deliveries.actors_that_wait_since(since, MAX_ACTORS);
            let is_late = !late.is_empty();
            if !(is_late || has_line) {
                continue;
            }
            match self.write(&**store, &late).await {
                Ok(()) => has_line = is_late,
                Err(error) => tracing::debug!("the late effects of this host were not written: {error}"),
            }
        }
    }

    /// The actors with late effects.
    pub(super) async fn read(&self) -> Result<BTreeSet<ActorAddress>, Error> {
        let Some(store) = &self.store else { return Ok(BTreeSet::new()) };
        let value = store.read(&[KEY.to_owned()]).await?.into_iter().flatten().next();
        let now = self.clock.unix_ms();
        let lines = value.map(|value| lines(&value.value, now)).unwrap_or_default();
        // Others can write the store, too.
        let actors = lines.values().flat_map(|line| line.actors.iter().take(MAX_ACTORS));
        Ok(actors.filter_map(|actor| actor.parse().ok()).collect())
    }

    async fn write(&self, store: &dyn SharedStore, late: &[ActorAddress]) -> Result<(), Error> {
        let change = |value: Option<Bytes>| {
            let now = self.clock.unix_ms();
            let mut lines = value.map(|value| lines(&value, now)).unwrap_or_default();
            if late.is_empty() {
                lines.remove(&self.host);
            } else {
                let actors = late.iter().map(ToString::to_string).collect();
                lines.insert(self.host.clone(), Line { at: now, actors });
            }
            stored_json(&lines).map(Some)
        };
        // If others have written each time, the next line is tried soon.
        change_shared(store, KEY, change).await.map(drop)
    }
}

/// The lines of the hosts that are there. A value that no host wrote has none: each host writes its own again within
/// seconds.
fn lines(value: &[u8], now: u64) -> Lines {
    let mut lines = json::read::<Lines>(value).unwrap_or_default();
    lines.retain(|_, line| {
        let (old, ahead) = (now.saturating_sub(line.at), line.at.saturating_sub(now));
        old < millis(HOST_TIMEOUT) && ahead <= millis(MAX_AHEAD)
    });
    lines
}

#[cfg(test)]
mod tests {
    use daca_fakes::FakeStore;

    use daca_base::clock::moved::Machine;

    use super::*;
    use crate::fake::actor;

    #[tokio::test]
    async fn each_host_has_a_line_while_it_has_late_effects_and_lives() {
        let store = Arc::new(FakeStore::default());
        // Far from the time of this process.
        let machine = Machine::at(1_000_000_000);
        let [one, other] = [(); 2].map(|()| LateEffects::new(Some(store.clone()), machine.clock()));
        one.write(&*store, &[actor("a")]).await.expect("the store is there");
        store.overtake(1);
        other.write(&*store, &[actor("b")]).await.expect("the store is there");
        let both = BTreeSet::from([actor("a"), actor("b")]);
        assert_eq!(one.read().await.expect("it is read"), both);
        one.write(&*store, &[]).await.expect("the store is there");
        assert_eq!(other.read().await.expect("it is read"), BTreeSet::from([actor("b")]));

        let now = machine.clock().unix_ms();
        let [gone, ahead] = [now - millis(HOST_TIMEOUT), now + 2 * millis(MAX_AHEAD)].map(|at| {
            let lines = Lines::from([("gone".to_owned(), Line { at, actors: vec!["A/c".to_owned()] })]);
            stored_json(&lines).expect("it is JSON")
        });
        for value in [gone, ahead, "[7]".into()] {
            store.write(KEY, value, None).await.expect("the store is there");
            assert_eq!(one.read().await.expect("it is read"), BTreeSet::new());
        }
    }
}
