//! Processor time: guests run on threads of their own, and types share these by weight.
//!
//! [`GuestScheduler`] runs the tasks of activations, in which the guests' turns are, and smoke tests. Its [`pool`] of
//! threads takes them from a [fair queue](daca_base::shares::fair_queue), which knows what each type has used; [`kernel`]
//! lets the threads that serve go before them. Everything in a task counts as its type's time: the guest, the host's
//! functions that it calls, and what the host does around a turn.

mod kernel;
mod pool;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use daca_base::shares::fair_queue::{Share, Use};
use daca_manifest::AgentType;
use tokio::sync::oneshot;

use crate::actor_use::ActorUse;
use crate::component::Engine;
use pool::Pool;
pub(crate) use pool::TaskFuture;

/// Runs the turns of guests. Cheap to clone.
#[derive(Clone)]
pub struct GuestScheduler(Option<Arc<Threads>>);

struct Threads {
    pool: Arc<Pool>,
    shares: BTreeMap<Arc<str>, Share>,
}

/// What an agent type has of the processors.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorUse {
    /// The time that its turns have used.
    pub used: Duration,
    /// Turns that wait for a processor.
    pub runnable: usize,
}

impl GuestScheduler {
    /// Starts so many threads, within the caller's runtime. They end with the last handle. `nice` is added to the nice
    /// value of the process.
    pub fn start<'a>(
        threads: usize,
        nice: u8,
        engine: &Engine,
        agents: impl Iterator<Item = &'a Arc<AgentType>>,
    ) -> io::Result<GuestScheduler> {
        let (names, weights): (Vec<_>, Vec<_>) =
            agents.map(|agent| (agent.name.clone(), agent.share.weight)).unzip();
        let engine = engine.clone();
        let pool = Pool::start(threads.max(1), nice, &weights, move || engine.interrupt_guests())?;
        let shares = names.into_iter().enumerate().map(|(number, name)| (name, Share(number))).collect();
        Ok(GuestScheduler(Some(Arc::new(Threads { pool, shares }))))
    }

    /// Has no threads: turns run on the runtime of whoever calls them. For tests, whose runtime moves its clock when it
    /// has nothing to do, and for programs with a single thread.
    pub fn on_runtime() -> GuestScheduler {
        GuestScheduler(None)
    }

    /// Runs the work of an actor of a type. Its processor time counts there, too.
    pub(crate) fn spawn(&self, agent_type: &str, used: ActorUse, work: TaskFuture) {
        // Every type of the manifest has a share.
        match self.share(agent_type) {
            Some((pool, share)) => pool.spawn(share, used, work),
            None => {
                tokio::spawn(work);
            }
        }
    }

    /// The same for work that is of no actor and has a result. There is none if the work has panicked, or the host ends.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        agent_type: &str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (sender, result) = oneshot::channel();
        let work = async move {
            // Nobody may wait for it any more.
            sender.send(work.await).ok();
        };
        self.spawn(agent_type, ActorUse::default(), Box::pin(work));
        result
    }

    /// Runs nothing more: the host ends.
    pub(crate) fn stop(&self) {
        if let Some(threads) = &self.0 {
            threads.pool.close();
        }
    }

    /// What an agent type has of the processors. Nothing is known of turns on a runtime.
    pub(crate) fn usage(&self, agent_type: &str) -> ProcessorUse {
        let known = self.share(agent_type).map(|(pool, share)| pool.usage(share));
        let Use { used, waiting } = known.unwrap_or_default();
        ProcessorUse { used: Duration::from_nanos(used), runnable: waiting }
    }

    fn share(&self, agent_type: &str) -> Option<(&Arc<Pool>, Share)> {
        let threads = self.0.as_ref()?;
        Some((&threads.pool, *threads.shares.get(agent_type)?))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.pool.close();
    }
}
