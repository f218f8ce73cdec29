//! The versions that each host of the app serves. Each host writes its own entry into the shared state periodically,
//! and reads those of the others on request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::controller::ControllerHandle;
use daca_base::ErrorCode;
use daca_base::clock::unix_ms;
use daca_base::telemetry::printable;
use daca_model::admin::HostVersions;
use daca_model::backend::{self, HostEntries, HostEntry, SharedStore};

/// The entries of all hosts.
const ENTRIES: HostEntries = HostEntries { key: "daca-hosts", timeout: Duration::from_secs(20) };
/// The interval at which a host writes its entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// The time that a shutdown waits for the removal of the entry.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a host says in its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Serves {
    serving: BTreeMap<String, String>,
}

/// The hosts of the app. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hosts {
    store: Option<Arc<dyn SharedStore>>,
    name: Arc<str>,
    controllers: Arc<BTreeMap<Arc<str>, Arc<ControllerHandle>>>,
    /// Notified after each change of a controller.
    changes: watch::Receiver<()>,
}

impl Hosts {
    pub(super) fn new(
        store: Option<Arc<dyn SharedStore>>,
        name: String,
        controllers: BTreeMap<Arc<str>, Arc<ControllerHandle>>,
        changes: watch::Receiver<()>,
    ) -> Hosts {
        Hosts { store, name: name.into(), controllers: Arc::new(controllers), changes }
    }

    /// Writes this host's entry periodically, and at once when another version serves.
    pub(super) async fn run(self, stop: CancellationToken) {
        if self.store.is_none() {
            return;
        }
        let mut changes = self.changes.clone();
        loop {
            changes.mark_unchanged();
            let serving = self.serving();
            if let Err(error) = self.write(Some(serving.clone())).await {
                tracing::debug!("the entry of this host was not written: {error}");
            }
            let changed = async {
                while self.serving() == serving {
                    if changes.changed().await.is_err() {
                        // The controllers have ended, and nothing changes any more.
                        std::future::pending::<()>().await;
                    }
                }
            };
            let due = tokio::time::timeout(WRITE_INTERVAL, changed);
            if stop.run_until_cancelled(due).await.is_none() {
                return;
            }
        }
    }

    /// Removes this host's entry: the host shuts down.
    pub(super) async fn leave(&self) {
        if self.store.is_some() {
            // Without it, the others see this host for a while longer.
            tokio::time::timeout(LEAVE_TIMEOUT, self.write(None)).await.ok();
        }
    }

    /// All hosts, this one first.
    pub(super) async fn read(&self) -> Vec<HostVersions> {
        let own =
            HostVersions { host: self.name.to_string(), this: true, serving: self.serving(), seen_ms_ago: 0 };
        let entries = self.entries().await.unwrap_or_else(|error| {
            tracing::warn!(
                code = ErrorCode::SharedStateUnavailable.as_str(),
                "the versions of this host are shown alone, since those of the others cannot be read: {}",
                printable(&error.to_string())
            );
            BTreeMap::new()
        });
        let now = wall_ms();
        let others = entries.into_iter().filter(|(name, _)| **name != *self.name);
        let others = others.map(|(host, HostEntry { says, at, .. })| HostVersions {
            host,
            this: false,
            serving: says.serving,
            seen_ms_ago: now.saturating_sub(at),
        });
        std::iter::once(own).chain(others).collect()
    }

    fn serving(&self) -> BTreeMap<String, String> {
        let serving = self.controllers.iter();
        serving.map(|(agent_type, controller)| (agent_type.to_string(), controller.serving())).collect()
    }

    async fn entries(&self) -> Result<BTreeMap<String, HostEntry<Serves>>, backend::Error> {
        let Some(store) = &self.store else { return Ok(BTreeMap::new()) };
        ENTRIES.read(&**store, wall_ms).await
    }

    async fn write(&self, serving: Option<BTreeMap<String, String>>) -> Result<(), backend::Error> {
        let Some(store) = &self.store else { return Ok(()) };
        let says = serving.map(|serving| Serves { serving });
        ENTRIES.write(&**store, &self.name, says.as_ref(), wall_ms).await
    }
}

/// The entries of hosts are of wall time: others read them.
fn wall_ms() -> u64 {
    unix_ms(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use daca_fakes::FakeStore;

    use super::*;

    /// As the release before writes them.
    const STORED: &str = include_str!("../tests/stored/ec781bc/hosts.json");

    #[tokio::test]
    async fn the_entries_of_the_release_before_are_read_and_written_as_they_were() -> anyhow::Result<()> {
        let store = FakeStore::default();
        store.put(ENTRIES.key, STORED.trim_end().into());
        let read = ENTRIES.read::<Serves>(&store, || 1_764_410_402_000).await?;
        assert_eq!(read.keys().collect::<Vec<_>>(), ["pod-a", "pod-b"]);
        let own = read.get("pod-a").map(|entry| &entry.says);
        ENTRIES.write(&store, "pod-a", own, || 1_764_410_400_000).await?;
        let written = store.get(ENTRIES.key).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&written), STORED.trim_end());
        Ok(())
    }
}
