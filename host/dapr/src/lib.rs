//! The backend behind a Dapr sidecar: state, events, bindings, secrets and calls to actors go to it over gRPC.
//!
//! The other direction, the sidecar's callbacks, is in `daca-server`. [`connection`] keeps the connection,
//! [`publisher`] publishes, [`reminders`] reads reminders, [`in_flight`] limits concurrent requests, [`shared`] has the
//! hosts' shared state, [`watch`] follows the sidecar's health, [`status`] interprets its errors, [`wire`] transports
//! contexts and failures between hosts, and [`wakeups`] encodes schedules. This file has the trait, in the order of its
//! methods.

mod connection;
mod era;
#[cfg(test)]
mod fake;
mod in_flight;
mod publisher;
mod release;
mod reminders;
mod shared;
mod status;
mod texts;
mod wakeups;
mod wants;
mod watch;
mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use dapr::dapr::proto::runtime::v1 as proto;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use connection::Client;
pub use connection::EndpointError;
use daca_base::telemetry::Hidden;
use daca_manifest::{Deduplicate, Manifest};
use daca_model::Topic;
use daca_model::backend::{
    ActorCall, Backend, BindingRequest, BindingResponse, Effect, EffectRequest, Error, Expiry, Inbound,
    Readiness, Registration, SharedStore, StateValue, StateWrite, TurnCommit, WakeupKey, WakeupKind,
};
use daca_model::{ActorAddress, CallContext, CallError, CallIdentity};
use era::Era;
use in_flight::InFlight;
use publisher::{Event, Publisher};
use reminders::Reminders;
use shared::SharedState;
pub use wakeups::firing_data;
pub use wakeups::shown_reminder;
use wakeups::{Timers, reminder_request, timer_request};
use wants::Wants;
use watch::{Known, Watch};
pub use wire::reply as wire_reply;
pub use wire::{answer_mark, context_of, failure_body, is_misdelivered, reply_body};

/// The timeout of a state store, a broker or a scheduler.
const STORE_TIMEOUT: Duration = Duration::from_secs(15);
/// The timeout of an output binding, which calls something on the internet.
const BINDING_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of an actor's call, with the wait in its queue and the sidecar's own retries.
const CALL_TIMEOUT: Duration = Duration::from_secs(90);
/// The waits until the sidecar has certainly seen the end of a timer's turn. The second is for a busy machine.
const TURN_HAS_ENDED: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];
/// The time that the answer to a failed firing waits for the scheduler, which delays the actor.
const KEEPING: Duration = Duration::from_secs(5);
/// The time to wait for calls that the sidecar still has after it has given up this host's actors.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The waits, in milliseconds, before a call is retried that a change of hosts interrupted; the last one repeats until
/// [`REPEATING`] is over. A sidecar may take a second to notice that its host is gone.
const PAUSES: [u64; 5] = [100, 400, 1_000, 1_500, 2_000];
/// The time for which calls are retried. That includes those with an unknown outcome, so it is less than
/// [`STORE_TIMEOUT`]: a write that the store has not confirmed by then may still happen, and a host that reads the mark
/// at once would not see it.
const REPEATING: Duration = Duration::from_secs(10);

/// The sidecar's addresses and token.
#[derive(Debug, Clone)]
pub struct SidecarOptions {
    /// Its gRPC API, as `http://HOST:PORT`.
    pub grpc: String,
    /// Its HTTP API, as `http://HOST:PORT`: the gRPC API cannot read a reminder before Dapr 1.17.
    pub http: String,
    /// The token that it requires (`DAPR_API_TOKEN`).
    pub api_token: Option<Hidden>,
    /// `true` if the sidecar is restarted when it ends, as the kubelet does with the containers of a pod.
    pub restarts: bool,
}

impl SidecarOptions {
    /// Reads the variables that Dapr sets for an application: `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT`, the same for HTTP, and
    /// `DAPR_API_TOKEN`. Without them the ports are Dapr's own defaults.
    pub fn from_environment() -> SidecarOptions {
        // A variable that was read from a file ends with a line end, which is not allowed in headers and addresses.
        let value = |name: &str| std::env::var(name).ok().map(|value| value.trim().to_owned());
        let variable = |name: &str| value(name).filter(|value| !value.is_empty());
        let endpoint = |endpoint: &str, port: &str, default: &str| {
            variable(endpoint).unwrap_or_else(|| {
                let port = variable(port).unwrap_or_else(|| default.to_owned());
                format!("http://127.0.0.1:{port}")
            })
        };
        SidecarOptions {
            grpc: endpoint("DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT", "50001"),
            http: endpoint("DAPR_HTTP_ENDPOINT", "DAPR_HTTP_PORT", "3500"),
            api_token: variable("DAPR_API_TOKEN").map(Hidden),
            // Kubernetes passes each container the address of its API server. A sidecar by address is not only this
            // pod's.
            restarts: variable("KUBERNETES_SERVICE_HOST").is_some()
                && variable("DAPR_GRPC_ENDPOINT").is_none(),
        }
    }
}

/// The sidecar as a backend.
pub struct Sidecar {
    client: Client,
    publisher: Publisher,
    sends: InFlight,
    era: Era,
    reminders: Reminders,
    options: SidecarOptions,
    secret_store: String,
    shared: Arc<SharedState>,
    /// The types of the manifest. Only hosts of this app have their actors.
    types: HashSet<Arc<str>>,
    /// The types whose actors have a dedup log in their state.
    deduplicates: HashSet<Arc<str>>,
    /// The reentrant types, with their maximum nesting.
    reentrant: HashMap<Arc<str>, u32>,
    /// `true` if calls of actors that are active here are direct.
    direct_calls: bool,
    /// The components that the manifest names.
    wants: Arc<Wants>,
    /// The host, from [`Backend::start`] on.
    inbound: OnceLock<Arc<dyn Inbound>>,
    timers: Timers,
    known: Known,
    /// Cancelled when the sidecar has sent its calls elsewhere: whoever still waits for it then waits in vain.
    cut_calls: CancellationToken,
    shutdown: CancellationToken,
}

impl Sidecar {
    /// Nothing is sent before [`Backend::start`] or the first request.
    pub fn new(manifest: &Manifest, options: SidecarOptions) -> Result<Sidecar, EndpointError> {
        let (client, era) =
            connection::client(&options.grpc, options.api_token.as_ref().map(|token| &*token.0))?;
        let reentrant = manifest
            .agents
            .values()
            .filter_map(|agent| Some((agent.name.clone(), agent.reentrancy?.max_stack_depth)));
        let agents = manifest.agents.values();
        let deduplicates = agents.filter(|agent| agent.deduplicate == Deduplicate::State);
        let deduplicates = deduplicates.map(|agent| agent.name.clone());
        let reminders = Reminders::new(client.clone(), options.http.clone(), options.api_token.clone())?;
        let shared = SharedState::new(client.clone(), manifest.dapr.state_store.clone());
        Ok(Sidecar {
            publisher: Publisher::new(client.clone()),
            sends: InFlight::default(),
            client,
            era,
            shared: Arc::new(shared),
            reminders,
            secret_store: manifest.dapr.secret_store.clone(),
            types: manifest.agents.values().map(|agent| agent.name.clone()).collect(),
            deduplicates: deduplicates.collect(),
            reentrant: reentrant.collect(),
            direct_calls: manifest.dapr.direct_calls,
            wants: Arc::new(Wants::of(manifest)),
            inbound: OnceLock::new(),
            timers: Timers::default(),
            known: Known::default(),
            cut_calls: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            options,
        })
    }

    async fn save_state(
        &self,
        actor: &ActorAddress,
        writes: &BTreeMap<String, StateWrite>,
    ) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        let may_expire = self.known.has_ttl();
        let request = proto::ExecuteActorStateTransactionRequest {
            actor_type: actor.agent_type.to_string(),
            actor_id: wire::segment(&actor.id),
            operations: writes.iter().map(|(key, write)| operation(key, write, may_expire)).collect(),
        };
        let mut client = self.client.clone();
        let saved = within(STORE_TIMEOUT, client.execute_actor_state_transaction(request)).await;
        saved.map(drop).map_err(|status| status::error("the state was not saved", &status))
    }

    async fn register(
        &self,
        actor: &ActorAddress,
        key: &WakeupKey,
        registration: &Registration,
    ) -> Result<(), Error> {
        let mut client = self.client.clone();
        let registered = match key.kind {
            WakeupKind::Reminder => {
                let request = reminder_request(actor, &key.name, registration);
                within(STORE_TIMEOUT, client.register_actor_reminder(request)).await
            }
            WakeupKind::Timer => {
                let request = timer_request(actor, &key.name, registration);
                within(STORE_TIMEOUT, client.register_actor_timer(request)).await
            }
        };
        registered.map_err(|status| status::error(&format!("{:?} was not registered", key.name), &status))?;
        if key.kind == WakeupKind::Timer {
            self.timers.note(self.era(), actor, &key.name, Some(registration));
        }
        Ok(())
    }

    async fn unregister(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<(), Error> {
        let mut client = self.client.clone();
        let (actor_type, actor_id, name) =
            (actor.agent_type.to_string(), wire::segment(&actor.id), wire::segment(&key.name));
        let removed = match key.kind {
            WakeupKind::Reminder => {
                let request = proto::UnregisterActorReminderRequest { actor_type, actor_id, name };
                within(STORE_TIMEOUT, client.unregister_actor_reminder(request)).await
            }
            WakeupKind::Timer => {
                self.timers.note(self.era(), actor, &key.name, None);
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

    async fn call_binding(
        &self,
        request: &BindingRequest,
        traceparent: Option<&str>,
    ) -> Result<BindingResponse, Error> {
        let message = proto::InvokeBindingRequest {
            name: request.name.clone(),
            data: request.data.to_vec(),
            metadata: request.metadata.clone().into_iter().collect(),
            operation: request.operation.clone(),
        };
        let mut client = self.client.clone();
        let answer = within(BINDING_TIMEOUT, client.invoke_binding(traced(message, traceparent))).await;
        let answer =
            answer.map_err(|status| status::error(&format!("binding {:?}", request.name), &status))?;
        let proto::InvokeBindingResponse { data, metadata } = answer.into_inner();
        Ok(BindingResponse { data: data.into(), metadata: metadata.into_iter().collect() })
    }

    /// Makes a direct call, if the manifest allows it and the sidecar is known to place the actor here. `None` leaves
    /// the call to the sidecar; nothing was done then.
    async fn call_directly(
        &self,
        call: &ActorCall,
        context: &CallContext,
    ) -> Option<Result<Bytes, CallError>> {
        let inbound = self.inbound.get().filter(|_| self.direct_calls)?;
        let answer = tokio::time::timeout(CALL_TIMEOUT, inbound.call_active(call.clone(), context.clone()));
        let Ok(answer) = answer.await else {
            let reason = format!("{} has not answered within {CALL_TIMEOUT:?}", call.actor);
            return Some(Err(CallError::Backend(Error::Unavailable(reason))));
        };
        answer.filter(|result| !result.as_ref().is_err_and(CallError::is_not_done))
    }

    async fn try_call(
        &self,
        call: &ActorCall,
        context: &CallContext,
        mark: &str,
    ) -> Result<Result<Bytes, CallError>, Status> {
        let headers = wire::headers(&call.actor, context, mark);
        let request = proto::InvokeActorRequest {
            actor_type: call.actor.agent_type.to_string(),
            actor_id: wire::segment(&call.actor.id),
            method: wire::segment(&call.method),
            data: call.payload.to_vec(),
            metadata: headers,
        };
        let mut client = self.client.clone();
        let request = traced(request, context.traceparent.as_deref());
        let answer = tokio::select! {
            biased;
            answer = within(CALL_TIMEOUT, client.invoke_actor(request)) => answer?,
            () = self.known.silence() => return Err(Status::unavailable("the Dapr sidecar does not answer")),
            () = self.cut_calls.cancelled() => return Err(Status::unavailable("the host is leaving")),
        };
        let is_of_a_host = self.types.contains(&call.actor.agent_type);
        Ok(wire::reply(mark, answer.into_inner().data, is_of_a_host))
    }
}

/// A request with a timeout.
async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<Response<T>, Status> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {limit:?}"))),
    }
}

fn traced<T>(message: T, traceparent: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(value) = traceparent.and_then(|text| text.parse().ok()) {
        request.metadata_mut().insert(wire::TRACEPARENT, value);
    }
    request
}

/// `may_expire` means that the sidecar accepts a time to live; without the feature it rejects even an empty one.
fn operation(key: &str, write: &StateWrite, may_expire: bool) -> proto::TransactionalActorStateOperation {
    let mut metadata = HashMap::new();
    let (operation_type, value) = match write {
        StateWrite::Set { value, ttl } => {
            // Dapr counts whole seconds. Rounded up: a value must not expire too early.
            let seconds = ttl.map(|ttl| ttl.as_millis().div_ceil(1000).max(1).to_string());
            // Redis keeps the previous value's time to live, unless it is told otherwise.
            let seconds = seconds.or_else(|| may_expire.then(|| "-1".to_owned()));
            metadata.extend(seconds.map(|seconds| ("ttlInSeconds".to_owned(), seconds)));
            ("upsert", Some(prost_types::Any { type_url: String::new(), value: value.to_vec() }))
        }
        StateWrite::Delete => ("delete", None),
    };
    proto::TransactionalActorStateOperation {
        operation_type: operation_type.to_owned(),
        key: key.to_owned(),
        value,
        metadata,
    }
}

/// The content type of an event or a reply. Dapr puts JSON into the envelope of an event unchanged, and anything else
/// as base64.
pub fn content_type(event: &[u8]) -> &'static str {
    if daca_base::json::is_json(event) { "application/json" } else { "application/octet-stream" }
}

/// The event of an effect, if it is one.
fn event(effect: &Effect) -> Option<Event> {
    match &effect.request {
        EffectRequest::Publish { event, .. } => {
            Some(Event { data: event.clone(), traceparent: effect.traceparent.clone() })
        }
        EffectRequest::Send(_) => None,
    }
}

/// The expiry of a value in the state store, from the metadata of the value.
fn expiry(metadata: &HashMap<String, String>) -> Option<SystemTime> {
    let text = metadata.get("ttlExpireTime")?;
    humantime::parse_rfc3339(text).ok().map(daca_base::clock::of_wall)
}

#[async_trait]
impl Backend for Sidecar {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        let reads = keys.iter().map(|key| async {
            let request = proto::GetActorStateRequest {
                actor_type: actor.agent_type.to_string(),
                actor_id: wire::segment(&actor.id),
                key: key.clone(),
            };
            let mut client = self.client.clone();
            let answer = within(STORE_TIMEOUT, client.get_actor_state(request)).await;
            let answer = answer.map_err(|status| status::error("the state could not be read", &status))?;
            let proto::GetActorStateResponse { data, metadata } = answer.into_inner();
            // Not every store reports the time to live: Redis does not (`Get` in `state/redis/redis.go`). A value that
            // may have one is then valid for this moment only.
            let expiry = match expiry(&metadata) {
                Some(at) => Expiry::At(at),
                None if self.known.has_ttl() => Expiry::Unknown,
                None => Expiry::Never,
            };
            // The sidecar answers a missing value and an empty one alike.
            Ok((!data.is_empty()).then(|| StateValue { value: data.into(), expiry }))
        });
        futures::future::try_join_all(reads).await
    }

    /// The state is written in one transaction. The scheduler's data cannot be part of it, so new reminders and timers
    /// are written before it, and removals after it: a failure in between leaves one too many, never one too few.
    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        let comes_back = self.timers.comes_back(self.era(), actor, commit);
        self.timers.fired(self.era(), actor, commit);
        if let Some(name) = comes_back {
            tokio::spawn(settle_timer(
                self.client.clone(),
                self.timers.clone(),
                self.era.clone(),
                actor.clone(),
                name,
            ));
        }
        for (key, registration) in &commit.wakeups {
            if let Some(registration) = registration {
                self.register(actor, key, registration).await.map_err(Error::before_anything)?;
            }
        }
        self.save_state(actor, &commit.writes).await?;
        for (key, registration) in &commit.wakeups {
            if registration.is_none() {
                self.unregister(actor, key).await?;
            }
        }
        if commit.ends_timers {
            let names = self.timers.end(self.era(), actor).into_iter();
            let keys = names.map(|name| WakeupKey { kind: WakeupKind::Timer, name }).collect::<Vec<_>>();
            let endings = keys.iter().map(|key| self.unregister(actor, key));
            return futures::future::join_all(endings).await.into_iter().collect();
        }
        Ok(())
    }

    /// A transaction without operations. The sidecar rejects it for an actor that is not in its table, and accesses no
    /// store (`TransactionalStateOperation` in `pkg/actors/state/state.go`).
    async fn confirm_ownership(&self, actor: &ActorAddress) -> Result<(), Error> {
        let request = proto::ExecuteActorStateTransactionRequest {
            actor_type: actor.agent_type.to_string(),
            actor_id: wire::segment(&actor.id),
            operations: Vec::new(),
        };
        let mut client = self.client.clone();
        let confirmed = within(STORE_TIMEOUT, client.execute_actor_state_transaction(request)).await;
        // Nothing was written, so the call may be retried whatever the reason.
        confirmed.map(drop).map_err(|status| {
            status::error("whether the actor lives here is not known", &status).before_anything()
        })
    }

    async fn deliver(&self, _actor: &ActorAddress, effects: &[&Effect]) -> Vec<Result<(), Error>> {
        let Some(first) = effects.first() else { return Vec::new() };
        match &first.request {
            EffectRequest::Publish { pubsub, topic, .. } => {
                let topic = (pubsub.clone(), topic.clone());
                self.publisher
                    .publish(topic, effects.iter().filter_map(|effect| event(effect)).collect())
                    .await
            }
            EffectRequest::Send(request) => {
                let places = self.sends.of(&request.name);
                let _place = places.take().await;
                vec![self.call_binding(request, first.traceparent.as_deref()).await.map(drop)]
            }
        }
    }

    /// Events of one topic, if the component sends them in order. A component without bulk publishing gets them from
    /// the sidecar all at once and in any order (`pkg/runtime/pubsub/default_bulkpub.go`).
    fn takes_together(&self, first: &EffectRequest, next: &EffectRequest) -> bool {
        match (first, next) {
            (
                EffectRequest::Publish { pubsub, topic, .. },
                EffectRequest::Publish { pubsub: next_pubsub, topic: next_topic, .. },
            ) => pubsub == next_pubsub && topic == next_topic && self.known.keeps_order(pubsub),
            _ => false,
        }
    }

    async fn invoke_binding(
        &self,
        _actor: &ActorAddress,
        request: &BindingRequest,
        context: &CallContext,
    ) -> Result<BindingResponse, Error> {
        self.call_binding(request, context.traceparent.as_deref()).await
    }

    async fn call_actor(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        // Without reentrancy the sidecar would let the call wait for its own caller until both time out.
        context.check(&call.actor, self.reentrant.get(&call.actor.agent_type).copied())?;
        if !self.known.answers() {
            let reason = format!("{} could not be called: the Dapr sidecar does not answer", call.actor);
            return Err(CallError::Backend(Error::NotDone(reason)));
        }
        let deadline = Instant::now() + REPEATING;
        // One mark for all attempts: the actor's host recognises by it the calls that it has handled.
        let mark: Arc<str> = wire::new_mark().into();
        let mut context = CallContext { mark: Some(mark.clone()), ..context };
        // A nested turn leaves no mark: the waiting turn would overwrite it.
        let is_nested = context.waiting.contains(&call.actor);
        let deduplicates = self.deduplicates.contains(&call.actor.agent_type) && !is_nested;
        if deduplicates && context.identity.is_none() {
            context.identity = Some(CallIdentity::Attempt(mark.clone()));
        }
        let is_of_a_host = self.types.contains(&call.actor.agent_type);
        let is_handled_once = context.identity.is_some() && is_of_a_host;
        let mut answer = match self.call_directly(&call, &context).await {
            Some(result) => Ok(result),
            None => self.try_call(&call, &context, &mark).await,
        };
        for number in 0.. {
            let is_connected = self.known.answers() && !self.cut_calls.is_cancelled();
            let is_time = Instant::now() < deadline;
            let is_repeatable = is_handled_once && is_connected && is_time;
            // A call that was certainly not handled gets its attempts even if it has waited long.
            let pause = PAUSES.get(number).or(PAUSES.last().filter(|_| is_time && is_connected));
            let Some(&pause) = pause else { break };
            if !status::may_be_repeated(&call.actor, &answer, is_of_a_host, is_repeatable) {
                break;
            }
            tracing::debug!("{} is called again", call.actor);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            answer = self.try_call(&call, &context, &mark).await;
        }
        answer.map_err(|status| status::call_error(&call.actor, &status, is_of_a_host))?
    }

    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error> {
        match key.kind {
            WakeupKind::Timer => Ok(self.timers.get(self.era(), actor, &key.name)),
            WakeupKind::Reminder => self.reminders.registration(actor, &key.name).await,
        }
    }

    async fn reminder_failed(&self, actor: &ActorAddress, name: &str) {
        if self.known.repeats_reminders() {
            return;
        }
        match tokio::time::timeout(KEEPING, self.reminders.keep(actor, name)).await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!(
                code = "reminder-kept", agent_type = %actor.agent_type, actor_id = %actor.id,
                "{:?} fires again in {:?}", daca_base::telemetry::printable(name), wakeups::AGAIN
            ),
            Ok(Err(error)) => tracing::warn!(
                code = "reminder-not-kept", agent_type = %actor.agent_type, actor_id = %actor.id,
                "{}", daca_base::telemetry::printable(&error.to_string())
            ),
            Err(_) => tracing::warn!(
                code = "reminder-not-kept", agent_type = %actor.agent_type, actor_id = %actor.id,
                "{:?}: the scheduler did not answer within {KEEPING:?}", daca_base::telemetry::printable(name)
            ),
        }
    }

    async fn secret(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let request = proto::GetSecretRequest {
            store_name: self.secret_store.clone(),
            key: name.to_owned(),
            metadata: HashMap::new(),
        };
        let mut client = self.client.clone();
        match within(STORE_TIMEOUT, client.get_secret(request)).await {
            Ok(answer) => Ok(Some(answer.into_inner().data.into_iter().collect())),
            Err(status) if texts::is_no_such_secret(&status) => Ok(None),
            Err(status) => Err(status::error("the secret could not be read", &status)),
        }
    }

    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error> {
        let topic = (topic.pubsub.clone(), topic.topic.clone());
        self.publisher.publish_one(&topic, &Event { data: event, traceparent: None }).await
    }

    fn start(&self, inbound: Arc<dyn Inbound>) {
        let _it_is_called_once = self.inbound.set(inbound);
        let watch = Watch {
            client: self.client.clone(),
            era: self.era.clone(),
            known: self.known.clone(),
            wants: self.wants.clone(),
            address: self.options.grpc.clone(),
            restarts: self.options.restarts,
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let _shut_down = shutdown.run_until_cancelled(watch.run()).await;
        });
    }

    fn readiness(&self) -> Readiness {
        if self.known.hosts_actors() {
            Readiness::Ready
        } else {
            Readiness::Waiting("the Dapr sidecar is not ready to host actors")
        }
    }

    fn shared(&self) -> Option<Arc<dyn SharedStore>> {
        Some(self.shared.clone())
    }

    fn era(&self) -> u64 {
        self.era.now()
    }

    fn vouches(&self, era: u64) -> bool {
        self.known.vouches(era)
    }

    /// The sidecar sees that the host is unhealthy, stops its subscriptions and bindings, and gives up its actors.
    async fn leave(&self, patience: Duration) {
        let given_up = watch::until_actors_are_given_up(&self.client);
        let _out_of_patience = tokio::time::timeout(patience, given_up).await;
        let cut_calls = self.cut_calls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_ANSWERS).await;
            cut_calls.cancel();
        });
    }

    async fn shut_down(&self) {
        self.shutdown.cancel();
    }
}

/// Corrects a timer that was changed in its own turn. The sidecar puts a repeating timer back into its queue after the
/// turn, even if it was removed or replaced in the meantime (`processorExecuteFn` in
/// `pkg/actors/internal/timers/inmemory/inmemory.go`). A registration replaces it, and one whose time is already over
/// leaves nothing in its place.
async fn settle_timer(mut client: Client, timers: Timers, era: Era, actor: ActorAddress, name: String) {
    for pause in TURN_HAS_ENDED {
        tokio::time::sleep(pause).await;
        let current = timers.get(era.now(), &actor, &name);
        let request = timer_request(&actor, &name, current.as_ref().unwrap_or(&wakeups::OVER));
        if let Err(status) = within(STORE_TIMEOUT, client.register_actor_timer(request)).await {
            tracing::warn!(
                code = "timer-not-settled",
                "the timer {name:?} of {actor} may fire once more: {}",
                status.message()
            );
        }
        if current.is_some() {
            return;
        }
    }
}
