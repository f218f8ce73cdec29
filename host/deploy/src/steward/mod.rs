//! The deployment controller of an agent type: the one task that changes the serving versions.
//!
//! It owns the record. Changes are requested with a [`Command`], so those of a type are made one after the other,
//! without locks. The order of a change loses nothing: first the needed versions are loaded, then the record is written
//! to the shared state and to this host's disk, and then the turns see it.
//!
//! This file makes the changes. [`versions`] has the loaded versions, [`agreement`] the other hosts, [`judging`] the
//! automatic rollbacks, and [`keeping`] the record on this host's disk.

mod agreement;
mod judging;
mod keeping;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::judge::{self, Judged, Tally, Watched};
use super::library::{Library, Stored};
use super::prepare::{Preparation, label_for};
use super::record::{Change, Changed, FileSeen, Origin, Record, What};
use super::shared::Shared;
use daca_base::ErrorCode;
use daca_base::task;
use daca_manifest::AgentType;
use daca_model::backend::{self, SharedWriteError};
use daca_runtime::actor::Actors;
use daca_runtime::component::{ComponentVersion, Counters, Rollout, Served, Serving};
use keeping::OnDisk;

/// The interval at which the shared record is polled for changes of other hosts.
const LOOK_AT_SHARED: Duration = Duration::from_secs(1);
/// Attempts of a change while other hosts interfere.
const TRIES: u32 = 5;

/// A command for a deployment controller.
pub(super) enum Command {
    /// Returns the current record of all hosts, so that a change can be based on it.
    Look(oneshot::Sender<Result<Arc<Record>, Error>>),
    /// A change request.
    Change(Box<Wanted>),
}

/// A change request, and the channel for its answer.
pub(super) struct Wanted {
    pub(super) change: Change,
    pub(super) origin: Origin,
    /// The content of the manifest's file, if the change comes from there.
    pub(super) file: Option<FileSeen>,
    /// The revision that the change is based on: it fails if another one was faster. `None` accepts any revision.
    pub(super) base: Option<u64>,
    /// The new version, if there is one.
    pub(super) new: Option<New>,
    pub(super) answer: oneshot::Sender<Result<(Changed, u64), Error>>,
}

/// A version that has passed every check.
pub(super) struct New {
    pub(super) version: Arc<ComponentVersion>,
    pub(super) label: Arc<str>,
    /// Its bytes, which are stored before it serves.
    pub(super) stored: Stored,
}

/// The public view.
#[derive(Clone)]
pub(super) struct View {
    pub(super) record: Arc<Record>,
    /// The version of the turns on this host: it differs from the record's as long as that one cannot be loaded.
    pub(super) serving: String,
    pub(super) counters: BTreeMap<String, Arc<Counters>>,
    /// The first synchronisation with the other hosts is done.
    pub(super) is_settled: bool,
    /// The next start would find what serves, here or at the other hosts.
    pub(super) is_kept: bool,
}

pub(super) struct Steward {
    agent: Arc<AgentType>,
    actors: Actors,
    preparation: Preparation,
    library: Library,
    serving: Arc<Serving>,
    shared: Option<Shared>,
    /// The shared state while there is no store for it, and the time of the last attempt.
    absent: Option<(Shared, Instant)>,
    /// The last logged error about the shared state, so that it is logged once.
    complaint: Option<String>,
    record: Arc<Record>,
    file_here: Option<String>,
    on_disk: OnDisk,
    /// The loaded versions: those that turns may run on, and the target of a rollback.
    loaded: BTreeMap<String, Arc<Served>>,
    counters: BTreeMap<String, Arc<Counters>>,
    /// Canaries and pinned versions that could not be loaded at the start: they block no change.
    left_out: BTreeSet<String>,
    /// The etag of the last shared record.
    etag: Option<String>,
    /// The time of the last failed attempt to serve the record's version. The previous version keeps serving.
    not_taken_over: Option<Instant>,
    watched: Watched,
    /// The canary under analysis, and the serving version for a window after it has replaced another.
    judged_canary: Option<Judged>,
    judged_serving: Option<Judged>,
    view: watch::Sender<View>,
}

/// The initial state of a deployment controller.
pub(super) struct Beginning {
    pub(super) agent: Arc<AgentType>,
    pub(super) record: Record,
    pub(super) file_here: Option<String>,
    pub(super) loaded: BTreeMap<String, Arc<Served>>,
    /// Canaries and pinned versions that could not be loaded.
    pub(super) left_out: BTreeSet<String>,
    pub(super) serving: Arc<Serving>,
}

impl Steward {
    pub(super) fn new(
        beginning: Beginning,
        actors: Actors,
        preparation: Preparation,
        library: Library,
        shared: Option<Shared>,
    ) -> (Steward, watch::Receiver<View>) {
        let Beginning { agent, record, file_here, loaded, left_out, serving } = beginning;
        let counters = loaded
            .iter()
            .map(|(digest, served)| (digest.clone(), served.counters.clone()))
            .collect::<BTreeMap<_, _>>();
        let record = Arc::new(record);
        let (rollout, now) = (serving.now(), Instant::now());
        let watched = Watched::new(rollout.serving.counters.clone(), now);
        let judged_canary = rollout
            .canary
            .as_ref()
            .map(|(canary, _)| Judged::canary(canary.version.digest.clone(), canary.counters.clone(), now));
        // A restart does not spare a version that has just replaced another one. The previous one's counters are lost.
        let is_young = record.served_for(&record.serving) < preparation.rules.window;
        let judged_serving = (is_young && record.version_before().is_some()).then(|| {
            let counters = rollout.serving.counters.clone();
            Judged::successor(record.serving.clone(), counters, Tally::default(), now)
        });
        let (view, receiver) = watch::channel(View {
            record: record.clone(),
            serving: rollout.serving.version.digest.clone(),
            counters: counters.clone(),
            is_settled: false,
            is_kept: true,
        });
        let steward = Steward {
            agent,
            actors,
            preparation,
            library,
            serving,
            shared,
            absent: None,
            complaint: None,
            record,
            file_here,
            on_disk: OnDisk::default(),
            loaded,
            counters,
            etag: None,
            // Another host may have the missing versions.
            not_taken_over: (!left_out.is_empty()).then_some(now),
            left_out,
            watched,
            judged_canary,
            judged_serving,
            view,
        };
        (steward, receiver)
    }

    /// Handles commands and its own verdicts, until `stop`.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(judge::pause(self.preparation.rules.window));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shared_looks = tokio::time::interval(LOOK_AT_SHARED);
        shared_looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut file_looks = tokio::time::interval(keeping::LOOK_AT_FILES);
        file_looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                command = commands.recv() => match command {
                    // After a panic, the requester gets no answer: the change counts as not made.
                    Some(command) => task::step("deployments", self.obey(command)).await,
                    None => return,
                },
                _ = file_looks.tick() => task::step("deployments", self.look_at_files()).await,
                _ = shared_looks.tick() => task::step("deployments", self.look_at_shared()).await,
                _ = looks.tick() => task::step("deployments", self.judge()).await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let settled = match self.view.borrow().is_settled {
            true => Ok(()),
            false => Err(Error::shared_away(&backend::Error::NotDone("it has not been reached yet".into()))),
        };
        // The requester may be gone.
        match (command, settled) {
            (Command::Look(answer), Err(error)) => drop(answer.send(Err(error))),
            (Command::Look(answer), Ok(())) => drop(answer.send(self.look().await)),
            (Command::Change(wanted), Err(error)) => drop(wanted.answer.send(Err(error))),
            (Command::Change(wanted), Ok(())) => {
                let Wanted { change, origin, file, base, new, answer } = *wanted;
                let result = self.change(change, &origin, file, base, new).await;
                if result.is_err() {
                    self.forget_unneeded();
                }
                drop(answer.send(result));
            }
        }
    }

    /// The current record of all hosts.
    async fn look(&mut self) -> Result<Arc<Record>, Error> {
        self.agree().await.map_err(|error| Error::shared_away(&error))?;
        Ok(self.record.clone())
    }

    /// Makes a change. On an error, everything is unchanged.
    async fn change(
        &mut self,
        change: Change,
        origin: &Origin,
        file: Option<FileSeen>,
        base: Option<u64>,
        new: Option<New>,
    ) -> Result<(Changed, u64), Error> {
        // Even one that was left out at the start: whoever pins to it must learn of that.
        if let Change::Pin { version, .. } = &change {
            let record = self.record.clone();
            self.served(version, &record).await?;
        }
        self.check_kept().await?;
        for _ in 0..TRIES {
            // At each attempt: another host's deployment may have removed it in the meantime.
            if let Some(new) = &new {
                self.take(new).await?;
            }
            let mut next = Record::clone(&self.record);
            let changed = next.apply(change.clone(), origin)?;
            let was_overtaken = base.is_some_and(|base| base != self.record.revision);
            if was_overtaken && changed.outcome != What::Unchanged {
                break;
            }
            if let Some(file) = &file {
                next.file = Some(file.clone());
            }
            next.prune(self.preparation.rules.keep);
            // A refused file is checked again after a restart, which may bring what it lacked.
            let taken = file.as_ref().filter(|file| !file.refused).map(|file| file.digest.clone());
            let file_here = taken.or_else(|| self.file_here.clone());
            if next == *self.record {
                return Ok((changed, self.record.revision));
            }
            let rollout = self.rollout(&next).await?;
            match self.publish(&next).await {
                Ok(()) => {}
                Err(SharedWriteError::Conflict) => {
                    self.agree().await.map_err(|error| Error::shared_away(&error))?;
                    continue;
                }
                Err(SharedWriteError::Failed(error)) => return Err(Error::shared_away(&error)),
            }
            match self.keep(&next, file_here.clone()).await {
                Ok(()) => self.file_here = file_here,
                Err(error) if self.shared.is_none() => return Err(error),
                // The hosts have already agreed on it.
                Err(error) => {
                    tracing::error!(code = error.code.as_str(), agent_type = %self.agent.name, "{}", error.message);
                }
            }
            let revision = next.revision;
            self.say(&changed, &next);
            self.serve(next, rollout).await;
            return Ok((changed, revision));
        }
        Err(Error::conflict(&self.record.serving, self.record.label(&self.record.serving)))
    }

    /// Takes a new version into memory and stores it on disk.
    async fn take(&mut self, New { version, label, stored }: &New) -> Result<(), Error> {
        self.store(&version.digest, stored.clone()).await?;
        self.load(version.clone(), label.clone());
        Ok(())
    }

    /// Publishes a record to the turns, and releases versions that are no longer needed.
    async fn serve(&mut self, record: Record, rollout: Rollout) {
        self.begin_to_judge(&record, &rollout);
        self.serving.replace(rollout);
        self.not_taken_over = None;
        self.record = Arc::new(record);
        self.forget_unneeded();
        self.show();
        let digests = self.record.versions.keys().cloned().collect::<BTreeSet<_>>();
        let (library, preparation, agent_type) =
            (self.library.clone(), self.preparation.clone(), self.agent.name.clone());
        let _ = blocking(move || {
            library.keep_only(&agent_type, &digests);
            preparation.keep_code_of(&agent_type, digests);
            Ok(())
        })
        .await;
        let (actors, agent_type) = (self.actors.clone(), self.agent.name.clone());
        // In the background: nobody waits for it, and callers must not notice.
        tokio::spawn(async move { actors.drop_outdated_instances(&agent_type).await });
    }

    fn show(&self) {
        self.view.send_modify(|view| {
            view.record = self.record.clone();
            view.serving.clone_from(&self.serving.now().serving.version.digest);
            view.counters = self.counters.clone();
        });
    }

    fn say(&self, changed: &Changed, record: &Record) {
        let agent_type = &*self.agent.name;
        let version = record.name(&changed.version);
        let event = record.history.back();
        let text = event.map(|event| &*event.text).unwrap_or_default();
        match changed.outcome {
            What::Deployed | What::Promoted => tracing::info!(agent_type, "version {version} serves"),
            What::Canary => {
                tracing::info!(agent_type, "version {version} serves {} % of the actors", changed.share);
            }
            What::RolledBack => {
                let gone = record.name(changed.before.as_deref().unwrap_or_default());
                tracing::warn!(
                    agent_type,
                    code = ErrorCode::RolledBack.as_str(),
                    "version {gone} is rolled back {text}"
                );
            }
            What::Refused => {
                let code = event.and_then(|event| event.code.as_deref()).unwrap_or_default();
                tracing::error!(
                    agent_type,
                    code,
                    "version {version} is refused; the previous version keeps serving: {text}"
                );
            }
            What::Pinned => tracing::info!(agent_type, "{text} is pinned to version {version}"),
            What::Unpinned => tracing::info!(agent_type, "{text} is no longer pinned to version {version}"),
            What::Unchanged => {}
        }
    }

    fn settled(&mut self) {
        self.serving.set_known();
        self.view.send_modify(|view| view.is_settled = true);
    }

    /// Gives the first version of a type its own label, and stores its record. Called once, before [`Steward::run`]. If
    /// there are other hosts, the serving version is known only after they were asked.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        let serving = self.serving.now().serving.clone();
        if self.record.revision == 1 && serving.version.has_migration() {
            let label = label_for(&self.actors, &self.agent, &serving.version, None).await?;
            let mut record = Record::clone(&self.record);
            if let Some(known) = record.versions.get_mut(&serving.version.digest) {
                known.label = label.to_string();
            }
            record.first_label = Some(label.to_string());
            record.shapes = BTreeSet::from([label.to_string()]);
            let rollout = self.rollout(&record).await?;
            self.serving.replace(rollout);
            self.record = Arc::new(record);
            self.show();
        }
        let record = self.record.clone();
        self.keep(&record, self.file_here.clone()).await?;
        if self.shared.is_none() {
            self.settled();
        }
        Ok(())
    }
}

/// Runs disk I/O on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_panicked| Err(Error::internal()))
}
