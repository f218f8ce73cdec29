//! How many actors have dead letters, for the metrics: a host that starts has counted none yet, and they are there.
//!
//! Behind a sidecar the index says it, which is read every now and then, not for each request. A host without a shared
//! store is alone, and keeps in memory the records that would be there: bounded in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daca_model::ActorAddress;
use daca_model::backend::{Backend, EffectScan, Error};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::record::Record;
use crate::actor::effect_log::DEAD_LETTERS;

/// The pause after a page that could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// The actors of a page when the host looks through its own file.
const PAGE: usize = 100;
/// The pause between two pages: nobody waits for them.
const PAUSE: Duration = Duration::from_millis(100);

/// What is known of the actors with dead letters.
#[derive(Default)]
pub(super) struct Counts {
    /// The records of a host that is alone.
    own: Mutex<BTreeMap<Arc<str>, Record>>,
    /// The numbers in the index when it was last read.
    read: Mutex<BTreeMap<Arc<str>, u64>>,
}

impl Counts {
    /// Notes in memory whether an actor has dead letters.
    pub(super) fn note(&self, actor: &ActorAddress, has_letters: bool) {
        let mut own = self.own.lock();
        let record = own.entry(actor.agent_type.clone()).or_insert_with(Record::new);
        record.apply(&[(actor.id.clone(), has_letters)].into());
    }

    /// Notes the records of the index.
    pub(super) fn set_read(&self, records: Vec<(Arc<str>, Record)>) {
        let counts = records.into_iter().map(|(agent_type, record)| (agent_type, record.count()));
        *self.read.lock() = counts.collect();
    }

    /// The numbers in the index when it was last read.
    pub(super) fn read(&self) -> BTreeMap<Arc<str>, u64> {
        self.read.lock().clone()
    }

    /// Those of a host that is alone.
    pub(super) fn own(&self) -> BTreeMap<Arc<str>, u64> {
        let own = self.own.lock();
        own.iter().map(|(agent_type, record)| (agent_type.clone(), record.count())).collect()
    }

    /// Finds the actors that had dead letters before the start.
    pub(super) async fn find(&self, backend: &dyn Backend) {
        let mut scan = EffectScan { agent_type: None, after: None, limit: PAGE };
        loop {
            match self.find_some(backend, scan.clone()).await {
                Ok(Some(next)) => scan.after = Some(next),
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("the dead letters of the file cannot be counted now: {error}");
                    sleep(RETRY_DELAY).await;
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// The same for a page. Returns where the next one begins.
    async fn find_some(
        &self,
        backend: &dyn Backend,
        scan: EffectScan,
    ) -> Result<Option<ActorAddress>, Error> {
        let Some(page) = backend.actors_with_effects(scan).await? else { return Ok(None) };
        for actor in &page.actors {
            let value = backend.read_state(actor, &[DEAD_LETTERS.to_owned()]).await?;
            if value.iter().any(Option::is_some) {
                self.note(actor, true);
            }
        }
        Ok(page.next)
    }
}
