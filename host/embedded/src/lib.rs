//! The backend for a machine without a sidecar: everything in this process and one file.
//!
//! State, reminders and timers are in the state file ([`store`], [`state_file`]) and survive a crash ([`inspect`]
//! shows them). A [`backup`] has them as they are at one instant, and [`restore`] makes a file of it. Events are
//! delivered in process to the manifest's subscriptions ([`events`]), as CloudEvents, like a broker's. Output bindings
//! are written to the outbox and to the log, so that you can see what would have been sent.

mod backup;
mod binding_log;
mod configured_answers;
mod database;
mod effects;
mod events;
mod fail_point;
mod file_format;
mod inspect;
mod restore;
mod state_file;
mod store;
mod transaction;
mod usage;
mod wakeups;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use binding_log::log_binding;
use configured_answers::ConfiguredAnswers;
pub use configured_answers::{StartError, read_secrets};
use daca_base::ErrorCode;
use daca_base::clock::Clock;
use daca_base::shares::SharedPool;
use daca_base::task;
use daca_base::telemetry::printable;
use daca_manifest::{AgentType, Manifest};
use daca_model::Topic;
use daca_model::backend::{
    Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery, EffectRequest, EffectScan,
    EffectScanPage, Error, Inbound, Outbox, Ownership, Readiness, Registration, Secrets, StateStore,
    StateValue, Tried, TurnCommit, WakeupKey, Wakeups,
};
use daca_model::backup::StateSnapshot;
use daca_model::{ActorAddress, CallContext};
pub use database::OpenError;
use events::{Subscribers, enveloped};
pub use inspect::Scheduled;
pub use restore::{RestoreError, RestoredState, StateRestore};
use store::Store;
use transaction::Quota;
use wakeups::Schedule;

tokio::task_local! {
    /// Set while an event of the host itself is delivered.
    static DELIVERS: ();
}
/// The maximum number of events of the host itself, such as dead letters, that are being delivered.
const MAX_WAITING_EVENTS: usize = 1_000;

/// The time that a shutdown waits for firings in progress. The host has already waited for their turns.
const CLOCK_GRACE: Duration = Duration::from_secs(1);

/// State in a file, everything else in process.
pub struct Embedded {
    store: Store,
    schedule: Arc<Schedule>,
    clock: Clock,
    outbox: Arc<Outbox>,
    events: Events,
    answers: ConfiguredAnswers,
    inbound: OnceLock<Arc<dyn Inbound>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// The delivery of events.
struct Events {
    subscribers: Arc<Subscribers>,
    /// Permits for events of the host itself that are being delivered.
    waiting: Arc<Semaphore>,
}

impl Embedded {
    /// Opens the data folder. Nothing fires before [`Embedded::start`].
    pub fn open(manifest: &Manifest, data: &Path, outbox: Arc<Outbox>) -> Result<Embedded, StartError> {
        Embedded::open_with(manifest, data, outbox, Clock::of_process().clone())
    }

    /// The same with another clock than that of the process, for tests.
    pub fn open_with(
        manifest: &Manifest,
        data: &Path,
        outbox: Arc<Outbox>,
        clock: Clock,
    ) -> Result<Embedded, StartError> {
        let answers = ConfiguredAnswers::read(manifest)?;
        let quota = |agent: &Arc<AgentType>| (agent.name.clone(), quota_of(agent));
        let quotas = manifest.agents.values().map(quota).collect();
        let storage =
            manifest.host.storage.map(|bytes| usize::try_from(bytes.as_u64()).unwrap_or(usize::MAX));
        let (store, scheduled) = Store::open(data, quotas, storage, clock.clone())?;
        let schedule = Arc::new(Schedule::new(clock.clone(), &manifest.weights()));
        let (known, orphans) = scheduled
            .into_iter()
            .partition::<Vec<_>, _>(|change| manifest.agents.contains_key(&change.actor.agent_type));
        for orphan in &orphans {
            tracing::warn!(
                "{:?} of {} waits: the manifest has no such agent type",
                orphan.key.name,
                orphan.actor
            );
        }
        schedule.apply(known);
        let events = Events {
            subscribers: Arc::new(Subscribers::new(manifest)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING_EVENTS)),
        };
        Ok(Embedded {
            store,
            schedule,
            clock,
            outbox,
            events,
            answers,
            inbound: OnceLock::new(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        })
    }

    /// Makes one attempt to deliver an event to the subscriptions of its topic. Without one it has arrived.
    async fn deliver_event(
        &self,
        actor: &ActorAddress,
        id: &Arc<str>,
        [pubsub, topic]: [&str; 2],
        event: &Bytes,
    ) -> Tried {
        let Some(inbound) = self.inbound.get() else { return Err(is_starting()).into() };
        let subscribers = &self.events.subscribers;
        if subscribers.of(pubsub, topic).is_none() {
            return Ok(()).into();
        }
        match enveloped(id, &actor.agent_type, [pubsub, topic], event) {
            Ok(event) => subscribers.deliver_effect(&**inbound, id, [pubsub, topic], &event).await.into(),
            Err(error) => Err(error).into(),
        }
    }
}

#[async_trait]
impl StateStore for Embedded {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.store.read(actor, keys, u64::MAX).await
    }

    async fn read_state_within(
        &self,
        actor: &ActorAddress,
        keys: &[String],
        most_bytes: u64,
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.store.read(actor, keys, most_bytes).await
    }

    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        self.commit_shared(actor, &Arc::new(commit.clone())).await
    }

    async fn commit_shared(&self, actor: &ActorAddress, commit: &Arc<TurnCommit>) -> Result<(), Error> {
        let only_ends_timers =
            commit.writes.is_empty() && commit.wakeups.is_empty() && commit.handled.is_none();
        // The end of timers that do not exist would change nothing.
        if commit.is_empty() || (only_ends_timers && !self.schedule.has_timers(actor)) {
            return Ok(());
        }
        let committed = self.store.commit(actor, commit).await;
        if let Err(Error::Unavailable(_)) = &committed {
            // It may be in the file nevertheless. The firing that the turn has handled is tried again, which tells by itself.
            let handled = commit.handled.as_ref().map(|fired| &fired.key);
            self.schedule.look_up(actor, commit.wakeups.keys().filter(|key| Some(*key) != handled));
        }
        self.schedule.apply(committed?);
        Ok(())
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

#[async_trait]
impl EffectDelivery for Embedded {
    async fn deliver(&self, actor: &ActorAddress, effects: &[&Effect]) -> Vec<Tried> {
        let mut results = Vec::<Tried>::with_capacity(effects.len());
        for effect in effects {
            results.push(match &effect.request {
                EffectRequest::Publish { pubsub, topic, event } => {
                    self.deliver_event(actor, &effect.id, [pubsub, topic], event).await
                }
                EffectRequest::Send(request) => {
                    log_binding(self.inbound.get(), &actor.agent_type, Some(&effect.id), request);
                    Ok(()).into()
                }
            });
        }
        results
    }

    /// A binding has no external system here, and an event may have no subscription.
    fn deliver_at_once(&self, actor: &ActorAddress, effect: &Effect) -> bool {
        match &effect.request {
            EffectRequest::Publish { pubsub, topic, .. } => {
                self.inbound.get().is_some() && self.events.subscribers.of(pubsub, topic).is_none()
            }
            EffectRequest::Send(request) => {
                log_binding(self.inbound.get(), &actor.agent_type, Some(&effect.id), request);
                true
            }
        }
    }

    /// Delivers an event of the host itself. One that is caused by the delivery of another is accepted, and delivered
    /// later, as by a broker: if each dead letter waited for the next, they would be nested as deep as their chain is
    /// long.
    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error> {
        let inbound = self.inbound.get().ok_or_else(is_starting)?.clone();
        let Topic { pubsub, topic: name } = topic;
        let event = enveloped(&daca_model::new_id(), "daca", [pubsub, name], &event)?;
        if DELIVERS.try_with(|()| ()).is_err() {
            let delivery = self.events.subscribers.deliver_all(&*inbound, pubsub, name, &event);
            return DELIVERS.scope((), delivery).await;
        }
        let Ok(permit) = self.events.waiting.clone().try_acquire_owned() else {
            return Err(Error::Unavailable(format!(
                "{MAX_WAITING_EVENTS} events wait for their subscriptions"
            )));
        };
        let (subscribers, topic) = (self.events.subscribers.clone(), topic.clone());
        self.tasks.spawn(async move {
            let _permit = permit;
            let Topic { pubsub, topic } = &topic;
            let delivered = subscribers.deliver_all(&*inbound, pubsub, topic, &event).await;
            if let Err(error) = delivered {
                let code = ErrorCode::EventSetAsideFailed.as_str();
                tracing::error!(code, "{}", lost([pubsub, topic], &error));
            }
        });
        Ok(())
    }
}

#[async_trait]
impl Bindings for Embedded {
    async fn invoke_binding(
        &self,
        actor: &ActorAddress,
        request: &BindingRequest,
        _context: &CallContext,
    ) -> Result<BindingResponse, Error> {
        log_binding(self.inbound.get(), &actor.agent_type, None, request);
        self.outbox.add_invocation(actor, request);
        let data = self.answers.binding_responses.get(&request.name).cloned().unwrap_or_default();
        Ok(BindingResponse { data, metadata: BTreeMap::new() })
    }
}

#[async_trait]
impl Wakeups for Embedded {
    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error> {
        Ok(self.store.wakeup(actor, key).await?.map(|(registration, _)| registration))
    }
}

#[async_trait]
impl Secrets for Embedded {
    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        Ok(self.answers.secrets.get(name).cloned())
    }
}

/// There is no other host.
impl Ownership for Embedded {}

#[async_trait]
impl Backend for Embedded {
    fn start(&self, inbound: Arc<dyn Inbound>) {
        if self.inbound.set(inbound.clone()).is_err() {
            return;
        }
        let (schedule, store, tasks) = (self.schedule.clone(), self.store.clone(), self.tasks.clone());
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(task::lasting("clock", move || {
            wakeups::run(schedule.clone(), store.clone(), inbound.clone(), tasks.clone(), shutdown.clone())
        }));
        let (store, shutdown) = (self.store.clone(), self.shutdown.clone());
        self.tasks.spawn(task::lasting("state file", move || store.clone().watch(shutdown.clone())));
    }

    fn readiness(&self) -> Readiness {
        self.store.readiness()
    }

    async fn actors_with_effects(&self, scan: EffectScan) -> Result<Option<EffectScanPage>, Error> {
        self.store.actors_with_effects(scan).await.map(Some)
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn StateSnapshot>>, Error> {
        Ok(Some(Box::new(self.store.snapshot().await?)))
    }

    fn pools(&self) -> Vec<SharedPool> {
        let always = [self.schedule.places(), self.store.waiting(), self.store.reads()];
        always.into_iter().chain(self.store.usage.shared()).cloned().collect()
    }

    fn storage_of(&self, agent_type: &str) -> Option<u64> {
        Some(self.store.usage.of(agent_type))
    }

    /// Stops firing reminders and timers. Due ones stay in the state file, for the next run.
    async fn leave(&self, _timeout: Duration) {
        self.shutdown.cancel();
    }

    async fn shut_down(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        // A firing whose turn does not end is still in the state file, and fires again after the restart.
        tokio::time::timeout(CLOCK_GRACE, self.tasks.wait()).await.ok();
        self.store.close().await;
    }
}

/// What a type may have in the file.
fn quota_of(agent: &AgentType) -> Quota {
    Quota {
        actor_bytes: agent.limits.state_total.as_u64(),
        type_bytes: agent.share.storage.map_or(u64::MAX, |storage| storage.as_u64()),
        host_bytes: u64::MAX,
        registrations: agent.limits.registrations,
        weight: agent.share.weight,
    }
}

/// The line about an event of the host itself that nobody has handled. It may have an agent's own words.
fn lost([pubsub, topic]: [&str; 2], error: &Error) -> String {
    printable(&format!("an event for {pubsub}/{topic} is lost: {error}")).into_owned()
}

fn is_starting() -> Error {
    Error::Unavailable("the host is starting".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_agent_that_fails_forge_no_line() {
        let error = Error::Other("no\n2026-01-01T00:00:00Z  INFO daca: forged".into());
        let line = lost(["p", "t"], &error);
        assert!(line.starts_with("an event for p/t is lost: ") && !line.contains('\n'), "{line}");
    }
}
