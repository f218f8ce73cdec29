//! The deployer: the deployment controllers of all agent types, and the tasks beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Error;
use super::agent::DeployedAgent;
use super::controller::{ControllerOptions, DeploymentController, HostRuntime, InitialState};
use super::hosts::Hosts;
use super::library::Library;
use super::prepare::Preparation;
use super::record::Source;
use super::request::Permit;
use super::shared::SharedType;
use super::start::AgentTypeStart;
use super::type_folder::TypeFolder;
use super::watch::{ComponentFile, FileContent};
use daca_base::task;
use daca_manifest::{AgentType, DeployRules};
use daca_model::backend::SharedStore;
use daca_model::{HostPhase, Lifecycle};
use daca_runtime::actor::Actors;
use daca_runtime::component::Engine;

/// Concurrent deployments.
const MAX_CONCURRENT: usize = 4;
/// The time that a shutdown waits for a change in progress.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Deploys versions. A cheap handle.
#[derive(Clone)]
pub struct Deployer {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) agents: BTreeMap<Arc<str>, DeployedAgent>,
    pub(super) actors: Actors,
    pub(super) preparation: Preparation,
    pub(super) library: Library,
    pub(super) hosts: Hosts,
    pub(super) changes: watch::Receiver<()>,
    permits: Arc<Semaphore>,
    lifecycle: Lifecycle,
    tasks: Tasks,
}

/// The background tasks, and their end.
struct Tasks {
    running: TaskTracker,
    /// No more changes are accepted.
    stop: CancellationToken,
    /// Whoever still waits is released.
    abort: CancellationToken,
}

impl Tasks {
    fn new() -> Tasks {
        let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
        Tasks { running: TaskTracker::new(), stop, abort }
    }

    /// Runs a task until it ends, or everything is given up.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The tracker waits for its end.
        self.running.spawn(self.abort.clone().run_until_cancelled_owned(task));
    }
}

/// The options of a deployer.
pub struct DeployerOptions<'a> {
    /// The engine.
    pub engine: Engine,
    /// The manifest's rules.
    pub rules: Arc<DeployRules>,
    /// The data folder.
    pub data: &'a Path,
    /// All actors of the host.
    pub actors: Actors,
    /// The state that the hosts of the app share.
    pub shared: Option<Arc<dyn SharedStore>>,
    /// This host's name, for display.
    pub host_name: String,
    /// The phase of the host: deployments are refused once it drains.
    pub lifecycle: Lifecycle,
}

/// The manifest's file of an agent type at the start.
struct FirstFile {
    agent: Arc<AgentType>,
    content: Option<FileContent>,
    /// `true` if this host has not seen it before.
    is_new: bool,
}

impl Deployer {
    /// Starts the deployment controllers, and deploys the manifest's files if they are new. On return it is known which
    /// versions serve; if there are other hosts, as soon as they were asked.
    pub async fn start(options: DeployerOptions<'_>, starts: Vec<AgentTypeStart>) -> Result<Deployer, Error> {
        let DeployerOptions { engine, rules, data, actors, shared, host_name, lifecycle } = options;
        let preparation = Preparation::new(engine, rules.clone(), Some(actors.clone()));
        let library = Library::new(data, rules.versions.clone());
        for AgentTypeStart { agent, initial, .. } in &starts {
            preparation.need_code_of(&agent.name, initial.record.versions.keys().cloned().collect());
        }
        let (tasks, (changed, changes)) = (Tasks::new(), watch::channel(()));
        let mut agents = BTreeMap::new();
        let mut files = Vec::new();
        for AgentTypeStart { agent, initial, file, is_new } in starts {
            let runtime = HostRuntime {
                agent: agent.clone(),
                actors: actors.clone(),
                preparation: preparation.clone(),
            };
            let options = ControllerOptions {
                agent_type: agent.name.clone(),
                rules: rules.clone(),
                runtime,
                folder: TypeFolder::new(library.clone(), agent.name.clone()),
                shared: shared.clone().map(|store| SharedType::new(store, agent.name.clone())),
                changes: changed.clone(),
            };
            agents
                .insert(agent.name.clone(), start_controller(&tasks, agent.clone(), options, initial).await?);
            files.push(FirstFile { agent, content: file, is_new });
        }
        let controllers = agents.iter().map(|(name, agent)| (name.clone(), agent.controller.clone()));
        let hosts = Hosts::new(shared.clone(), host_name, controllers.collect(), changes.clone());
        let (announcing, announced_until) = (hosts.clone(), tasks.stop.clone());
        tasks.spawn(task::lasting("hosts", move || announcing.clone().run(announced_until.clone())));
        let inner = Inner {
            agents,
            actors,
            preparation,
            library,
            hosts,
            changes,
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            lifecycle,
            tasks,
        };
        let deployer = Deployer { inner: Arc::new(inner) };
        for file in files {
            deployer.start_following(file, shared.is_none()).await;
        }
        Ok(deployer)
    }

    /// A single host serves the file's version before it is ready. With other hosts, they are asked first.
    async fn start_following(&self, file: FirstFile, is_single: bool) {
        let FirstFile { agent, content, is_new } = file;
        let watched = match &content {
            Some(content) => ComponentFile::new(agent.component.path.clone()).knowing(content),
            None => ComponentFile::new(agent.component.path.clone()),
        };
        let mut first = content.filter(|_| is_new);
        if let Some(content) = first.take_if(|_| is_single) {
            self.deploy_file(&agent.name, content, Source::File).await.ok(); // a refusal is in the record
        }
        let follow = self.clone().follow_file(agent.name.clone(), watched, first);
        let follow = self.inner.tasks.stop.clone().run_until_cancelled_owned(follow);
        self.inner.tasks.running.spawn(follow);
    }

    /// Acquires a permit for a deployment.
    pub fn permit(&self) -> Result<Permit, Error> {
        self.check_open()?;
        match self.inner.permits.clone().try_acquire_owned() {
            Ok(permit) => Ok(Permit { _permit: permit }),
            Err(_none_is_free) => Err(Error::busy()),
        }
    }

    /// Stops the compilations for deployments. Called when the host begins to drain, from when on none is accepted.
    pub fn close(&self) {
        self.inner.preparation.engine.stop_compiling();
    }

    /// Stops the background tasks.
    pub async fn shut_down(&self) {
        self.close();
        let Tasks { running, stop, abort } = &self.inner.tasks;
        stop.cancel();
        running.close();
        // A change in progress ends, unless it waits for a sidecar that does not answer.
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, running.wait()).await.is_err() {
            abort.cancel();
            running.wait().await;
        }
        self.inner.hosts.leave().await;
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        let is_draining = self.inner.lifecycle.has_reached(HostPhase::Draining);
        if is_draining { Err(Error::shutting_down()) } else { Ok(()) }
    }

    pub(super) fn agent(&self, agent_type: &str) -> Result<&DeployedAgent, Error> {
        self.inner.agents.get(agent_type).ok_or_else(|| Error::unknown_type(agent_type))
    }
}

async fn start_controller(
    tasks: &Tasks,
    agent: Arc<AgentType>,
    options: ControllerOptions<HostRuntime>,
    initial: InitialState,
) -> Result<DeployedAgent, Error> {
    let (folder, shared) = (options.folder.clone(), options.shared.clone());
    let (mut controller, handle) = DeploymentController::new(options, initial);
    controller.begin().await?;
    tasks.spawn(controller.run(tasks.stop.clone()));
    Ok(DeployedAgent::new(agent, handle, folder, shared))
}
