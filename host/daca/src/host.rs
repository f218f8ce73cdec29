//! The whole host: creates its parts in the order of their dependencies, and shuts them down in an order that loses
//! nothing.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use bytesize::ByteSize;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use daca_base::files::create_private_folder;
use daca_base::task;
use daca_base::telemetry::{Hidden, Log};
use daca_dapr::{EndpointError, Sidecar, SidecarOptions};
use daca_deploy as deploy;
use daca_deploy::{Deployer, DeployerOptions, Opened};
use daca_embedded::{Embedded, StartError};
use daca_manifest as manifest;
use daca_manifest::Manifest;
use daca_model::LARGEST_COMPONENT;
use daca_model::backend::{ActorCall, Backend, EventOutcome, FiredWakeup, Inbound, Outbox, Readiness};
use daca_model::{ActorAddress, CallContext, CallError};
use daca_runtime::actor::{self, Actors, ActorsOptions, AgentRuntime, Deliveries, DeliveryOptions};
use daca_runtime::component::{CompileIn, Engine, EngineError, EngineOptions};
use daca_server as server;
use daca_server::{
    AdminState, AdminToken, AppOptions, AppToken, Server, ServerOptions, SidecarSide, Subscriptions,
};

/// Concurrent connections to the operator's port.
const ADMIN_CONNECTIONS: usize = 100;
/// The time for their requests to arrive.
const ADMIN_BODY_TIME: Duration = Duration::from_secs(120);

/// The time for the last answers at the end of a shutdown.
const LAST_ANSWERS: Duration = Duration::from_millis(100);
/// The time that actors stay on a draining host because of effects that cannot be delivered, for example because Twilio
/// is unavailable.
const EFFECTS_PATIENCE: Duration = Duration::from_secs(3);
/// The time that a shutdown waits for a sidecar to send its calls elsewhere. It checks the host's health each second.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

/// The options of a host.
#[derive(Clone)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// The address of the application's port.
    pub listen: SocketAddr,
    /// The address of the operator's port. A loopback address, unless there is a token.
    pub admin: SocketAddr,
    /// The token that requests to the operator's port must carry; without one everybody on this machine is admitted.
    pub admin_token: Option<Hidden>,
    /// The folder for state and compiled code.
    pub data: PathBuf,
    /// A folder of code that was compiled ahead of time.
    pub compiled: Option<PathBuf>,
    /// The backend for state, events and calls.
    pub backend: BackendOptions,
    /// The log, whose last lines are available on the operator's port.
    pub log: Log,
}

/// The backend.
#[derive(Debug, Clone)]
pub enum BackendOptions {
    /// This process and one file.
    Embedded,
    /// A Dapr sidecar.
    Dapr {
        /// Its address.
        sidecar: SidecarOptions,
        /// The token of its callbacks (`APP_API_TOKEN`).
        app_token: Option<Hidden>,
    },
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// A component that cannot serve.
    #[error("{manifest}:{line}: agents.{agent}.component\n{reason}")]
    Component {
        /// The manifest.
        manifest: String,
        /// The line that names the component.
        line: usize,
        /// The agent type.
        agent: Arc<str>,
        /// The reason.
        reason: Box<deploy::Error>,
    },
    /// The versions of the agent types could not be opened.
    #[error(transparent)]
    Deploy(#[from] Box<deploy::Error>),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The embedded backend.
    #[error(transparent)]
    Embedded(#[from] StartError),
    /// The sidecar's address.
    #[error(transparent)]
    Sidecar(#[from] EndpointError),
    /// The data folder.
    #[error("error[data-unwritable]: {path}: {reason}\n  help: name a writable folder with --data DIR")]
    Data {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Another running host uses the data folder.
    #[error(
        "error[data-in-use]: {0} is in use by another host\n  help: stop that host, or give this one a folder of its own with --data DIR"
    )]
    DataInUse(PathBuf),
    /// A port.
    #[error(
        "error[listen-failed]: {address}: {reason}\n  help: stop the program that listens there, or choose another address with {option}"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets it.
        option: &'static str,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The operator's port would be open to the network.
    #[error(
        "error[admin-not-loopback]: --admin {0} can be reached from other machines, and without a token the admin API lets anyone call every actor\n  help: set a token with --admin-token-file FILE or DACA_ADMIN_TOKEN, or name a loopback address such as 127.0.0.1:8001"
    )]
    AdminNotLoopback(SocketAddr),
}

/// A listening host, which serves once [`Host::run`] is called.
pub struct Host {
    app: Server,
    admin: Server,
    actors: Actors,
    deployer: Deployer,
    deliveries: Deliveries,
    backend: Arc<dyn Backend>,
    inbound: Arc<Local>,
    is_ready: Arc<AtomicBool>,
    is_alive: Arc<AtomicBool>,
    /// Cancelled when the operator's port is about to close.
    stop_admin: CancellationToken,
    limits: manifest::HostLimits,
    behind_sidecar: bool,
    _data_lock: Option<File>,
}

impl Host {
    /// Creates everything, and listens. Nothing is served and nothing fires yet.
    pub async fn start(options: &Options) -> Result<Host, Error> {
        if options.admin_token.is_none() && !options.admin.ip().is_loopback() {
            return Err(Error::AdminNotLoopback(options.admin));
        }
        let manifest = Manifest::load(&options.manifest)?;
        let limits = manifest.host.clone();
        let outbox = Arc::new(Outbox::default());
        let (backend, data_lock) = open_backend(options, &manifest, &outbox)?;
        let max_live_instances = live_instances(&limits);
        let engine = Engine::new(&EngineOptions {
            max_live_instances,
            largest_memory: largest_memory(&manifest),
            code_cache: Some(options.data.join("code")),
            precompiled: options.compiled.clone(),
            compile_in: CompileIn::OwnProcess(manifest.deploy.compiling),
            for_any_processor: false,
        })?;
        let opened = open_types(&engine, &manifest, &options.data, &*backend).await?;
        let deliveries = Deliveries::new(
            backend.clone(),
            outbox.clone(),
            DeliveryOptions {
                attempts: limits.effect_attempts,
                retry_delay: limits.effect_retry_delay,
                max_pending: limits.max_pending_effects,
                max_pending_bytes: usize::try_from(limits.max_pending_effect_bytes.as_u64())
                    .unwrap_or(usize::MAX),
            },
        );
        let actors = Actors::new(
            engine.clone(),
            backend.clone(),
            deliveries.clone(),
            agent_runtimes(&manifest, &opened),
            ActorsOptions {
                max_turns_in_flight: limits.max_turns_in_flight,
                max_live_instances,
                max_active_actors: limits.max_active_actors,
            },
        );
        let app_listener = listen(options.listen, "--listen")?;
        warn_of_open_callbacks(options);
        let deployer = Deployer::start(
            DeployerOptions {
                engine,
                rules: manifest.deploy.clone(),
                data: &options.data,
                actors: actors.clone(),
                shared: backend.shared(),
                host_name: host_name(app_listener.local_addr().unwrap_or(options.listen)),
            },
            opened,
        )
        .await
        .map_err(Box::new)?;
        let subscriptions = Subscriptions::new(&manifest.subscriptions, actors.clone());
        let is_ready = Arc::new(AtomicBool::new(true));
        let is_alive = Arc::new(AtomicBool::new(true));
        let max_body = usize::try_from(limits.max_body.as_u64()).unwrap_or(usize::MAX);
        let app = server::app_router(AppOptions {
            routes: &manifest.routes,
            subscriptions: subscriptions.clone(),
            actors: actors.clone(),
            is_ready: is_ready.clone(),
            is_alive: is_alive.clone(),
            max_body,
            sidecar: match &options.backend {
                BackendOptions::Embedded => None,
                BackendOptions::Dapr { app_token, .. } => Some(SidecarSide {
                    input_bindings: &manifest.input_bindings,
                    token: app_token.as_ref().map(|token| AppToken::new(&token.0)),
                }),
            },
        });
        let stop_admin = CancellationToken::new();
        let admin = server::admin_router(AdminState {
            actors: actors.clone(),
            deployer: deployer.clone(),
            outbox,
            is_ready: is_ready.clone(),
            backend: options.backend.name(),
            max_body,
            token: options.admin_token.as_ref().map(|token| AdminToken::new(&token.0)),
            log: options.log.clone(),
            stopping: stop_admin.clone(),
        });
        let behind_sidecar = matches!(options.backend, BackendOptions::Dapr { .. });
        let app = Server::new(app_listener, app, app_server(&limits, max_body, behind_sidecar));
        let admin = Server::new(listen(options.admin, "--admin")?, admin, admin_server());
        let inbound = Arc::new(Local { actors: actors.clone(), subscriptions });
        Ok(Host {
            app,
            admin,
            actors,
            deployer,
            deliveries,
            backend,
            inbound,
            is_ready,
            is_alive,
            stop_admin,
            limits,
            behind_sidecar,
            _data_lock: data_lock,
        })
    }

    /// The address of the application's port.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.app.address()
    }

    /// The address of the operator's port.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.address()
    }

    /// Deploys versions.
    pub fn deployer(&self) -> &Deployer {
        &self.deployer
    }

    /// Serves until `shutdown`. Then new calls are refused, running turns end, actors are deactivated, effects are
    /// delivered, and state is on disk; all within the manifest's `shutdown-grace`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Host {
            app,
            admin,
            actors,
            deployer,
            deliveries,
            backend,
            inbound,
            is_ready,
            is_alive,
            stop_admin,
            limits,
            behind_sidecar,
            _data_lock,
        } = self;
        let grace = limits.shutdown_grace;
        // Before anything is served: calls go through the backend, even to an actor of this host.
        backend.start(inbound);
        let stop_app = CancellationToken::new();
        let servers = TaskTracker::new();
        let mut app = servers.spawn(app.run(stop_app.clone(), grace));
        let mut admin = servers.spawn(admin.run(stop_admin.clone(), LAST_ANSWERS));
        let sweep = tokio::spawn({
            let actors = actors.clone();
            async move {
                let sweep = || {
                    let actors = actors.clone();
                    async move { actors.run_idle_sweep().await }
                };
                task::lasting("idle actors", sweep).await;
            }
        });
        let app = tokio::select! {
            () = shutdown.cancelled() => Some(app),
            // A port that accepts no connections is useless, and nobody else would notice.
            _panicked = &mut app => {
                port_ended("application's");
                None
            }
            _panicked = &mut admin => {
                port_ended("operator's");
                Some(app)
            }
        };
        shutdown.cancel();

        tracing::info!(
            "shutting down: no new calls are accepted; {} turns are running",
            actors.turns_in_flight()
        );
        let deadline = Instant::now() + grace;
        is_ready.store(false, Ordering::Relaxed);
        actors.refuse_new();
        deployer.close();
        if behind_sidecar && backend.readiness() == Readiness::Ready {
            // Once the sidecar sends its calls elsewhere, it cuts off running calls, and lets nobody read or write
            // state.
            let half = Instant::now() + grace / 2;
            actors.drain(half).await;
            actors.deactivate_all(half).await;
            // Undeliverable effects are retried while the actors move, since their callers wait for that.
            deliveries.flush(half.min(Instant::now() + EFFECTS_PATIENCE)).await;
        }
        is_alive.store(false, Ordering::Relaxed);
        backend.leave((grace / 4).min(LEAVE_PATIENCE)).await;
        stop_app.cancel();
        // A client that is slow with its body must not use up the time for turns and effects.
        let left = deadline.saturating_duration_since(Instant::now());
        if let Some(app) = app {
            let _out_of_time = tokio::time::timeout(left / 2, app).await;
        }
        let turns = actors.drain(deadline).await;
        sweep.abort();
        let active = if behind_sidecar { actors.active() } else { actors.deactivate_all(deadline).await };
        let effects = deliveries.flush(deadline).await;
        actors.stop();
        deployer.shut_down().await;
        stop_admin.cancel();
        servers.close();
        // The application's port would wait a whole grace period after closing for clients that do not read.
        let end = deadline.max(Instant::now() + LAST_ANSWERS);
        let _out_of_time = tokio::time::timeout_at(end, servers.wait()).await;
        backend.shut_down().await;
        if turns + active + effects > 0 {
            tracing::warn!(
                code = "shutdown-incomplete",
                "the shutdown grace of {grace:?} is over: {turns} turns did not end, {active} actors were not deactivated, {effects} effects were not delivered"
            );
        }
        // Data in a removed file is not on disk.
        let is_kept = behind_sidecar || backend.readiness() == Readiness::Ready;
        tracing::info!("shut down{}", if is_kept { "; state is on disk" } else { "" });
    }
}

impl BackendOptions {
    /// The name, as the log and the admin API show it.
    pub fn name(&self) -> &'static str {
        match self {
            BackendOptions::Embedded => "embedded",
            BackendOptions::Dapr { .. } => "dapr",
        }
    }
}

/// Opens the backend, and locks the data folder: two hosts in one folder must not share its code cache either. The
/// embedded backend's state file is such a lock itself.
fn open_backend(
    options: &Options,
    manifest: &Manifest,
    outbox: &Arc<Outbox>,
) -> Result<(Arc<dyn Backend>, Option<File>), Error> {
    match &options.backend {
        BackendOptions::Embedded => {
            Ok((Arc::new(Embedded::open(manifest, &options.data, outbox.clone())?), None))
        }
        BackendOptions::Dapr { sidecar, .. } => {
            let lock = lock_data(&options.data)?;
            Ok((Arc::new(Sidecar::new(manifest, sidecar.clone())?), Some(lock)))
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

/// The host's side of the embedded backend. Behind a sidecar the same things arrive as requests.
struct Local {
    actors: Actors,
    subscriptions: Subscriptions,
}

#[async_trait]
impl Inbound for Local {
    async fn call(&self, call: ActorCall, context: CallContext) -> Result<Bytes, CallError> {
        self.actors.call_here(call, context).await
    }

    async fn call_active(&self, call: ActorCall, context: CallContext) -> Option<Result<Bytes, CallError>> {
        self.actors.call_active(call, context).await
    }

    async fn wake(&self, actor: ActorAddress, fired: FiredWakeup, data: Bytes) -> Result<(), CallError> {
        self.actors.wake(&actor, fired, data, CallContext::default()).await
    }

    async fn event(&self, path: &str, event: &Bytes) -> EventOutcome {
        self.subscriptions.handle(path, event, CallContext::of_host()).await
    }
}

fn port_ended(whose: &str) {
    tracing::error!(
        code = "port-ended",
        "the {whose} port no longer accepts connections, by a defect of the host: the host exits"
    );
}

fn app_server(limits: &manifest::HostLimits, max_body: usize, behind_sidecar: bool) -> ServerOptions {
    let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    ServerOptions {
        max_connections: limits.max_connections,
        max_connections_per_peer: limits.max_connections_per_peer(),
        health: &["/healthz", "/readyz"],
        max_body,
        body_time: limits.body_time,
        least_body_rate: bytes(limits.least_body_rate),
        max_held_body_bytes: Some(bytes(limits.max_held_body_bytes())),
        behind_sidecar,
    }
}

/// A component is large, and may arrive slowly.
fn admin_server() -> ServerOptions {
    ServerOptions {
        max_connections: ADMIN_CONNECTIONS,
        max_connections_per_peer: ADMIN_CONNECTIONS / 2,
        health: &["/health"],
        max_body: usize::try_from(LARGEST_COMPONENT).unwrap_or(usize::MAX),
        body_time: ADMIN_BODY_TIME,
        least_body_rate: manifest::HostLimits::default().least_body_rate.as_u64() as usize,
        max_held_body_bytes: None,
        behind_sidecar: false,
    }
}

fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, Error> {
    server::listen(address).map_err(|reason| Error::Listen { address, option, reason })
}

fn warn_of_open_callbacks(options: &Options) {
    if matches!(options.backend, BackendOptions::Dapr { app_token: None, .. })
        && !options.listen.ip().is_loopback()
    {
        tracing::warn!(
            code = "callbacks-exposed",
            "--listen {} can be reached from other machines, and without APP_API_TOKEN anyone there can call every actor as the sidecar does",
            options.listen
        );
    }
}

fn live_instances(limits: &manifest::HostLimits) -> usize {
    let allowed = actor::most_live_instances(actor::map_count_limit());
    match limits.max_live_instances {
        Some(wanted) if wanted > allowed => {
            tracing::warn!(
                code = "live-instances-capped",
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

fn agent_runtimes(manifest: &Manifest, opened: &[Opened]) -> Vec<AgentRuntime> {
    let agents = manifest.agents.values().zip(opened);
    agents.map(|(agent, opened)| AgentRuntime::new(agent.clone(), opened.serving().clone())).collect()
}

/// Determines the serving version of each agent type, and loads it.
async fn open_types(
    engine: &Engine,
    manifest: &Manifest,
    data: &Path,
    backend: &dyn Backend,
) -> Result<Vec<Opened>, Error> {
    let mut opened = Vec::new();
    for agent in manifest.agents.values() {
        let open = Opened::open(engine, &manifest.deploy, data, agent, backend.shared()).await;
        opened.push(open.map_err(|reason| Error::Component {
            manifest: manifest.path.display().to_string(),
            line: agent.component_line,
            agent: agent.name.clone(),
            reason: Box::new(reason),
        })?);
    }
    Ok(opened)
}

/// Distinguishes the hosts of an app for people: machine, process and port.
fn host_name(address: SocketAddr) -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{machine}:{}", address.port())
}
