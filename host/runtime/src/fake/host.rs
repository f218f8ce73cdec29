//! A host for unit tests: the real actors and the real engine, with one agent type, over the fake backend.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daca_base::memory::MemoryBudget;
use daca_base::shares::Weights;
use daca_manifest::Manifest;
use daca_model::backend::ActorCall;
use daca_model::{ActorAddress, CallContext, HostPhase, LifecycleWriter};
use tokio::time::Instant;

use super::FakeBackend;
use crate::actor::{
    Actors, ActorsOptions, AgentRuntime, Deliveries, DeliveryOptions, HostServices, RetryPolicy,
};
use crate::component::{
    ActiveRollout, Compiling, ComponentVersion, Engine, EngineOptions, LoadedVersion, TrafficSplit,
};
use crate::scheduler::GuestScheduler;

/// The time after which an idle actor is deactivated.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The agent type. Two calls wait for an actor at most, and a reply has at most 16 bytes.
const MANIFEST: &str = r#"
[agents.A]
component = "agent.wat"
idle-timeout = "60s"
reentrancy = {}

[agents.A.permissions]
publish = ["p/t"]

[agents.A.limits]
queue = 2
reply = "16B"
"#;

/// The host. The methods of its agent are in `agent.wat`.
pub(crate) struct FakeHost {
    pub(crate) actors: Actors,
    pub(crate) backend: Arc<FakeBackend>,
    engine: Engine,
    rollout: Arc<ActiveRollout>,
    deliveries: Deliveries,
}

/// An actor of the agent type.
pub(crate) fn actor(id: &str) -> ActorAddress {
    ActorAddress::new("A", id).expect("an address")
}

/// The reply of a call.
pub(crate) fn ok(reply: &str) -> Result<String, String> {
    Ok(reply.to_owned())
}

/// The code of a call that failed.
pub(crate) fn code(code: &str) -> Result<String, String> {
    Err(code.to_owned())
}

impl FakeHost {
    /// Starts with version `1`. An effect has one attempt.
    pub(crate) async fn start(backend: Arc<FakeBackend>) -> FakeHost {
        FakeHost::retrying(backend, RetryPolicy::attempts(1, Duration::ZERO)).await
    }

    /// The same with other retries of effects.
    pub(crate) async fn retrying(backend: Arc<FakeBackend>, policy: RetryPolicy) -> FakeHost {
        FakeHost::with(backend, policy, MemoryBudget::unlimited()).await
    }

    /// The same within a budget of memory.
    pub(crate) async fn within(backend: Arc<FakeBackend>, memory: MemoryBudget) -> FakeHost {
        FakeHost::with(backend, RetryPolicy::attempts(1, Duration::ZERO), memory).await
    }

    async fn with(backend: Arc<FakeBackend>, policy: RetryPolicy, memory: MemoryBudget) -> FakeHost {
        let engine = Engine::new(&EngineOptions::of_tests()).expect("an engine").within(memory);
        let manifest = Manifest::parse(Path::new("agents.toml"), MANIFEST).expect("a manifest");
        let agent = manifest.agents.get("A").expect("the agent type").clone();
        let rollout = Arc::new(ActiveRollout::new(compile(&engine, "1").await, true));
        let options = DeliveryOptions {
            policies: HashMap::new(),
            policy,
            weights: Weights::default(),
            max_pending: 1_000,
            max_pending_bytes: 1_000_000,
        };
        let deliveries = Deliveries::new(backend.clone(), Arc::default(), options);
        let options = ActorsOptions {
            max_turns_in_flight: 100,
            max_live_instances: 8,
            max_active_actors: 100,
            max_log_rate: 1_000_000,
        };
        let agents = vec![AgentRuntime::new(agent, rollout.clone())];
        let lifecycle = LifecycleWriter::starting();
        lifecycle.enter(HostPhase::Serving);
        let services = HostServices {
            engine: engine.clone(),
            guests: GuestScheduler::on_runtime(),
            backend: backend.clone(),
            calls: backend.clone(),
            deliveries: deliveries.clone(),
            lifecycle: lifecycle.reader(),
        };
        let actors = Actors::new(services, agents, options);
        FakeHost { actors, backend, engine, rollout, deliveries }
    }

    /// Calls a method of an actor. Returns the reply, or the code of the error.
    pub(crate) async fn call(&self, id: &str, method: &str, payload: &str) -> Result<String, String> {
        self.call_as(id, method, payload, CallContext::default()).await
    }

    /// The same in a context.
    pub(crate) async fn call_as(
        &self,
        id: &str,
        method: &str,
        payload: &str,
        context: CallContext,
    ) -> Result<String, String> {
        let payload = payload.to_owned().into();
        let call = ActorCall { actor: actor(id), method: method.to_owned(), payload };
        match self.actors.call_here(call, context).await {
            Ok(reply) => Ok(String::from_utf8_lossy(&reply).into_owned()),
            Err(error) => Err(error.code().to_string()),
        }
    }

    /// Compiles a version of the agent, which then serves all actors.
    pub(crate) async fn compile(&self, version: &str) -> TrafficSplit {
        compile(&self.engine, version).await
    }

    /// Swaps the version.
    pub(crate) fn serve(&self, split: TrafficSplit) {
        self.rollout.replace(split);
    }

    /// The events that were delivered, once none waits any more.
    pub(crate) async fn delivered(&self) -> Vec<String> {
        let waiting = self.deliveries.flush(Instant::now() + Duration::from_secs(60)).await;
        assert_eq!(waiting, 0, "{:?}", self.backend.tried());
        self.backend.tried()
    }

    /// The number of live instances.
    pub(crate) fn instances(&self) -> usize {
        self.actors.live_instances().0
    }
}

async fn compile(engine: &Engine, version: &str) -> TrafficSplit {
    let text = include_str!("agent.wat").replace("VERSION", version);
    let wasm = wat::parse_str(text).expect("a component in text form");
    let component = ComponentVersion::from_bytes(engine, "agent.wat", wasm.into(), Compiling::Serving).await;
    let component = Arc::new(component.expect("a component that can serve"));
    let loaded = LoadedVersion { version: component, label: version.into(), counters: Arc::default() };
    TrafficSplit { serving: Arc::new(loaded), canary: None, pins: BTreeMap::new(), first_label: None }
}
