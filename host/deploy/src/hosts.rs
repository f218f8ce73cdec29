//! The versions that each host of the app serves. Each host writes its own entry into the shared state periodically,
//! and reads those of the others on request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::controller::ControllerHandle;
use daca_base::clock::{millis, unix_ms};
use daca_base::json::{self, Document, UnknownFields};
use daca_model::admin::HostVersions;
use daca_model::backend::{self, SharedStore, change_shared, stored_json};

/// The key of the entries of all hosts.
const KEY: &str = "daca-hosts";
/// The interval at which a host writes its entry.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// A host that has not written for this time is gone.
const HOST_TIMEOUT: Duration = Duration::from_secs(20);
/// The time by which the clock of another host may be ahead. An entry of a later time would stay after its host is gone.
const MAX_AHEAD: Duration = Duration::from_secs(300);
/// The time that a shutdown waits for the removal of the entry.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    serving: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    at: u64,
    /// What a newer host has added to its own entry.
    #[serde(flatten)]
    unknown: UnknownFields,
}

type Lines = BTreeMap<String, Line>;

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
        let lines = self.lines().await.unwrap_or_default();
        let now = unix_ms(SystemTime::now());
        let others = lines.into_iter().filter(|(name, _)| **name != *self.name);
        let others = others.map(|(host, Line { serving, at, .. })| HostVersions {
            host,
            this: false,
            serving,
            seen_ms_ago: now.saturating_sub(at),
        });
        std::iter::once(own).chain(others).collect()
    }

    fn serving(&self) -> BTreeMap<String, String> {
        let serving = self.controllers.iter();
        serving.map(|(agent_type, controller)| (agent_type.to_string(), controller.serving())).collect()
    }

    async fn lines(&self) -> Result<Lines, backend::Error> {
        let Some(store) = &self.store else { return Ok(Lines::new()) };
        let value = store.read(&[KEY.to_owned()]).await?.into_iter().flatten().next();
        Ok(value.map(|value| present_entries(&value.value, unix_ms(SystemTime::now()))).unwrap_or_default())
    }

    async fn write(&self, serving: Option<BTreeMap<String, String>>) -> Result<(), backend::Error> {
        let Some(store) = &self.store else { return Ok(()) };
        let change = |value: Option<Bytes>| {
            let at = unix_ms(SystemTime::now());
            let mut lines = value.map(|value| present_entries(&value, at)).unwrap_or_default();
            match &serving {
                Some(serving) => {
                    let line = Line { serving: serving.clone(), at, unknown: UnknownFields::default() };
                    lines.insert(self.name.to_string(), line);
                }
                None => drop(lines.remove(&*self.name)),
            }
            stored_json(&lines).map(Some)
        };
        // If others have written each time, the next entry is written soon.
        change_shared(&**store, KEY, change).await.map(drop)
    }
}

/// The entries of the hosts that are there.
fn present_entries(value: &Bytes, now: u64) -> Lines {
    let mut lines = entries(value);
    lines.retain(|_, line| {
        let (old, ahead) = (now.saturating_sub(line.at), line.at.saturating_sub(now));
        old < millis(HOST_TIMEOUT) && ahead <= millis(MAX_AHEAD)
    });
    lines
}

/// The entries in a stored value. One that is damaged or has another form is left out, and goes with the next write: each
/// host writes its own entry again within seconds.
fn entries(value: &Bytes) -> Lines {
    let all = match Document::parse(value) {
        Ok(all) => all,
        Err(error) => {
            tracing::debug!("the hosts' entries cannot be read: {error}");
            return Lines::new();
        }
    };
    let line = |(host, line): (String, Document)| Some((host, json::read_object::<Line>(line.bytes()).ok()?));
    all.fields().filter_map(line).collect()
}

#[cfg(test)]
mod properties;
