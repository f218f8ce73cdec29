//! What all workers share.

use std::time::Duration;

use daca_stack::App;
use daca_tests::client;
use fastrand::Rng;
use tokio::sync::watch::Receiver;

use crate::cluster::Cluster;
use crate::history::History;
use crate::machine::Machine;

/// Actors, each with a caller of its own, which waits for one answer before it asks again.
pub(crate) const ACTORS: usize = 20;
/// How long after the end of the faults a caller goes on with a call that nobody has acknowledged, by the clock of [`Machine`].
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// What all workers share.
pub(crate) struct Workload<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) history: &'a History,
    pub(crate) client: reqwest::Client,
    machine: &'a Machine,
    /// When the work ended, once it has, by the clock of [`Machine`].
    over: Receiver<Option<Duration>>,
    seed: u64,
}

/// The name of an actor.
pub(crate) fn actor_name(index: usize) -> String {
    format!("actor-{index:02}")
}

impl<'a> Workload<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        history: &'a History,
        machine: &'a Machine,
        seed: u64,
        over: Receiver<Option<Duration>>,
    ) -> anyhow::Result<Workload<'a>> {
        Ok(Workload { cluster, history, client: client()?, machine, over, seed })
    }

    /// Numbers for one worker; the same for the same seed.
    pub(super) fn rng(&self, worker: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(worker))
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.borrow().is_some()
    }

    /// Has a call that nobody has acknowledged been tried for long enough?
    pub(super) fn gives_up(&self) -> bool {
        let since = *self.over.borrow();
        since.is_some_and(|since| self.machine.elapsed() > since + GIVE_UP_AFTER)
    }

    /// Waits for this time on the average, or until it is over.
    pub(super) async fn pause(&self, rng: &mut Rng, average: Duration) {
        let mut over = self.over.clone();
        let ends = async { drop(over.wait_for(Option::is_some).await) };
        tokio::select! {
            () = tokio::time::sleep(average.mul_f64(0.5 + rng.f64())) => {}
            () = ends => {}
        }
    }

    /// The host that is asked for the so-many-th time.
    pub(super) fn host(&self, number: u64) -> (&App, String) {
        let hosts = &self.cluster.hosts;
        let index = usize::try_from(number).unwrap_or_default() % hosts.len().max(1);
        let app = &hosts[index].app;
        (app, app.options.program.name.clone())
    }
}
