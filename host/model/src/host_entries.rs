//! What each host of an app says of itself in the state that they share: one value, with an entry of each host, which
//! the host writes again and again as long as it has something to say.
//!
//! Each host writes all entries again. So it keeps what a newer host has added to its own, and an entry that is damaged
//! or has another form spoils no other: it is left out, and its host writes it again within seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use daca_base::clock::millis;
use daca_base::json::{self, Document, UnknownFields};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backend::{Error, SharedStore, change_shared, stored_json};

/// The time by which the clock of another host may be ahead. An entry of a later time would stay after its host is gone.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// The entry of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry<T> {
    /// What the host says: an object, none of whose fields is `at`.
    #[serde(flatten)]
    pub says: T,
    /// When it wrote that, in milliseconds since 1970.
    pub at: u64,
    /// What a newer host has added to its own entry.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The entries of hosts, by the names of the hosts.
type Entries<T> = BTreeMap<String, HostEntry<T>>;

/// A value of the shared state with an entry of each host.
#[derive(Debug, Clone, Copy)]
pub struct HostEntries {
    /// Its key.
    pub key: &'static str,
    /// A host that has not written for this time is gone, or has nothing to say any more.
    pub timeout: Duration,
}

impl HostEntries {
    /// The entries of the hosts that are there. `now` are the milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn read<T: DeserializeOwned>(
        &self,
        store: &dyn SharedStore,
        now: impl Fn() -> u64,
    ) -> Result<BTreeMap<String, HostEntry<T>>, Error> {
        let value = store.read(&[self.key.to_owned()]).await?.into_iter().flatten().next();
        Ok(value.map(|value| self.present(&value.value, now())).unwrap_or_default())
    }

    /// Writes the entry of a host, or removes it if the host says nothing. If other hosts have written each time, it is
    /// not written: the next one will be soon.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn write<T>(
        &self,
        store: &dyn SharedStore,
        host: &str,
        says: Option<&T>,
        now: impl Fn() -> u64 + Send,
    ) -> Result<(), Error>
    where
        T: Clone + Serialize + DeserializeOwned + Sync,
    {
        let change = move |value: Option<Bytes>| {
            let at = now();
            let mut entries = value.map(|value| self.present::<T>(&value, at)).unwrap_or_default();
            match says {
                Some(says) => {
                    let entry = HostEntry { says: says.clone(), at, unknown: UnknownFields::default() };
                    entries.insert(host.to_owned(), entry);
                }
                None => drop(entries.remove(host)),
            }
            stored_json(&entries).map(Some)
        };
        change_shared(store, self.key, change).await.map(drop)
    }

    /// The entries in a stored value, of the hosts that are there.
    fn present<T: DeserializeOwned>(&self, value: &Bytes, now: u64) -> Entries<T> {
        let mut entries = self.entries::<T>(value);
        entries.retain(|_, entry| {
            let (old, ahead) = (now.saturating_sub(entry.at), entry.at.saturating_sub(now));
            old < millis(self.timeout) && ahead <= millis(MAX_AHEAD)
        });
        entries
    }

    /// The entries in a stored value.
    fn entries<T: DeserializeOwned>(&self, value: &Bytes) -> Entries<T> {
        let all = match Document::parse(value) {
            Ok(all) => all,
            Err(error) => {
                tracing::debug!(key = self.key, "the hosts' entries cannot be read: {error}");
                return Entries::new();
            }
        };
        // An entry of another form is left out.
        let entry = |(host, entry): (String, Document)| {
            Some((host, json::read_object::<HostEntry<T>>(entry.bytes()).ok()?))
        };
        all.fields().filter_map(entry).collect()
    }
}

#[cfg(test)]
mod properties;
