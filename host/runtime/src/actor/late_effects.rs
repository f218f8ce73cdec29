//! Which actors have effects that have been waiting for long, in the state that the hosts of an app share: an operator
//! asks one host, and is told of all. Each host writes an entry of its own while it has any, as it does for its versions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use daca_base::clock::{Clock, millis};
use daca_model::ActorAddress;
use daca_model::backend::{Error, HostEntries, SharedStore};
use serde::{Deserialize, Serialize};

use super::delivery::Deliveries;

/// The entries of all hosts.
const ENTRIES: HostEntries = HostEntries { key: "daca-late-effects", timeout: Duration::from_secs(40) };
/// The time after which an effect that waits is late.
const LATE_AFTER: Duration = Duration::from_secs(10);
/// The interval at which a host writes its entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);
/// The actors in the entry of a host.
const MAX_ACTORS: usize = 50;

/// What a host says in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Late {
    /// As `TYPE/ID`.
    actors: Vec<String>,
}

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

    /// Keeps the entry of this host. Runs until it is dropped.
    pub(super) async fn run(&self, deliveries: &Deliveries) {
        let Some(store) = &self.store else { return std::future::pending().await };
        let mut has_entry = false;
        loop {
            self.clock.sleep(WRITE_INTERVAL).await;
            let since = self.clock.unix_ms().saturating_sub(millis(LATE_AFTER));
            let late = deliveries.actors_that_wait_since(since, MAX_ACTORS);
            let is_late = !late.is_empty();
            if !(is_late || has_entry) {
                continue;
            }
            match self.write(&**store, &late).await {
                Ok(()) => has_entry = is_late,
                Err(error) => tracing::debug!("the late effects of this host were not written: {error}"),
            }
        }
    }

    /// The actors with late effects.
    pub(super) async fn read(&self) -> Result<BTreeSet<ActorAddress>, Error> {
        let Some(store) = &self.store else { return Ok(BTreeSet::new()) };
        let entries = ENTRIES.read::<Late>(&**store, || self.clock.unix_ms()).await?;
        // Others can write the store, too.
        let actors = entries.values().flat_map(|entry| entry.says.actors.iter().take(MAX_ACTORS));
        Ok(actors.filter_map(|actor| actor.parse().ok()).collect())
    }

    async fn write(&self, store: &dyn SharedStore, late: &[ActorAddress]) -> Result<(), Error> {
        let late =
            (!late.is_empty()).then(|| Late { actors: late.iter().map(ToString::to_string).collect() });
        ENTRIES.write(store, &self.host, late.as_ref(), || self.clock.unix_ms()).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use daca_fakes::FakeStore;

    use daca_base::clock::moved::Machine;

    use super::*;
    use crate::fake::actor;

    #[tokio::test]
    async fn each_host_has_an_entry_while_it_has_late_effects_and_lives() {
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
        let [gone, ahead] = [now - millis(ENTRIES.timeout), now + 600_000]
            .map(|at| Bytes::from(format!(r#"{{"gone":{{"at":{at},"actors":["A/c"]}}}}"#)));
        for value in [gone, ahead, "[7]".into()] {
            store.write(ENTRIES.key, value, None).await.expect("the store is there");
            assert_eq!(one.read().await.expect("it is read"), BTreeSet::new());
        }
    }
}
