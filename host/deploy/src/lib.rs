//! Deployments: how a new version reaches the turns of a running host.
//!
//! A version arrives as bytes: from the file that the manifest names ([`watch`]), by the admin API, or from another
//! host ([`shared`]). It is checked, signature first ([`daca_manifest::signature`], [`prepare`]), and stored
//! ([`library`]). Then the deployment controller of its agent type ([`steward`]) changes the [`record`], and the turns
//! see it. Canary analysis ([`judge`]) rolls back a version that fails too often. [`hosts`] reports the versions that
//! each host serves, and [`report`] what a deployer tells of itself. [`files`] deploys files.
//!
//! A refusal on this way changes nothing: the previous version keeps serving.

mod error;
mod files;
mod handle;
mod history;
mod hosts;
mod judge;
mod library;
mod prepare;
mod record;
mod report;
mod request;
mod shared;
mod start;
mod steward;
pub mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use daca_manifest::signature::SignatureError;
pub use error::Error;
pub use hosts::HostView;
pub use library::Mounted;
pub use record::{Canary, Event, FileSeen, Known, Origin, Record, Source, What};
pub use request::{Deployed, Place, Request, Took, TypeView};
pub use start::{Opened, check_file, check_permissions, check_versions_folder};

use daca_base::digest::{digest, short};
use daca_base::task;
use daca_manifest::DeployRules;
use daca_model::backend::SharedStore;
use daca_model::{HostPhase, Lifecycle};
use daca_runtime::actor::Actors;
use daca_runtime::component::{Compiling, Engine};
use handle::TypeHandle;
use hosts::Hosts;
use library::{Library, Stored};
use prepare::{Preparation, Prepared};
use record::Change;
use shared::Shared;
pub use shared::read_stored;
use steward::{Beginning, New, Steward, blocking};
use watch::ComponentFile;

/// Concurrent deployments, with their bytes in memory.
const MOST_UNDER_WAY: usize = 4;
/// Changes that wait for a deployment controller.
const MOST_COMMANDS: usize = 64;
/// The time that a shutdown waits for a change in progress.
const LAST_CHANGE: Duration = Duration::from_secs(2);
/// Deploys versions. A cheap handle.
#[derive(Clone)]
pub struct Deployer {
    inner: Arc<Inner>,
}

struct Inner {
    types: BTreeMap<Arc<str>, TypeHandle>,
    actors: Actors,
    preparation: Preparation,
    library: Library,
    hosts: Hosts,
    under_way: Arc<Semaphore>,
    lifecycle: Lifecycle,
    tasks: TaskTracker,
    /// No more changes are accepted.
    stop: CancellationToken,
    /// Whoever still waits is released.
    give_up: CancellationToken,
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

impl Deployer {
    /// Starts the deployment controllers, and deploys the manifest's files if they are new. On return it is known which
    /// versions serve; if there are other hosts, as soon as they were asked.
    pub async fn start(options: DeployerOptions<'_>, opened: Vec<Opened>) -> Result<Deployer, Error> {
        let DeployerOptions { engine, rules, data, actors, shared, host_name, lifecycle } = options;
        let preparation = Preparation::new(engine, rules.clone(), Compiling::Serving);
        let library = Library::new(data, rules.versions.clone());
        let tasks = TaskTracker::new();
        let (stop, give_up) = (CancellationToken::new(), CancellationToken::new());
        for Beginning { agent, record, .. } in opened.iter().map(|opened| &opened.beginning) {
            preparation.need_code_of(&agent.name, record.versions.keys().cloned().collect());
        }
        let mut types = BTreeMap::new();
        let mut files = Vec::new();
        for Opened { beginning, file, is_new } in opened {
            let agent = beginning.agent.clone();
            let of_type = shared.clone().map(|store| Shared::new(store, agent.name.clone()));
            let (mut steward, view) = Steward::new(
                beginning,
                actors.clone(),
                preparation.clone(),
                library.clone(),
                of_type.clone(),
            );
            steward.begin().await?;
            let (commands, receiver) = mpsc::channel(MOST_COMMANDS);
            tasks.spawn(give_up.clone().run_until_cancelled_owned(steward.run(receiver, stop.clone())));
            files.push((agent.name.clone(), agent.component.clone(), file, is_new));
            types.insert(
                agent.name.clone(),
                TypeHandle { agent, shared: of_type, commands, view, built: Default::default() },
            );
        }
        let views = types.iter().map(|(name, handle)| (name.clone(), handle.view.clone())).collect();
        let hosts = Hosts::new(shared.clone(), host_name, views);
        let (announcing, announced_until) = (hosts.clone(), stop.clone());
        let announcing = task::lasting("hosts", move || announcing.clone().run(announced_until.clone()));
        tasks.spawn(give_up.clone().run_until_cancelled_owned(announcing));
        let inner = Inner {
            types,
            actors,
            preparation,
            library,
            hosts,
            under_way: Arc::new(Semaphore::new(MOST_UNDER_WAY)),
            lifecycle,
            tasks,
            stop,
            give_up,
        };
        let deployer = Deployer { inner: Arc::new(inner) };
        for (agent_type, path, file, is_new) in files {
            let watched = match &file {
                Some(file) => ComponentFile::new(path).knowing(file),
                None => ComponentFile::new(path),
            };
            let mut first = file.filter(|_| is_new);
            // A single host serves the file's version before it is ready. With other hosts, they are asked first.
            if let Some(file) = first.take_if(|_| shared.is_none()) {
                let _refusals_are_noted = deployer.deploy_file(&agent_type, file, Source::File).await;
            }
            deployer.inner.tasks.spawn(deployer.clone().follow_file(agent_type, watched, first));
        }
        Ok(deployer)
    }

    /// Acquires a permit for a deployment.
    pub fn place(&self) -> Result<Place, Error> {
        self.check_open()?;
        match self.inner.under_way.clone().try_acquire_owned() {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(_none_is_free) => Err(Error::busy()),
        }
    }

    /// Checks a component and deploys it.
    pub async fn deploy(&self, agent_type: &str, request: Request, _place: Place) -> Result<Deployed, Error> {
        self.deploy_from(agent_type, request, None).await
    }

    async fn deploy_from(
        &self,
        agent_type: &str,
        request: Request,
        file: Option<FileSeen>,
    ) -> Result<Deployed, Error> {
        let started = Instant::now();
        let handle = self.handle(agent_type)?;
        let Request { wasm, signature, share, label, origin } = request;
        if !(1..=100).contains(&share) {
            return Err(Error::share(share));
        }
        let version = digest(&wasm);
        // Another host's recent deployment is not a conflict.
        let record = handle.look().await?;
        if share < 100 && record.serving == version {
            return Err(Error::serves_all(&version));
        }
        let bytes = wasm.len() as u64;
        let stored = Stored { wasm, signature };
        // A version keeps its label, unless another one is requested.
        let known = record.versions.get(&version).map(|known| known.label.clone());
        let is_done = record.is_done(&version, share) && (label.is_none() || label == known);
        let label = label.or(known);
        let prepared = match is_done {
            true => None,
            false => Some(self.prepare(handle, &stored, &version, label.as_deref(), &origin, &file).await?),
        };
        let check = millis(started);
        let (label, migrates) = match &prepared {
            Some(prepared) => (prepared.label.to_string(), prepared.version.has_migration()),
            None => (record.label(&version).to_owned(), false),
        };
        let change =
            Change::Deploy { version: version.clone(), label: label.clone(), bytes, migrates, share };
        let new = prepared.map(|Prepared { version, label }| New { version, label, stored });
        let (changed, revision) = handle.change(change, origin, file, Some(record.revision), new).await?;
        Ok(Deployed {
            agent_type: handle.agent.name.clone(),
            changed,
            label,
            revision,
            milliseconds: Took { check, total: millis(started) },
        })
    }

    /// Checks a version. A refusal is recorded, unless its cause may go away.
    async fn prepare(
        &self,
        handle: &TypeHandle,
        stored: &Stored,
        version: &str,
        label: Option<&str>,
        origin: &Origin,
        file: &Option<FileSeen>,
    ) -> Result<Prepared, Error> {
        self.check_open()?;
        let Inner { preparation, actors, .. } = &*self.inner;
        let signature = stored.signature.as_deref();
        let checked = preparation.check(actors, &handle.agent, stored.wasm.clone(), signature, label).await;
        let checked = checked.and_then(|prepared| {
            handle.record().check_shape(&prepared.label, prepared.version.has_migration())?;
            Ok(prepared)
        });
        if let Some(error) = checked.as_ref().err().filter(|error| !error.is_passing()) {
            let change = Change::Refuse {
                version: version.to_owned(),
                code: error.code.to_string(),
                text: error.message.clone(),
            };
            let file = file.clone().map(|file| FileSeen { refused: true, ..file });
            let _noted_if_it_can_be = handle.change(change, origin.clone(), file, None, None).await;
        }
        checked
    }

    /// Deploys a version that this host or another one keeps, or that is in the mounted folder. It is named by its
    /// digest or a prefix of it.
    pub async fn deploy_kept(
        &self,
        agent_type: &str,
        version: &str,
        share: u8,
        label: Option<String>,
        origin: Origin,
        _place: Place,
    ) -> Result<Deployed, Error> {
        let handle = self.handle(agent_type)?;
        let version = self.find(handle, version).await?;
        let stored = self.load(handle, &version).await?;
        let request = Request { wasm: stored.wasm, signature: stored.signature, share, label, origin };
        self.deploy_from(agent_type, request, None).await
    }

    /// Rolls back to the previous version. If there is a canary, only the canary ends.
    pub async fn roll_back(&self, agent_type: &str, force: bool, origin: Origin) -> Result<Deployed, Error> {
        let change = Change::RollBack { force, text: String::new(), only: None };
        self.change_only(agent_type, change, origin).await
    }

    /// Pins an actor to a kept version.
    pub async fn pin(
        &self,
        agent_type: &str,
        actor_id: &str,
        version: &str,
        origin: Origin,
    ) -> Result<Deployed, Error> {
        let handle = self.handle(agent_type)?;
        let found = handle.record().find(version)?.filter(|_| !version.is_empty());
        let version = found.ok_or_else(|| Error::version_unknown(version))?;
        self.change_only(agent_type, Change::Pin { actor: actor_id.to_owned(), version }, origin).await
    }

    /// Unpins an actor.
    pub async fn unpin(&self, agent_type: &str, actor_id: &str, origin: Origin) -> Result<Deployed, Error> {
        self.change_only(agent_type, Change::Unpin { actor: actor_id.to_owned() }, origin).await
    }

    async fn change_only(&self, agent_type: &str, change: Change, origin: Origin) -> Result<Deployed, Error> {
        self.check_open()?;
        let started = Instant::now();
        let handle = self.handle(agent_type)?;
        let (changed, revision) = handle.change(change, origin, None, None, None).await?;
        let label = handle.record().label(&changed.version).to_owned();
        let milliseconds = Took { check: 0, total: millis(started) };
        Ok(Deployed { agent_type: handle.agent.name.clone(), changed, label, revision, milliseconds })
    }

    /// Stops the compilations for deployments. Called when the host begins to drain, from when on none is accepted.
    pub fn close(&self) {
        self.inner.preparation.engine.stop_compiling();
    }

    /// Stops the background tasks.
    pub async fn shut_down(&self) {
        self.close();
        self.inner.stop.cancel();
        self.inner.tasks.close();
        // A change in progress ends, unless it waits for a sidecar that does not answer.
        if tokio::time::timeout(LAST_CHANGE, self.inner.tasks.wait()).await.is_err() {
            self.inner.give_up.cancel();
            self.inner.tasks.wait().await;
        }
        self.inner.hosts.leave().await;
    }

    fn check_open(&self) -> Result<(), Error> {
        let is_draining = self.inner.lifecycle.has_reached(HostPhase::Draining);
        if is_draining { Err(Error::shutting_down()) } else { Ok(()) }
    }

    fn handle(&self, agent_type: &str) -> Result<&TypeHandle, Error> {
        self.inner.types.get(agent_type).ok_or_else(|| Error::unknown_type(agent_type))
    }

    async fn find(&self, handle: &TypeHandle, prefix: &str) -> Result<String, Error> {
        if prefix.is_empty() {
            return Err(Error::version_unknown(prefix));
        }
        if let Some(found) = handle.record().find(prefix)? {
            return Ok(found);
        }
        let mounted = self.mounted().await;
        let digests = mounted.into_iter().map(|mounted| mounted.digest);
        let mut found = digests.filter(|digest| digest.starts_with(prefix));
        match (found.next(), found.next()) {
            (Some(found), None) => Ok(found),
            (Some(_), Some(_)) => Err(Error::version_ambiguous(prefix)),
            (None, _) => Err(Error::version_unknown(prefix)),
        }
    }

    /// The bytes of a version: from this host's folders, else from the other hosts.
    async fn load(&self, handle: &TypeHandle, version: &str) -> Result<Stored, Error> {
        let (library, agent_type, digest) =
            (self.inner.library.clone(), handle.agent.name.clone(), version.to_owned());
        let own = blocking(move || library.load(&agent_type, &digest)).await?;
        let stored = match (own, &handle.shared) {
            (None, Some(shared)) => shared.get(version).await.map_err(|error| Error::shared_away(&error))?,
            (own, _) => own,
        };
        stored.ok_or_else(|| Error::version_unknown(short(version)))
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
