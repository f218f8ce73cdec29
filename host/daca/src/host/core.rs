//! The parts of a host behind its ports, created in the order in which they need each other.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytesize::ByteSize;
use daca_base::ErrorCode;
use daca_base::explanation::rendered;
use daca_base::files::create_private_folder;
use daca_base::memory::MemoryBudget;
use daca_dapr::Sidecar;
use daca_deploy::{AgentTypeStart, Deployer, DeployerOptions};
use daca_embedded::Embedded;
use daca_manifest::{self as manifest, Manifest};
use daca_model::Lifecycle;
use daca_model::backend::{Backend, Outbox};
use daca_routing::CallRouter;
use daca_runtime::actor::{
    self, Actors, ActorsOptions, AgentRuntime, Deliveries, DeliveryOptions, HostServices,
};
use daca_runtime::component::{self, CompileIn, Engine, EngineError, EngineOptions};
use daca_runtime::scheduler::GuestScheduler;
use daca_server::Subscriptions;

use tokio::net::TcpListener;

use crate::Failure;

use super::error::Error;
use super::listen::listen;
use super::options::{BackendOptions, Options};

/// What the ports serve.
pub(super) struct Core {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) router: CallRouter,
    pub(super) actors: Actors,
    pub(super) deliveries: Deliveries,
    pub(super) deployer: Deployer,
    pub(super) subscriptions: Subscriptions,
    pub(super) outbox: Arc<Outbox>,
    _data_lock: Option<File>,
}

impl Core {
    /// Opens the backend, loads what serves, and then listens on the application's port, whose address names this host to the
    /// others of its app.
    pub(super) async fn open(
        options: &Options,
        manifest: &Manifest,
        lifecycle: Lifecycle,
    ) -> Result<(Core, TcpListener), Failure> {
        let limits = &manifest.host;
        if let Some(error) = daca_deploy::check_versions_folder(&manifest.deploy)? {
            tracing::warn!(code = error.code.as_str(), "{}", error.message);
        }
        let outbox = Arc::new(Outbox::default());
        let memory = MemoryBudget::new(limits.memory(), &manifest.weights());
        tracing::debug!("the budget of memory is {}", ByteSize(memory.limit()));
        let Outside { backend, router, data_lock } = open_backend(options, manifest, &outbox, &memory)?;
        let max_live_instances = live_instances(limits);
        let engine = open_engine(options, manifest, max_live_instances)?.within(memory);
        let starts = open_types(&engine, manifest, &options.data, &*backend).await;
        if starts.is_err() {
            // `daca dev` starts again, and opens the same files.
            backend.shut_down().await;
        }
        let starts = starts?;
        let deliveries = Deliveries::new(backend.clone(), outbox.clone(), DeliveryOptions::of(manifest));
        let services = HostServices {
            guests: guest_threads(&engine, manifest)?,
            engine: engine.clone(),
            backend: backend.clone(),
            calls: Arc::new(router.clone()),
            deliveries: deliveries.clone(),
            lifecycle: lifecycle.clone(),
        };
        let actors_options = ActorsOptions {
            max_turns_in_flight: limits.max_turns_in_flight,
            max_live_instances,
            max_active_actors: limits.max_active_actors,
            max_log_rate: usize::try_from(limits.max_log_rate.as_u64()).unwrap_or(usize::MAX),
        };
        let actors = Actors::new(services, agent_runtimes(manifest, &starts), actors_options);
        let listener = listen(options.listen, "--listen")?;
        let address = listener.local_addr().unwrap_or(options.listen);
        let deployer_options = DeployerOptions {
            engine,
            rules: manifest.deploy.clone(),
            data: &options.data,
            actors: actors.clone(),
            shared: backend.shared(),
            host_name: host_name(address),
            lifecycle,
        };
        let deployer = Deployer::start(deployer_options, starts).await?;
        let subscriptions = Subscriptions::new(&manifest.subscriptions, actors.clone(), router.clone());
        let _data_lock = data_lock;
        let core = Core { backend, router, actors, deliveries, deployer, subscriptions, outbox, _data_lock };
        Ok((core, listener))
    }
}

/// The backend, and the way to the actors that it implies.
struct Outside {
    backend: Arc<dyn Backend>,
    router: CallRouter,
    data_lock: Option<File>,
}

/// Opens the backend, and locks the data folder: two hosts in one folder must not share its code cache either. The
/// embedded backend's state file is such a lock itself.
fn open_backend(
    options: &Options,
    manifest: &Manifest,
    outbox: &Arc<Outbox>,
    memory: &MemoryBudget,
) -> Result<Outside, Failure> {
    match &options.backend {
        BackendOptions::Embedded => {
            let backend = Arc::new(Embedded::open(manifest, &options.data, outbox.clone())?);
            Ok(Outside { backend, router: CallRouter::alone(), data_lock: None })
        }
        BackendOptions::Dapr { sidecar, .. } => {
            let data_lock = Some(lock_data(&options.data)?);
            let sidecar = Sidecar::new(manifest, sidecar.clone(), memory)?;
            let router = CallRouter::behind_sidecar(manifest, sidecar.invoker());
            Ok(Outside { backend: Arc::new(sidecar), router, data_lock })
        }
    }
}

fn lock_data(path: &Path) -> Result<File, Error> {
    let failed = |reason| Error::Data { path: path.to_owned(), reason };
    create_private_folder(path).map_err(failed)?;
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DataInUse(path.to_owned())),
        Err(TryLockError::Error(reason)) => Err(failed(reason)),
    }
}

fn open_engine(
    options: &Options,
    manifest: &Manifest,
    max_live_instances: usize,
) -> Result<Engine, EngineError> {
    Engine::new(&EngineOptions {
        max_live_instances,
        largest_memory: largest_memory(manifest),
        code_cache: Some(options.data.join("code")),
        precompiled: options.compiled.clone(),
        compile_in: CompileIn::OwnProcess(manifest.deploy.compiling),
        for_any_processor: false,
    })
}

/// As many threads as processors, beside those that serve.
fn guest_threads(engine: &Engine, manifest: &Manifest) -> Result<GuestScheduler, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    GuestScheduler::start(threads, manifest.host.guest_nice, engine, manifest.agents.values())
        .map_err(|error| Failure::at("starting the threads on which guests run", &error))
}

fn live_instances(limits: &manifest::HostLimits) -> usize {
    let allowed = component::most_live_instances(component::map_count_limit());
    match limits.max_live_instances {
        Some(wanted) if wanted > allowed => {
            tracing::warn!(
                code = ErrorCode::LiveInstancesCapped.as_str(),
                "max-live-instances is {wanted}, and vm.max_map_count allows {allowed}: using {allowed}"
            );
            allowed
        }
        Some(wanted) => wanted.max(1),
        None => allowed.min(actor::DEFAULT_LIVE_INSTANCES),
    }
}

/// The largest memory limit of a manifest's agent types, for the engine.
pub fn largest_memory(manifest: &Manifest) -> ByteSize {
    manifest.agents.values().map(|agent| agent.limits.memory).max().unwrap_or_default()
}

fn agent_runtimes(manifest: &Manifest, starts: &[AgentTypeStart]) -> Vec<AgentRuntime> {
    let agents = manifest.agents.values().zip(starts);
    agents.map(|(agent, start)| AgentRuntime::new(agent.clone(), start.active().clone())).collect()
}

/// Determines the serving version of each agent type, and loads it.
async fn open_types(
    engine: &Engine,
    manifest: &Manifest,
    data: &Path,
    backend: &dyn Backend,
) -> Result<Vec<AgentTypeStart>, Error> {
    let mut starts = Vec::new();
    for agent in manifest.agents.values() {
        let open = AgentTypeStart::open(engine, &manifest.deploy, data, agent, backend.shared()).await;
        starts.push(open.map_err(|reason| Error::Component {
            manifest: manifest.path.display().to_string(),
            line: agent.component.line,
            agent: agent.name.clone(),
            code: reason.code,
            reason: rendered(&reason),
        })?);
    }
    Ok(starts)
}

/// Distinguishes the hosts of an app for people: machine, process and port.
fn host_name(address: SocketAddr) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{machine}:{}", address.port())
}
