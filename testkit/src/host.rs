//! A host that runs in a test.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use daca_base::clock::moved::Machine;
use daca_deploy::Deployer;
use daca_model::backend::{ActorCall, ActorCalls as _, Backend as _, HOST_KEYS, Outbox, WakeupKind};
use daca_model::{ActorAddress, CallContext, CallIdentity, HostPhase, LifecycleWriter};
use daca_runtime::actor::{Actors, Deliveries};
use daca_server::AppRouter;
use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::inbound::Local;
use crate::recorder::Recorder;
use crate::seen::{self, BindingCall, Event, Wakeup};
use crate::{BindingAnswer, CallFailed, Error, Response, StartError, deploy, routes};

/// The interval of the checks whether an actor that is just answering has become idle.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// A host in this process, with its agents. Dropping it ends it, without the agents' `#[deactivate]`.
pub struct Host {
    pub(crate) parts: HostParts,
}

/// What a host is made of.
pub(crate) struct HostParts {
    pub(crate) clock: Machine,
    pub(crate) backend: Arc<Recorder>,
    pub(crate) effects: EffectParts,
    pub(crate) actors: Actors,
    pub(crate) deployer: Deployer,
    pub(crate) router: AppRouter,
    pub(crate) inbound: Arc<Local>,
    pub(crate) lifecycle: LifecycleWriter,
    pub(crate) timeout: Duration,
    /// The task that makes dead letters, and tells agents of them; and the data folder. Both end with the host.
    pub(crate) _kept: (JoinSet<()>, TempDir),
}

/// The effects of the agents: those that wait, and their delivery.
pub(crate) struct EffectParts {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) deliveries: Deliveries,
}

/// Calls, as a caller from outside makes them.
impl Host {
    pub(crate) fn of(parts: HostParts) -> Host {
        Host { parts }
    }

    /// Calls a method of an actor (`TYPE/ID`) and returns its reply. An empty reply is `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] when the agent refuses or fails; [`Error::code`] is the stable code then.
    pub async fn call(
        &self,
        actor: &str,
        method: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<Value, Error> {
        self.call_as(actor, method, payload).await
    }

    /// The same with a reply of a type.
    ///
    /// # Errors
    ///
    /// Those of [`Host::call`], and [`Error::Json`] when the reply is of another type.
    pub async fn call_as<R: DeserializeOwned>(
        &self,
        actor: &str,
        method: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<R, Error> {
        let reply = self.reply(actor, method, payload, CallContext::default()).await?;
        read(actor, method, &reply)
    }

    /// The same with an idempotency key, as the header `Idempotency-Key` has it: a call that is repeated with its key is handled
    /// once.
    ///
    /// # Errors
    ///
    /// Those of [`Host::call_as`], and [`Error::Key`] for what cannot be a key.
    pub async fn call_with_key<R: DeserializeOwned>(
        &self,
        key: &str,
        actor: &str,
        method: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<R, Error> {
        let identity = CallIdentity::of_key(key).map_err(|error| Error::Key(key.to_owned(), error))?;
        let context = CallContext { identity: Some(identity), ..CallContext::default() };
        let reply = self.reply(actor, method, payload, context).await?;
        read(actor, method, &reply)
    }

    async fn reply(
        &self,
        actor: &str,
        method: &str,
        payload: &(impl Serialize + ?Sized),
        context: CallContext,
    ) -> Result<Bytes, Error> {
        let payload = serde_json::to_vec(payload).map_err(|error| Error::Json {
            what: format!("the payload for {actor}, {method}"),
            reason: error.to_string(),
        })?;
        let call = ActorCall { actor: address(actor)?, method: method.to_owned(), payload: payload.into() };
        let what = format!("the call of {actor}, {method}");
        let reply = self.within(&what, self.parts.inbound.call_actor(call, context)).await?;
        reply.map_err(|error| Error::Call(CallFailed::new(actor, method, &error)))
    }
}

/// Requests to the manifest's routes and subscriptions, as a client makes them over HTTP. An error of the agent or the host is an
/// answer like any other.
impl Host {
    /// Gets from a path, such as `/chat/user1/history`.
    ///
    /// # Errors
    ///
    /// Those of [`Host::request`].
    pub async fn get(&self, path: &str) -> Result<Response, Error> {
        self.request("GET", path, &[], Bytes::new()).await
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    ///
    /// Those of [`Host::request`].
    pub async fn post(&self, path: &str, body: &(impl Serialize + ?Sized)) -> Result<Response, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Json {
            what: format!("the body for {path}"),
            reason: error.to_string(),
        })?;
        self.request("POST", path, &[("content-type", "application/json")], body).await
    }

    /// Sends a request with these headers and this body.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for a method, path or header that HTTP does not allow; [`Error::TimedOut`].
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response, Error> {
        let sent = routes::send(self.parts.router.clone(), method, path, headers, body.into());
        self.within(&format!("the request {method} {path}"), sent).await?
    }
}

/// The results of the agents' work. Each function first waits until nothing is under way ([`Host::settled`]).
impl Host {
    /// The state of an actor by key, as JSON. A value that is not JSON is a text; one that has expired is absent.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and [`Error::State`] when the state file cannot be read.
    pub async fn state(&self, actor: &str) -> Result<BTreeMap<String, Value>, Error> {
        let actor = address(actor)?;
        self.settled().await?;
        let state = self.parts.backend.embedded.state_of(&actor).await?;
        let own = state.into_iter().filter(|(key, _)| !key.starts_with(HOST_KEYS));
        Ok(own.map(|(key, value)| (key, seen::value(&value.value))).collect())
    }

    /// The reminders of an actor, by name.
    ///
    /// # Errors
    ///
    /// Those of [`Host::state`].
    pub async fn reminders(&self, actor: &str) -> Result<Vec<Wakeup>, Error> {
        self.wakeups(actor, WakeupKind::Reminder).await
    }

    /// The timers of an actor, by name.
    ///
    /// # Errors
    ///
    /// Those of [`Host::state`].
    pub async fn timers(&self, actor: &str) -> Result<Vec<Wakeup>, Error> {
        self.wakeups(actor, WakeupKind::Timer).await
    }

    async fn wakeups(&self, actor: &str, kind: WakeupKind) -> Result<Vec<Wakeup>, Error> {
        let actor = address(actor)?;
        self.settled().await?;
        let scheduled = self.parts.backend.embedded.scheduled_of(&actor, kind).await?;
        let now = self.now();
        let own = scheduled.into_iter().filter(|one| !one.name.starts_with(HOST_KEYS));
        Ok(own.map(|one| Wakeup::new(one, now)).collect())
    }

    /// The events that were published since the start, in the order in which they left.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub async fn events(&self) -> Result<Vec<Event>, Error> {
        self.settled().await?;
        Ok(self.parts.backend.events())
    }

    /// The requests to output bindings since the start, in order: those that were invoked and those that were sent.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub async fn bindings(&self) -> Result<Vec<BindingCall>, Error> {
        self.settled().await?;
        Ok(self.parts.backend.bindings())
    }

    /// Waits until nothing is under way: no reminder or timer is due, and no effect is on its way, and neither is anything that
    /// follows from them. What is due later by the clock is left to [`Host::advance`]: firings, and further tries of effects. It
    /// does not wait for calls that the test itself has not awaited.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub async fn settled(&self) -> Result<(), Error> {
        self.within("the work in progress", self.parts.rest()).await
    }
}

/// The world around the agents.
impl Host {
    /// The time, by the host's clock.
    pub fn now(&self) -> SystemTime {
        self.parts.clock.now()
    }

    /// Moves the clock forward. It stops at each time at which a reminder or timer fires, or an effect is tried again, and waits
    /// until that and everything that follows from it have been handled: a daily reminder fires three times in three days.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when that takes longer than the host's timeout, as a timer with a period of milliseconds may;
    /// [`Error::TooFar`] for a time beyond the calendar.
    pub async fn advance(&self, time: Duration) -> Result<(), Error> {
        let end = self.now().checked_add(time).ok_or(Error::TooFar(time))?;
        let advance = async {
            loop {
                self.parts.rest().await;
                let left = end.duration_since(self.now()).unwrap_or_default();
                let next =
                    self.parts.next_event().map(|next| next.duration_since(self.now()).unwrap_or_default());
                match next.filter(|next| *next <= left) {
                    Some(next) => self.parts.clock.pass(next),
                    None => break self.parts.clock.pass(left),
                }
            }
        };
        self.within(&format!("moving the clock on by {time:?}"), advance).await
    }

    /// Sets the answer of a binding from now on, or of one of its operations (`BINDING/OPERATION`). To `bindings.invoke` it is the
    /// response. Of `bindings.send` a failure decides: [`BindingAnswer::unavailable`] is tried again as time passes, and
    /// [`BindingAnswer::invalid`] is given up at once.
    pub fn answer_binding(&self, binding: &str, answer: impl Into<BindingAnswer>) {
        self.parts.backend.answer(binding, answer.into());
    }

    /// Deploys a component, as `daca deploy` does, and returns the version: the SHA-256 of the file. State, reminders and timers
    /// stay; a version with `#[migrate]` migrates each actor in its next call. The path is looked for as that of
    /// [`HostBuilder::agent`](crate::HostBuilder::agent).
    ///
    /// # Errors
    ///
    /// Those of the component, such as [`StartError::Refused`] when it fails on a scratch actor. Then the version that served
    /// keeps serving.
    pub async fn deploy(&self, agent_type: &str, component: impl AsRef<Path>) -> Result<String, StartError> {
        self.deploy_to(agent_type, component, 100).await
    }

    /// The same as a canary, for a share of the actors in percent: 1 to 100.
    ///
    /// # Errors
    ///
    /// Those of [`Host::deploy`].
    pub async fn deploy_to(
        &self,
        agent_type: &str,
        component: impl AsRef<Path>,
        share: u8,
    ) -> Result<String, StartError> {
        let HostParts { actors, deployer, timeout, .. } = &self.parts;
        let deploy = Box::pin(deploy::deploy(deployer, actors, agent_type, component.as_ref(), share));
        tokio::time::timeout(*timeout, deploy).await.unwrap_or(Err(StartError::TimedOut(*timeout)))
    }

    /// Rolls back, as `daca rollback` does, and returns the version that serves again. If there is a canary, only the canary
    /// ends.
    ///
    /// # Errors
    ///
    /// [`StartError::Refused`], such as when there is no version before.
    pub async fn roll_back(&self, agent_type: &str) -> Result<String, StartError> {
        let HostParts { actors, deployer, timeout, .. } = &self.parts;
        let roll_back = Box::pin(deploy::roll_back(deployer, actors, agent_type));
        tokio::time::timeout(*timeout, roll_back).await.unwrap_or(Err(StartError::TimedOut(*timeout)))
    }

    /// Deactivates all actors, as a host that shuts down does: `#[deactivate]` runs, and the next call of each makes a new
    /// instance, which runs `#[activate]`. Reminders and timers stay.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`].
    pub async fn deactivate_all(&self) -> Result<(), Error> {
        let deactivate = async {
            self.parts.rest().await;
            // An actor whose answer is here may not be idle yet.
            while self.parts.actors.deactivate_all(Instant::now() + self.parts.timeout).await > 0 {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            self.parts.rest().await;
        };
        self.within("the deactivation of all actors", deactivate).await
    }

    async fn within<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, Error> {
        let timeout = self.parts.timeout;
        let done = tokio::time::timeout(timeout, work).await;
        done.map_err(|_elapsed| Error::TimedOut { what: what.to_owned(), timeout })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let HostParts { backend, deployer, inbound, lifecycle, .. } = &self.parts;
        lifecycle.enter(HostPhase::Stopped);
        deployer.close();
        // Its tasks have the actors. They end with the runtime at the latest.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let deployer = deployer.clone();
            runtime.spawn(async move { deployer.shut_down().await });
        }
        // It ends at once.
        let _ended = backend.leave(Duration::ZERO).now_or_never();
        inbound.end();
    }
}

pub(crate) fn address(text: &str) -> Result<ActorAddress, Error> {
    text.parse().map_err(|reason| Error::Address { text: text.to_owned(), reason })
}

fn read<R: DeserializeOwned>(actor: &str, method: &str, reply: &[u8]) -> Result<R, Error> {
    let reply: &[u8] = if reply.is_empty() { b"null" } else { reply };
    daca_base::json::read(reply).map_err(|error| Error::Json {
        what: format!("the reply of {actor}, {method}"),
        reason: error.to_string(),
    })
}
