//! The parts of a host that a turn needs, built as the host builds them, on a backend in memory.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use daca_manifest::{AgentType, Manifest};
use daca_model::TurnKind;
use daca_model::backend::{Outbox, TurnCommit};
use daca_model::{ActorAddress, CallContext, LifecycleWriter};
use daca_runtime::actor::{
    Actors, ActorsOptions, AgentRuntime, Deliveries, DeliveryOptions, HostServices, RetryPolicy,
};
use daca_runtime::component::{
    ActiveRollout, CompileIn, Compiling, ComponentVersion, Counters, Engine, EngineOptions, Instance,
    InstancePlace, LoadedVersion, Outcome, ParsedScript, TrafficSplit,
};
use daca_runtime::imports::{KnownState, ScopeOptions, StateCache, TurnScope, TurnUse};
use daca_runtime::scheduler::GuestScheduler;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::memory::Memory;

/// The agent type.
pub(crate) const AGENT: &str = "ChatAgent";
/// Its component in the default manifest.
const COMPONENT: &str = "\"target/wasm32-wasip2/guest/chat_agent.wasm\"";
const TURN_TIME: Duration = Duration::from_secs(30);

/// An engine with the ChatAgent compiled.
pub(crate) struct Parts {
    pub(crate) options: EngineOptions,
    engine: Engine,
    version: Arc<ComponentVersion>,
    agent: Arc<AgentType>,
    backend: Arc<Memory>,
    places: Arc<Semaphore>,
}

/// Live instances that are enough for a few actors, and few enough for valgrind's address space.
pub(crate) const FEW: usize = 64;

/// An actor with a live instance.
pub(crate) struct LiveActor {
    instance: Instance,
    /// Dropped after the instance.
    _place: OwnedSemaphorePermit,
    cache: StateCache,
    address: ActorAddress,
}

impl Parts {
    /// Compiles the component. So many instances may be live at the same time.
    pub(crate) async fn new(component: &Path, instances: usize) -> anyhow::Result<Parts> {
        let agent = agent_of(manifest(component)?)?;
        let options = engine_options(&agent, instances);
        let engine = Engine::new(&options)?;
        Parts::with(agent, options, engine, component).await
    }

    /// The same for a ChatAgent in any language, or as a script, with [`FEW`] live instances. Their memories are mapped if it
    /// has at least so many bytes of data.
    pub(crate) async fn mapping_from(bytes: u64, component: &Path) -> anyhow::Result<Parts> {
        let agent = agent_of(manifest_with(component, "limits = { memory = \"64MiB\" }")?)?;
        let options = engine_options(&agent, FEW);
        let engine = Engine::new(&options)?.mapping_from(bytes);
        Parts::with(agent, options, engine, component).await
    }

    async fn with(
        agent: Arc<AgentType>,
        options: EngineOptions,
        engine: Engine,
        component: &Path,
    ) -> anyhow::Result<Parts> {
        let version = Arc::new(load(&engine, &agent, component).await?);
        let places = Arc::new(Semaphore::new(options.max_live_instances));
        Ok(Parts { options, engine, version, agent, backend: Arc::new(Memory::default()), places })
    }

    /// A new instance for an actor, not yet activated.
    pub(crate) async fn live(&self, id: &str) -> anyhow::Result<LiveActor> {
        let place = self.places.clone().acquire_owned().await?;
        let instance = Instance::new(&self.engine, &self.version, InstancePlace::uncounted());
        Ok(LiveActor { instance, _place: place, cache: StateCache::default(), address: address(id)? })
    }

    /// One message in a live instance, up to its commit, which goes into the cache alone.
    pub(crate) async fn turn(
        &self,
        actor: &mut LiveActor,
        message: Bytes,
    ) -> anyhow::Result<(Bytes, TurnCommit)> {
        let scope = TurnScope::new(self.scope(actor), None, false);
        let kind = TurnKind::Method { name: "ProcessMessage".to_owned(), payload: message };
        let (outcome, products) =
            actor.instance.run(Box::new(scope), &kind, Instant::now() + TURN_TIME).await;
        let Outcome::Reply(reply) = outcome else { bail!("the turn had no reply") };
        actor.cache = products.cache;
        actor.cache.apply(products.commit.writes.clone(), SystemTime::now());
        Ok((reply, products.commit))
    }

    fn scope(&self, actor: &mut LiveActor) -> ScopeOptions {
        ScopeOptions {
            actor: actor.address.clone(),
            agent: self.agent.clone(),
            handlers: self.version.wakeup_handlers(),
            backend: self.backend.clone(),
            calls: self.backend.clone(),
            turn_id: Arc::from("turn"),
            context: CallContext::default(),
            known: KnownState { cache: std::mem::take(&mut actor.cache), ..KnownState::default() },
            migrate_from: None,
            counted: TurnUse::default(),
        }
    }

    /// The threads on which a host runs its guests. Called within a runtime.
    pub(crate) fn guest_threads(&self) -> anyhow::Result<GuestScheduler> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(GuestScheduler::start(threads, 0, &self.engine, std::iter::once(&self.agent))?)
    }

    /// All actors, as a host has them, whose guests run there.
    pub(crate) fn actors(&self, guests: GuestScheduler) -> Actors {
        let loaded = LoadedVersion {
            version: self.version.clone(),
            label: Arc::from("bench"),
            counters: Arc::new(Counters::default()),
        };
        let split = TrafficSplit {
            serving: Arc::new(loaded),
            canary: None,
            pins: BTreeMap::new(),
            first_label: None,
        };
        let runtime = AgentRuntime::new(self.agent.clone(), Arc::new(ActiveRollout::new(split, true)));
        let deliveries = Deliveries::new(
            self.backend.clone(),
            Arc::new(Outbox::default()),
            DeliveryOptions {
                policies: HashMap::new(),
                policy: RetryPolicy::attempts(1, Duration::from_millis(1)),
                weights: Default::default(),
                max_pending: 10_000,
                max_pending_bytes: 256 << 20,
            },
        );
        let options = ActorsOptions {
            max_turns_in_flight: 1_000,
            max_live_instances: FEW,
            max_active_actors: 1_000,
            max_log_rate: 1_000_000,
        };
        let host = HostServices {
            engine: self.engine.clone(),
            guests,
            backend: self.backend.clone(),
            calls: self.backend.clone(),
            deliveries,
            lifecycle: LifecycleWriter::starting().reader(),
        };
        Actors::new(host, vec![runtime], options)
    }
}

fn engine_options(agent: &AgentType, instances: usize) -> EngineOptions {
    EngineOptions {
        max_live_instances: instances,
        largest_memory: agent.limits.memory,
        code_cache: None,
        precompiled: None,
        compile_in: CompileIn::ThisProcess,
        for_any_processor: false,
    }
}

/// Compiles a component, or the engine of scripts for a script.
async fn load(engine: &Engine, agent: &Arc<AgentType>, file: &Path) -> anyhow::Result<ComponentVersion> {
    let name = file.display().to_string();
    let bytes = std::fs::read(file).with_context(|| format!("reading {name}"))?;
    if bytes.starts_with(b"\0asm") {
        return Ok(ComponentVersion::from_bytes(engine, &name, bytes.into(), Compiling::Starting).await?);
    }
    let script = ParsedScript::parse(engine, &name, None, bytes.into(), Compiling::Starting).await?;
    let outcome = script.evaluate(agent).await;
    Ok(script.described(outcome)?)
}

/// The ChatAgent of the default manifest, which names another place for its component.
pub(crate) fn manifest(component: &Path) -> anyhow::Result<Manifest> {
    manifest_with(component, "")
}

/// The same with further lines in the agent's table.
fn manifest_with(component: &Path, more: &str) -> anyhow::Result<Manifest> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("agents.toml");
    let component = component.canonicalize().with_context(|| component.display().to_string())?;
    let component = component.to_str().context("the component's path is in UTF-8")?;
    let text = include_str!("../../../agents.toml").replace(COMPONENT, &format!("{component:?}\n{more}"));
    std::fs::write(&path, text)?;
    Ok(Manifest::load(&path)?)
}

fn agent_of(manifest: Manifest) -> anyhow::Result<Arc<AgentType>> {
    manifest.agents.get(AGENT).cloned().context("the default manifest has the ChatAgent")
}

/// The address of a ChatAgent.
pub(crate) fn address(id: &str) -> anyhow::Result<ActorAddress> {
    Ok(ActorAddress::new(AGENT, id)?)
}
