//! The backend behind a Dapr sidecar: state, events, bindings, secrets and calls to actors go to it over gRPC.
//!
//! The other direction, the sidecar's callbacks, is in `daca-server`. This file has the traits, in the order of their
//! methods. [`state`] reads and writes, [`schedules`] registers reminders and timers ([`wakeups`] encodes them,
//! [`reminders`] reads reminders, [`timers`] records timers), [`publisher`] publishes, [`in_flight`] limits concurrent
//! requests, and [`shared`] has the hosts' shared state. [`watch`] follows the sidecar's health,
//! [`epoch`] counts the ownership epochs, and [`connection`] keeps the connection. [`names`] has the names' form for the
//! sidecar, and [`status`] and [`texts`] interpret its errors. [`invoke`] calls actors, for `daca-routing`.

mod connection;
mod epoch;
#[cfg(test)]
mod fake;
mod in_flight;
mod invoke;
mod names;
mod options;
mod publisher;
mod release;
mod reminders;
mod request;
mod required;
mod schedules;
mod shared;
mod state;
mod status;
mod texts;
mod timers;
mod wakeups;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use daca_base::memory::MemoryBudget;
use daca_base::task;
use daca_manifest::Manifest;
use daca_model::backend::{
    Backend, BindingRequest, BindingResponse, Bindings, Effect, EffectDelivery, EffectRequest, Error,
    Inbound, Ownership, Readiness, Registration, Secrets, SharedStore, StateStore, StateValue, Tried,
    TurnCommit, WakeupKey, Wakeups,
};
use daca_model::{ActorAddress, CallContext, Topic};
use dapr::dapr::proto::runtime::v1 as proto;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use connection::Client;
pub use connection::EndpointError;
use in_flight::InFlight;
pub use invoke::{InvokeAttempt, Invoker};
pub use options::SidecarOptions;
use publisher::{OutgoingEvent, Publisher};
use reminders::Reminders;
use request::{STORE_TIMEOUT, traced, within};
use required::ComponentNames;
use schedules::Schedules;
use shared::SharedState;
use state::StateClient;
pub use status::InvokeError;
use timers::Timers;
pub use wakeups::shown_reminder;
use watch::{SidecarStatus, Watch};

/// The timeout of an output binding, which calls something on the internet.
const BINDING_TIMEOUT: Duration = Duration::from_secs(30);

/// The bytes of a message that are left for the actor's address.
const MAX_ADDRESS: u64 = 2 * 1024;

/// The metadata of a binding that has an effect's identity. As a header it is that of the IETF's draft
/// `draft-ietf-httpapi-idempotency-key-header`, which a host of this project understands, too.
const IDENTITY: &str = "Idempotency-Key";

/// The sidecar as a backend.
pub struct Sidecar {
    client: Client,
    state: StateClient,
    schedules: Schedules,
    publisher: Publisher,
    sends: InFlight,
    shared: Arc<SharedState>,
    secret_store: String,
    /// The largest message that the sidecar accepts.
    max_message: u64,
    watch: Watch,
    shutdown: CancellationToken,
}

impl Sidecar {
    /// Nothing is sent before [`Backend::start`] or the first request. What is recorded of timers is a part of `memory`.
    pub fn new(
        manifest: &Manifest,
        options: SidecarOptions,
        memory: &MemoryBudget,
    ) -> Result<Sidecar, EndpointError> {
        let (client, epoch) =
            connection::client(&options.grpc, options.api_token.as_ref().map(|token| token.expose_secret()))?;
        let known = SidecarStatus::default();
        let reminders = Reminders::new(client.clone(), options.http.clone(), options.api_token.clone())?;
        let timers = Timers::new(manifest, memory.clone());
        let shared = SharedState::new(client.clone(), manifest.dapr.state_store.clone());
        Ok(Sidecar {
            state: StateClient::new(client.clone(), known.clone()),
            schedules: Schedules::new(client.clone(), epoch.clone(), known.clone(), reminders, timers),
            publisher: Publisher::new(client.clone()),
            sends: InFlight::default(),
            shared: Arc::new(shared),
            secret_store: manifest.dapr.secret_store.clone(),
            max_message: manifest.dapr.max_body_size.as_u64(),
            watch: Watch {
                client: client.clone(),
                epoch,
                known,
                required: Arc::new(ComponentNames::of(manifest)),
                address: options.grpc,
                restarts: options.restarts,
            },
            shutdown: CancellationToken::new(),
            client,
        })
    }

    /// Calls actors through this sidecar.
    pub fn invoker(&self) -> Invoker {
        Invoker::new(self.client.clone(), self.watch.known.clone())
    }

    async fn call_binding(
        &self,
        request: &BindingRequest,
        traceparent: Option<&str>,
    ) -> Result<BindingResponse, Error> {
        if !self.watch.known.answers() {
            let reason = format!("binding {:?}: the Dapr sidecar does not answer", request.name);
            return Err(Error::NotApplied(reason));
        }
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
}

/// The request to a binding with the identity of the effect in its metadata, unless the agent has given one. The HTTP
/// binding makes a header of it, and Kafka's another (`bindings/http/http.go` and `common/component/kafka/producer.go`
/// of components-contrib); others ignore what they do not know.
fn with_identity(request: &BindingRequest, id: &str) -> BindingRequest {
    let mut request = request.clone();
    if !request.metadata.keys().any(|name| name.eq_ignore_ascii_case(IDENTITY)) {
        request.metadata.insert(IDENTITY.to_owned(), id.to_owned());
    }
    request
}

/// The event of an effect, if it is one.
fn event(effect: &Effect) -> Option<OutgoingEvent> {
    match &effect.request {
        EffectRequest::Publish { event, .. } => Some(OutgoingEvent {
            id: Some(effect.id.clone()),
            data: event.clone(),
            traceparent: effect.traceparent.clone(),
        }),
        EffectRequest::Send(_) => None,
    }
}

#[async_trait]
impl StateStore for Sidecar {
    async fn read_state(
        &self,
        actor: &ActorAddress,
        keys: &[String],
    ) -> Result<Vec<Option<StateValue>>, Error> {
        self.state.read(actor, keys).await
    }

    /// The state is written in one transaction. The scheduler's data cannot be part of it, so new reminders and timers
    /// are written before it, and removals after it: a failure in between leaves one too many, never one too few. A one-shot
    /// reminder whose firing this was may end only then, too.
    ///
    /// The scheduler does not ask who owns the actor. A host that stood still after the write may have lost it, and what it
    /// would remove may be its next host's. So nothing is removed in another ownership epoch: the outcome is in doubt, and
    /// the actor's next turn resolves it.
    async fn commit(&self, actor: &ActorAddress, commit: &TurnCommit) -> Result<(), Error> {
        self.schedules.begin(actor, commit);
        self.schedules.register_all(actor, commit).await?;
        let epoch = self.watch.epoch.now();
        self.state.save(actor, &commit.writes).await?;
        for (key, registration) in &commit.wakeups {
            if registration.is_some() {
                continue;
            }
            if self.watch.epoch.now() != epoch {
                let reason =
                    format!("{:?} was not unregistered: the actor may be active elsewhere", key.name);
                return Err(Error::Unavailable(reason));
            }
            self.schedules.remove_after_commit(actor, key).await?;
        }
        if commit.ends_timers {
            self.schedules.end_timers(actor).await?;
        }
        self.schedules.end_once(actor, commit).await;
        Ok(())
    }

    /// A transaction is one message, with the actor's type and id.
    fn max_commit_bytes(&self) -> Option<u64> {
        Some(self.max_message.saturating_sub(MAX_ADDRESS))
    }

    fn commit_limit_name(&self) -> &'static str {
        "max-body-size of [dapr]"
    }
}

#[async_trait]
impl EffectDelivery for Sidecar {
    async fn deliver(&self, _actor: &ActorAddress, effects: &[&Effect]) -> Vec<Tried> {
        let Some(first) = effects.first() else { return Vec::new() };
        match &first.request {
            EffectRequest::Publish { pubsub, topic, .. } => {
                let topic = (pubsub.clone(), topic.clone());
                let events = effects.iter().filter_map(|effect| event(effect)).collect();
                self.publisher.publish(topic, events).await.into_iter().map(Tried::from).collect()
            }
            EffectRequest::Send(request) => {
                let places = self.sends.of(&request.name);
                let _permit = places.take().await;
                let request = with_identity(request, &first.id);
                let sent = self.call_binding(&request, first.traceparent.as_deref()).await;
                vec![sent.map(drop).map_err(texts::refused_for_good).into()]
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
            ) => pubsub == next_pubsub && topic == next_topic && self.watch.known.keeps_order(pubsub),
            _ => false,
        }
    }

    async fn publish(&self, topic: &Topic, event: Bytes) -> Result<(), Error> {
        let topic = (topic.pubsub.clone(), topic.topic.clone());
        self.publisher.publish_one(&topic, &OutgoingEvent { id: None, data: event, traceparent: None }).await
    }
}

#[async_trait]
impl Bindings for Sidecar {
    async fn invoke_binding(
        &self,
        _actor: &ActorAddress,
        request: &BindingRequest,
        context: &CallContext,
    ) -> Result<BindingResponse, Error> {
        self.call_binding(request, context.traceparent.as_deref()).await
    }
}

#[async_trait]
impl Wakeups for Sidecar {
    async fn wakeup(&self, actor: &ActorAddress, key: &WakeupKey) -> Result<Option<Registration>, Error> {
        self.schedules.registration(actor, key).await
    }

    async fn reminder_failed(&self, actor: &ActorAddress, name: &str) {
        if !self.watch.known.repeats_reminders() {
            self.schedules.keep(actor, name).await;
        }
    }

    fn lacks_effect_reminder(&self, actor: &ActorAddress) -> bool {
        self.schedules.lacks_effect_reminder(actor)
    }
}

#[async_trait]
impl Secrets for Sidecar {
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
}

#[async_trait]
impl Ownership for Sidecar {
    async fn confirm_ownership(&self, actor: &ActorAddress) -> Result<(), Error> {
        self.state.confirm_ownership(actor).await
    }

    fn epoch(&self) -> u64 {
        self.watch.epoch.now()
    }

    fn is_lease_valid(&self, epoch: u64) -> bool {
        self.watch.known.is_lease_valid(epoch, self.watch.epoch.milliseconds())
    }

    /// Two sidecars may host an actor for a moment, and neither compares a value when it commits: the gRPC API takes no
    /// etag. The HTTP API takes one, but reads report none. And with Redis a write whose etag does not match fails alone,
    /// while the rest of the transaction stays (`Multi` in `state/redis/redis.go`). What the previous host had sent by
    /// then is applied or refused within the timeout.
    fn overlap(&self) -> Duration {
        STORE_TIMEOUT
    }
}

#[async_trait]
impl Backend for Sidecar {
    /// What the sidecar has for this host arrives as requests.
    fn start(&self, _inbound: Arc<dyn Inbound>) {
        let watch = self.watch.clone();
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            let following = task::lasting("sidecar", || watch.clone().run());
            shutdown.run_until_cancelled(following).await;
        });
    }

    fn readiness(&self) -> Readiness {
        if self.watch.known.hosts_actors() {
            Readiness::Ready
        } else {
            Readiness::Waiting("the Dapr sidecar is not ready to host actors")
        }
    }

    fn shared(&self) -> Option<Arc<dyn SharedStore>> {
        Some(self.shared.clone())
    }

    /// The sidecar sees that the host is unhealthy, stops its subscriptions and bindings, and gives up its actors.
    async fn leave(&self, timeout: Duration) {
        let given_up = watch::until_actors_are_given_up(&self.client);
        tokio::time::timeout(timeout, given_up).await.ok();
    }

    async fn shut_down(&self) {
        self.shutdown.cancel();
    }
}

#[cfg(test)]
mod tests;
