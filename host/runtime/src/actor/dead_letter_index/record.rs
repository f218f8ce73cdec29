//! The record of the index for one agent type, as it is in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daca_base::json::{self, UnknownFields};
use daca_model::backend;
use serde::{Deserialize, Serialize};

use super::left_out::LeftOut;

/// The form that this host writes, and the latest that it reads.
const FORMAT: u32 = 1;
/// The actors of one agent type in the index: its record must stay far below what a backend stores at once (4 MiB).
pub(super) const MAX_ACTORS: usize = 1_000;

/// The record of one agent type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    format: u32,
    /// The ids of the actors.
    pub(super) actors: BTreeSet<String>,
    /// The number of actors that did not fit.
    #[serde(default)]
    pub(super) left_out: u64,
    /// The actors that did not fit.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    left_out_hashes: LeftOut,
    /// What a newer host has added.
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Record {
    pub(super) fn new() -> Record {
        Record {
            format: FORMAT,
            actors: BTreeSet::new(),
            left_out: 0,
            left_out_hashes: LeftOut::default(),
            unknown: UnknownFields::default(),
        }
    }

    /// Parses the stored value. One that no host wrote is replaced by an empty record.
    pub(super) fn read(key: &str, value: &[u8]) -> Result<Record, backend::Error> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        match json::read::<Format>(value) {
            Ok(Format { format }) if format > FORMAT => Err(backend::Error::TooNew(format!(
                "the shared {key:?} was written by a newer host, in format {format}; this host reads {FORMAT}"
            ))),
            _ => Ok(json::read::<Record>(value).unwrap_or_else(|error| {
                tracing::debug!(
                    "the shared {key:?} was not written by a host, and is empty from now on: {error}"
                );
                Record::new()
            })),
        }
    }

    pub(super) fn apply(&mut self, changes: &BTreeMap<Arc<str>, bool>) {
        for (id, has_letters) in changes {
            let fits = self.actors.len() < MAX_ACTORS || self.actors.contains(&**id);
            if *has_letters && !fits {
                self.left_out_hashes.add(id);
                continue;
            }
            self.left_out_hashes.remove(id);
            if *has_letters {
                self.actors.insert(id.to_string());
            } else {
                self.actors.remove(&**id);
            }
        }
        self.left_out = self.left_out_hashes.len() as u64;
    }

    /// The number of actors.
    pub(super) fn count(&self) -> u64 {
        self.left_out.saturating_add(self.actors.len() as u64)
    }
}
