//! The configuration of a test's host, and its construction from the same parts as `daca run`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daca_base::clock::{moved::Machine, unix_ms};
use daca_embedded::Embedded;
use daca_manifest::Manifest;
use daca_model::backend::{Backend, Outbox};
use daca_model::{HostPhase, LifecycleWriter};
use daca_routing::CallRouter;
use daca_runtime::actor::{Actors, ActorsOptions, Deliveries, DeliveryOptions, HostServices};
use daca_runtime::component::{CompileIn, Engine, EngineOptions};
use daca_runtime::scheduler::GuestScheduler;
use daca_server::Subscriptions;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::host::{EffectParts, HostParts};
use crate::inbound::Local;
use crate::manifest::{Addition, ManifestSource};
use crate::recorder::Recorder;
use crate::{BindingAnswer, Host, Permit, StartError, component, deploy, manifest, routes};

/// Live instances at the same time, over all actors of a test. Further actors take the place of idle ones.
const LIVE_INSTANCES: usize = 64;
/// The wait before a subscription gets an event again, in real time. A longer one would only slow tests down.
const EVENT_RETRY_DELAY: Duration = Duration::from_millis(1);
/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The clock of a host shows 2026-01-01, unless the test says otherwise: the same in each run.
const FIRST_DAY: Duration = Duration::from_secs(1_767_225_600);

/// Configures a host. [`Host::embedded`] creates it, and [`HostBuilder::start`] starts the host.
///
/// Relative paths are looked for in the current folder, which is that of the test's package, and in those above it. So
/// `target/…` is found from every package of a workspace.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before .start()"]
pub struct HostBuilder {
    source: ManifestSource,
    additions: Vec<Addition>,
    /// The component paths that the test gives, by agent type.
    components: BTreeMap<String, PathBuf>,
    secrets: BTreeMap<String, String>,
    answers: BTreeMap<String, BindingAnswer>,
    time: SystemTime,
    timeout: Duration,
}

impl Host {
    /// A host on the embedded backend, of which the test says the rest.
    pub fn embedded() -> HostBuilder {
        HostBuilder::new()
    }
}

impl HostBuilder {
    fn new() -> HostBuilder {
        HostBuilder {
            source: ManifestSource::default(),
            additions: Vec::new(),
            components: BTreeMap::new(),
            secrets: BTreeMap::new(),
            answers: BTreeMap::new(),
            time: UNIX_EPOCH + FIRST_DAY,
            timeout: TIMEOUT,
        }
    }

    /// Starts from a manifest file. Paths in it are relative to its folder.
    pub fn manifest(mut self, path: impl AsRef<Path>) -> HostBuilder {
        self.source = ManifestSource::File(path.as_ref().to_owned());
        self
    }

    /// Starts from the text of a manifest.
    pub fn manifest_text(mut self, text: impl Into<String>) -> HostBuilder {
        self.source = ManifestSource::Text(text.into());
        self
    }

    /// Adds an agent type, or replaces the component of one in the manifest.
    pub fn agent(mut self, agent_type: &str, component: impl AsRef<Path>) -> HostBuilder {
        self.additions.push(Addition::component(agent_type, component.as_ref()));
        self.components.insert(agent_type.to_owned(), component.as_ref().to_owned());
        self
    }

    /// Gives an agent type a setting.
    pub fn setting(mut self, agent_type: &str, key: &str, value: &str) -> HostBuilder {
        self.additions.push(Addition::setting(agent_type, key, value));
        self
    }

    /// Gives an agent type a permission. Everything else is denied, as on every host.
    pub fn permit(mut self, agent_type: &str, permit: Permit<'_>) -> HostBuilder {
        self.additions.push(Addition::permission(agent_type, permit));
        self
    }

    /// Adds a secret to the store. Agents with the permission to read it find its value under a key of the same name.
    pub fn secret(mut self, name: &str, value: &str) -> HostBuilder {
        self.secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the answer of a binding, or of one of its operations (`BINDING/OPERATION`), as [`Host::answer_binding`] does. The
    /// default is the manifest's `[embedded.binding-responses]`, or an empty answer.
    pub fn binding_response(mut self, binding: &str, answer: impl Into<BindingAnswer>) -> HostBuilder {
        self.answers.insert(binding.to_owned(), answer.into());
        self
    }

    /// Sets the time that the clock shows at first.
    pub fn starting_at(mut self, time: SystemTime) -> HostBuilder {
        self.time = time;
        self
    }

    /// Sets the timeout of each step of the test, in real time. The default is a minute.
    pub fn timeout(mut self, timeout: Duration) -> HostBuilder {
        self.timeout = timeout;
        self
    }

    /// Starts the host. Its state is in a temporary folder, which is removed with the host.
    ///
    /// # Errors
    ///
    /// An unusable manifest or component. [`StartError::ComponentMissing`] names the command that builds a missing component.
    pub async fn start(self) -> Result<Host, StartError> {
        let timeout = self.timeout;
        let started = tokio::time::timeout(timeout, Box::pin(self.started())).await;
        started.unwrap_or(Err(StartError::TimedOut(timeout)))
    }

    async fn started(self) -> Result<Host, StartError> {
        let mut manifest = manifest::read(&self.source, &self.additions)?;
        let retries = retries(&mut manifest);
        locate(&mut manifest, &self.components)?;
        let folder = TempDir::new().map_err(StartError::Folder)?;
        let clock = Machine::at(unix_ms(self.time));
        let outbox = Arc::new(Outbox::default());
        let embedded = Embedded::open_with(&manifest, folder.path(), outbox.clone(), clock.clock())?;
        let backend = Arc::new(Recorder::new(embedded, self.secrets, self.answers));
        let engine = engine(&manifest)?;
        let opened = deploy::open(&engine, &manifest, folder.path()).await?;
        let deliveries = Deliveries::new(backend.clone(), outbox.clone(), retries);
        let (lifecycle, inbound) = (LifecycleWriter::starting(), Arc::new(Local::default()));
        let services = HostServices {
            engine: engine.clone(),
            guests: GuestScheduler::on_runtime(),
            backend: backend.clone(),
            calls: inbound.clone(),
            deliveries: deliveries.clone(),
            lifecycle: lifecycle.reader(),
        };
        let limits = ActorsOptions {
            max_turns_in_flight: manifest.host.max_turns_in_flight,
            max_live_instances: LIVE_INSTANCES,
            max_active_actors: manifest.host.max_active_actors,
            max_log_rate: usize::try_from(manifest.host.max_log_rate.as_u64()).unwrap_or(usize::MAX),
        };
        let actors = Actors::new(services, deploy::runtimes(&manifest, &opened), limits);
        let deployer =
            deploy::start(engine, &manifest, folder.path(), actors.clone(), lifecycle.reader(), opened)
                .await?;
        let calls = CallRouter::alone();
        calls.serve(actors.clone());
        let subscriptions = Subscriptions::new(&manifest.subscriptions, actors.clone(), calls.clone());
        let router = routes::router(
            &manifest,
            routes::Served {
                subscriptions: subscriptions.clone(),
                actors: actors.clone(),
                calls: calls.clone(),
                deployer: deployer.clone(),
                lifecycle: lifecycle.reader(),
            },
        );
        inbound.serve(actors.clone(), calls, subscriptions);
        backend.start(inbound.clone());
        lifecycle.enter(HostPhase::Serving);
        Ok(Host::of(HostParts {
            clock,
            backend,
            effects: EffectParts { outbox, deliveries },
            _kept: (run_effect_turns(&actors), folder),
            actors,
            deployer,
            router,
            inbound,
            lifecycle,
            timeout: self.timeout,
        }))
    }
}

/// Compiles in this process: a test is not the program `daca`, which starts itself as a compiler.
fn engine(manifest: &Manifest) -> Result<Engine, StartError> {
    let memories = manifest.agents.values().map(|agent| agent.limits.memory);
    Ok(Engine::new(&EngineOptions {
        max_live_instances: LIVE_INSTANCES,
        largest_memory: memories.max().unwrap_or_default(),
        code_cache: None,
        precompiled: None,
        compile_in: CompileIn::ThisProcess,
        for_any_processor: false,
    })?)
}

/// Effects are tried again as the manifest says, by the host's clock; what a subscription gets again, in real time.
fn retries(manifest: &mut Manifest) -> DeliveryOptions {
    let options = DeliveryOptions::of(manifest);
    manifest.host.effect_retry_delay = EVENT_RETRY_DELAY;
    options
}

/// Makes dead letters of effects that fail, tells their agents, and removes what has left, as long as the set lives.
fn run_effect_turns(actors: &Actors) -> JoinSet<()> {
    let (mut tasks, actors) = (JoinSet::new(), actors.clone());
    tasks.spawn(async move { actors.run_effect_turns().await });
    tasks
}

/// Finds the components' files.
fn locate(manifest: &mut Manifest, components: &BTreeMap<String, PathBuf>) -> Result<(), StartError> {
    for agent in manifest.agents.values_mut() {
        let file = component::locate(agent, components.get(&*agent.name).map(PathBuf::as_path))?;
        // It was made just now, and nobody else has it.
        if let Some(agent) = Arc::get_mut(agent) {
            agent.component.path = file;
        }
    }
    Ok(())
}
