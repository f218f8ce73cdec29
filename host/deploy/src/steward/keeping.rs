//! The record on this host's disk: it is written with each change, and looked at while the host runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Steward, blocking};
use crate::Error;
use daca_base::ErrorCode;
use crate::library::{FileState, Kept, Missing};
use crate::record::Record;

/// The interval at which the record and the versions in use are looked for.
pub(super) const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// What this host's disk should have.
#[derive(Default)]
pub(super) struct OnDisk {
    /// The record that was written last, with the state of its file.
    written: Option<(Arc<Record>, FileState)>,
    /// What is missing of it.
    missing: Option<Missing>,
}

impl Steward {
    /// Writes a record to this host's disk.
    pub(super) async fn keep(&mut self, record: &Record, file_here: Option<String>) -> Result<(), Error> {
        let (library, agent_type) = (self.library.clone(), self.agent.name.clone());
        let kept = Kept { file_here, record: record.clone() };
        let state = blocking(move || library.write_record(&agent_type, &kept)).await?;
        self.on_disk.written = Some((Arc::new(record.clone()), state));
        Ok(())
    }

    /// Refuses a change of this host alone that the next start would not find. Hosts with shared state agree there.
    pub(super) async fn check_kept(&mut self) -> Result<(), Error> {
        self.look_at_files().await;
        match &self.on_disk.missing {
            Some(missing @ Missing::Record(_)) if self.shared.is_none() => {
                Err(Error::kept_elsewhere(missing))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether this host's disk still has what the next start needs. Each loss is logged once.
    pub(super) async fn look_at_files(&mut self) {
        let Some((record, seen)) = self.on_disk.written.clone() else { return };
        // Those that were missing at the start already have been reported then.
        let needed: BTreeSet<String> = record.in_use().difference(&self.left_out).cloned().collect();
        let (library, agent_type, looked_for) =
            (self.library.clone(), self.agent.name.clone(), record.clone());
        let looked =
            blocking(move || Ok(library.find_missing(&agent_type, &looked_for, seen, &needed))).await;
        // After a panic, which is in the log, nothing is known.
        let Ok(looked) = looked else { return };
        let missing = match looked {
            Ok(state) => {
                self.on_disk.written = Some((record, state));
                None
            }
            Err(missing) => Some(missing),
        };
        let agent_type = &*self.agent.name;
        match &missing {
            Some(lost) if missing != self.on_disk.missing => tracing::error!(
                agent_type,
                code = ErrorCode::VersionsMissing.as_str(),
                "what was deployed is no longer in the data folder: {}",
                lost.reason()
            ),
            None if self.on_disk.missing.is_some() => {
                tracing::info!(agent_type, "what was deployed is in the data folder again");
            }
            _ => {}
        }
        self.on_disk.missing = missing;
        // The other hosts' versions are in the state that they share.
        let is_kept = self.on_disk.missing.is_none() || self.shared.is_some();
        if self.view.borrow().is_kept != is_kept {
            self.view.send_modify(|view| view.is_kept = is_kept);
        }
    }
}
