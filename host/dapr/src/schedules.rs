//! Registers and removes reminders, which Dapr's scheduler keeps, and timers, which the sidecar keeps in memory.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use daca_base::ErrorCode;
use daca_base::telemetry::printable;
use daca_model::ActorAddress;
use daca_model::backend::{
    EFFECTS_OF_ANOTHER, Error, FiredWakeup, Registration, TurnCommit, WakeupKey, WakeupKind, effects_proxy,
};
use dapr::dapr::proto::runtime::v1 as proto;
use parking_lot::Mutex;
use tonic::Code;

use super::connection::Client;
use super::epoch::Epoch;
use super::reminders::Reminders;
use super::request::{STORE_TIMEOUT, within};
use super::timers::Timers;
use super::wakeups::{self, reminder_request, timer_request, until_done};
use super::watch::SidecarStatus;
use super::{names, status};

/// The waits until the sidecar has certainly seen the end of a timer's turn. The second is for a busy machine.
const TURN_HAS_ENDED: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// The time that the answer to a firing waits for the scheduler to tell of its reminder, which delays the actor.
const KEEPING: Duration = Duration::from_secs(5);
/// The time in which a reminder that is done is read and removed, which delays the actor. Later, it fires once more.
const ENDING: Duration = Duration::from_secs(2);
/// The actors without a reminder of their effects that are remembered. Of others, effects that cannot leave wait for
/// their actor's next turn with effects.
const MAX_UNREMINDED: usize = 10_000;

/// The sidecar's API for reminders and timers.
pub(super) struct Schedules {
    client: Client,
    epoch: Epoch,
    known: SidecarStatus,
    reminders: Reminders,
    timers: Timers,
    /// It was logged that the scheduler does not accept the id of an actor with effects.
    has_warned: AtomicBool,
    /// Actors with effects whose ids the scheduler does not accept, until nothing of their effects is left.
    unreminded: Mutex<HashSet<ActorAddress>>,
}

impl Schedules {
    pub(super) fn new(
        client: Client,
        epoch: Epoch,
        known: SidecarStatus,
        reminders: Reminders,
        timers: Timers,
    ) -> Schedules {
        let (has_warned, unreminded) = (AtomicBool::new(false), Mutex::default());
        Schedules { client, epoch, known, reminders, timers, has_warned, unreminded }
    }

    /// Called before a turn commits: records the timer that the turn handles.
    pub(super) fn begin(&self, actor: &ActorAddress, commit: &TurnCommit) {
        let comes_back = self.timers.comes_back(self.epoch.now(), actor, commit);
        self.timers.fired(self.epoch.now(), actor, commit);
        if let Some(name) = comes_back {
            let (client, timers, epoch) = (self.client.clone(), self.timers.clone(), self.epoch.clone());
            tokio::spawn(settle_timer(client, timers, epoch, actor.clone(), name));
        }
    }

    /// Registers the new reminders and timers of a turn, before its state is saved. The host's own reminder may be
    /// impossible, because the scheduler accepts fewer ids than there are: the agent has not asked for it, and its turn
    /// does not fail for that. If the actor would have too many timers, nothing is registered.
    pub(super) async fn register_all(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        let _reserved = self.timers.admit(self.epoch.now(), actor, commit)?;
        for (key, registration) in &commit.wakeups {
            let Some(registration) = registration else { continue };
            match self.register(actor, key, registration).await {
                Err(Error::Invalid(reason)) if key.is_of_effects() => self.note_unreminded(actor, &reason),
                registered => registered.map_err(Error::as_not_applied)?,
            }
        }
        Ok(())
    }

    /// Returns `true` if the scheduler has refused the reminder of this actor's effects.
    pub(super) fn lacks_effect_reminder(&self, actor: &ActorAddress) -> bool {
        self.unreminded.lock().contains(actor)
    }

    /// Notes an actor whose effects have no reminder. Logs the first: callers choose ids, and must not fill the log.
    fn note_unreminded(&self, actor: &ActorAddress, reason: &str) {
        let mut unreminded = self.unreminded.lock();
        if unreminded.len() >= MAX_UNREMINDED
            && let Some(other) = unreminded.iter().next().cloned()
        {
            unreminded.remove(&other);
        }
        unreminded.insert(actor.clone());
        drop(unreminded);
        if self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(
            code = ErrorCode::EffectsWithoutReminder.as_str(),
            agent_type = %actor.agent_type,
            actor_id = &*actor.id,
            "if this host dies, the actor's effects wait for its next turn that has effects: {}",
            printable(reason)
        );
    }

    /// Registers a reminder or timer, at another actor if the scheduler accepts nothing of this one.
    async fn register(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
        registration: &Registration,
    ) -> Result<(), Error> {
        let Some((proxy, key)) = by_proxy(actor, key) else {
            return self.register_at(actor, key, registration).await;
        };
        let data = Bytes::copy_from_slice(actor.id.as_bytes());
        self.register_at(&proxy, &key, &Registration { data, ..registration.clone() }).await
    }

    /// Registers a reminder or timer of this actor.
    async fn register_at(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
        registration: &Registration,
    ) -> Result<(), Error> {
        let mut client = self.client.clone();
        let registered = match key.kind {
            WakeupKind::Reminder => {
                let would_be_dropped = registration.period.is_none() && !self.known.repeats_reminders();
                let request = if would_be_dropped {
                    reminder_request(actor, &key.name, &until_done(registration))
                } else {
                    reminder_request(actor, &key.name, registration)
                };
                within(STORE_TIMEOUT, client.register_actor_reminder(request)).await
            }
            WakeupKind::Timer => {
                let request = timer_request(actor, &key.name, registration);
                within(STORE_TIMEOUT, client.register_actor_timer(request)).await
            }
        };
        registered.map_err(|status| status::error(&format!("{:?} was not registered", key.name), &status))?;
        if key.kind == WakeupKind::Timer {
            self.timers.note(self.epoch.now(), actor, &key.name, Some(registration));
        }
        Ok(())
    }

    /// Removes one. Removing one that does not exist is not an error.
    pub(super) async fn unregister(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<(), Error> {
        let mut client = self.client.clone();
        let proxied = by_proxy(actor, key);
        let (actor, key) = proxied.as_ref().map_or((actor, key), |(proxy, key)| (proxy, key));
        let (actor_type, actor_id, name) =
            (actor.agent_type.to_string(), names::segment(&actor.id), names::segment(&key.name));
        let removed = match key.kind {
            WakeupKind::Reminder => {
                let request = proto::UnregisterActorReminderRequest { actor_type, actor_id, name };
                within(STORE_TIMEOUT, client.unregister_actor_reminder(request)).await
            }
            WakeupKind::Timer => {
                self.timers.note(self.epoch.now(), actor, &key.name, None);
                let request = proto::UnregisterActorTimerRequest { actor_type, actor_id, name };
                within(STORE_TIMEOUT, client.unregister_actor_timer(request)).await
            }
        };
        match removed {
            Err(status) if status.code() != Code::NotFound => {
                Err(status::error(&format!("{:?} was not unregistered", key.name), &status))
            }
            _ => Ok(()),
        }
    }

    /// Removes a reminder or timer for a turn whose state is saved. If the scheduler will never do it, that must not
    /// fail the turn, whose caller would be told that nothing was committed. If it may do it later, the outcome is in
    /// doubt, and the actor's next turn resolves it.
    pub(super) async fn remove_after_commit(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
    ) -> Result<(), Error> {
        let removed = self.unregister(actor, key).await;
        if key.is_of_effects() && !removed.as_ref().is_err_and(Error::is_retryable) {
            self.unreminded.lock().remove(actor);
        }
        match removed {
            Ok(()) => Ok(()),
            Err(error) if error.is_retryable() => Err(Error::Unavailable(error.to_string())),
            // It could not be registered either.
            Err(Error::Invalid(_)) if key.is_of_effects() => Ok(()),
            Err(error) => {
                tracing::warn!(
                    code = ErrorCode::WakeupNotRemoved.as_str(),
                    agent_type = %actor.agent_type,
                    actor_id = &*actor.id,
                    "{}; if it exists, it keeps firing",
                    printable(&error.to_string())
                );
                Ok(())
            }
        }
    }

    /// Ends a one-shot reminder that repeats until its turn is done: this turn was its firing, and is kept. One that the turn
    /// has registered again is another, and so is one that an earlier turn in the queue has. If it cannot be ended now, it
    /// fires again, is recognised ([`CallIdentity::of_firing`]), and ends then: the turn does not fail for that.
    ///
    /// [`CallIdentity::of_firing`]: daca_model::CallIdentity::of_firing
    pub(super) async fn end_once(&self, actor: &ActorAddress, commit: &TurnCommit) {
        let is_once = |fired: &&FiredWakeup| fired.key.kind == WakeupKind::Reminder && fired.token != 0;
        let Some(fired) = commit.handled.as_ref().filter(is_once) else { return };
        if commit.wakeups.contains_key(&fired.key) {
            return;
        }
        let ending = async {
            match self.reminders.once(actor, &fired.key.name).await? {
                Some(id) if id == fired.token => self.unregister(actor, &fired.key).await,
                _ => Ok(()),
            }
        };
        let late = |_| Err(Error::Unavailable(format!("the scheduler did not answer within {ENDING:?}")));
        let ended = tokio::time::timeout(ENDING, ending).await.unwrap_or_else(late);
        if let Err(error) = ended {
            tracing::info!(
                "the reminder {:?} is done, and fires once more: {}",
                printable(&fired.key.name),
                printable(&error.to_string())
            );
        }
    }

    /// Removes all timers of an actor.
    pub(super) async fn end_timers(&self, actor: &ActorAddress) -> Result<(), Error> {
        let names = self.timers.end(self.epoch.now(), actor).into_iter();
        let keys = names.map(|name| WakeupKey { kind: WakeupKind::Timer, name }).collect::<Vec<_>>();
        let removals = keys.iter().map(|key| self.remove_after_commit(actor, key));
        futures::future::join_all(removals).await.into_iter().collect()
    }

    /// The registration of a reminder or timer.
    pub(super) async fn registration(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
    ) -> Result<Option<Registration>, Error> {
        match key.kind {
            WakeupKind::Timer => Ok(self.timers.get(self.epoch.now(), actor, &key.name)),
            WakeupKind::Reminder => self.reminders.registration(actor, &key.name).await,
        }
    }

    /// Lets a one-shot reminder whose turn failed fire again, for a sidecar that does not do so by itself.
    pub(super) async fn keep(&self, actor: &ActorAddress, name: &str) {
        match tokio::time::timeout(KEEPING, self.reminders.keep(actor, name)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!(
                code = ErrorCode::ReminderKept.as_str(), agent_type = %actor.agent_type, actor_id = %actor.id,
                "{:?} fires again in {:?}", printable(name), wakeups::RETRY_DELAY
            ),
            Ok(Err(error)) => tracing::warn!(
                code = ErrorCode::ReminderNotKept.as_str(), agent_type = %actor.agent_type, actor_id = %actor.id,
                "{}", printable(&error.to_string())
            ),
            Err(_) => tracing::warn!(
                code = ErrorCode::ReminderNotKept.as_str(), agent_type = %actor.agent_type, actor_id = %actor.id,
                "{:?}: the scheduler did not answer within {KEEPING:?}", printable(name)
            ),
        }
    }
}

/// The actor that has the reminder of this one's effects, and its name there, if the scheduler does not accept this one's
/// id. Known by the id alone, so that whoever removes it, after a restart or on another host, finds it.
fn by_proxy(actor: &ActorAddress, key: &WakeupKey) -> Option<(ActorAddress, WakeupKey)> {
    let key = (key.is_of_effects() && !names::is_job_name(&actor.id))
        .then(|| WakeupKey { kind: WakeupKind::Reminder, name: EFFECTS_OF_ANOTHER.to_owned() })?;
    Some((effects_proxy(actor), key))
}

/// Corrects a timer that was changed in its own turn. The sidecar puts a repeating timer back into its queue after the
/// turn, even if it was removed or replaced in the meantime (`processorExecuteFn` in
/// `pkg/actors/internal/timers/inmemory/inmemory.go`). A registration replaces it, and one whose time is already over
/// leaves nothing in its place.
async fn settle_timer(mut client: Client, timers: Timers, epoch: Epoch, actor: ActorAddress, name: String) {
    for pause in TURN_HAS_ENDED {
        tokio::time::sleep(pause).await;
        let current = timers.get(epoch.now(), &actor, &name);
        let request = timer_request(&actor, &name, current.as_ref().unwrap_or(&wakeups::OVER));
        if let Err(status) = within(STORE_TIMEOUT, client.register_actor_timer(request)).await {
            tracing::warn!(
                code = ErrorCode::TimerNotSettled.as_str(),
                "the timer {name:?} of {actor} may fire once more: {}",
                status.message()
            );
        }
        if current.is_some() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
