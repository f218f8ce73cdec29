//! The deployment controller of an agent type: the one task that changes the serving versions.
//!
//! It owns the record. Changes are requested through a [`ControllerHandle`], so those of a type are made one after the
//! other, without locks. The order of a change loses nothing: first the needed versions are loaded, then the record is
//! written to the shared state and to this host's disk, and then the turns see it.
//!
//! This file makes the changes. [`record_keeper`] has the record, in memory and on disk, and [`disk_check`] acts on what
//! is lost there. [`versions`] has the loaded versions, [`replica`] and [`reconcile`] the other hosts, and [`canary`] and
//! [`rollback`] the automatic rollbacks. [`outcome_log`] tells the log of changes. [`runtime`] is the door to the
//! engine.

mod canary;
mod disk_check;
mod handle;
mod outcome_log;
mod reconcile;
mod record_keeper;
mod replica;
mod rollback;
mod runtime;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::record::{Change, ChangeOutcome, EventKind, Record, Source};
use super::shared::{SharedError, SharedType};
use super::type_folder::TypeFolder;
use canary::CanaryAnalysis;
use daca_base::task;
use daca_manifest::DeployRules;
use daca_model::backend;
use daca_runtime::component::{ActiveRollout, ComponentVersion, LoadedVersion, TrafficSplit};
pub(super) use handle::{AppliedChange, ChangeRequest, ControllerHandle, NewVersion};
use handle::{ControllerCommand, ControllerEnd, View};
use outcome_log::log_outcome;
use record_keeper::RecordKeeper;
use replica::{PublishError, Replica};
pub(super) use runtime::{HostRuntime, Version, VersionRuntime};
use versions::VersionCache;

/// The interval at which the shared record is polled for changes of other hosts.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which the record and the versions in use are looked for on disk.
const FILES_INTERVAL: Duration = Duration::from_secs(1);
/// Attempts of a change while other hosts interfere.
const MAX_ATTEMPTS: u32 = 5;

/// The state that an agent type starts with.
pub(super) struct InitialState<V = ComponentVersion> {
    pub(super) record: Record,
    /// The content of the manifest's file that this host saw last.
    pub(super) file_here: Option<String>,
    pub(super) loaded: BTreeMap<String, Arc<LoadedVersion<V>>>,
    /// Canaries and pinned versions that could not be loaded.
    pub(super) left_out: BTreeSet<String>,
    /// The versions that turns read.
    pub(super) active: Arc<ActiveRollout<V>>,
}

/// The surroundings of a deployment controller.
pub(super) struct ControllerOptions<R> {
    pub(super) agent_type: Arc<str>,
    pub(super) rules: Arc<DeployRules>,
    pub(super) runtime: R,
    pub(super) folder: TypeFolder,
    /// The state that the hosts of the app share.
    pub(super) shared: Option<SharedType>,
    /// Notified after each change of what a [`ControllerHandle`] shows.
    pub(super) changes: watch::Sender<()>,
}

/// The deployment controller of an agent type.
pub(super) struct DeploymentController<R: VersionRuntime> {
    agent_type: Arc<str>,
    rules: Arc<DeployRules>,
    keeper: RecordKeeper,
    versions: VersionCache<R>,
    replica: Replica,
    analysis: CanaryAnalysis,
    commands: mpsc::Receiver<ControllerCommand<R::Version>>,
    view: watch::Sender<View>,
    changes: watch::Sender<()>,
}

/// A change that is worked out, and not made yet.
struct PlannedChange {
    next: Record,
    outcome: ChangeOutcome,
    file_here: Option<String>,
}

impl<R: VersionRuntime> DeploymentController<R> {
    /// Creates a controller, which begins with [`DeploymentController::begin`].
    pub(super) fn new(
        options: ControllerOptions<R>,
        initial: InitialState<R::Version>,
    ) -> (DeploymentController<R>, ControllerHandle<R::Version>) {
        let ControllerOptions { agent_type, rules, runtime, folder, shared, changes } = options;
        let InitialState { record, file_here, loaded, left_out, active } = initial;
        let counters = loaded
            .iter()
            .map(|(digest, loaded)| (digest.clone(), loaded.counters.clone()))
            .collect::<BTreeMap<_, _>>();
        let analysis = CanaryAnalysis::new(rules.clone(), &record, &active.now());
        let replica = Replica::new(agent_type.clone(), folder.clone(), shared, left_out.is_empty());
        let keeper = RecordKeeper::new(agent_type.clone(), folder.clone(), record, file_here);
        let (handle, end) = ControllerHandle::new(View {
            record: keeper.record.clone(),
            serving: active.now().serving.version.digest().to_owned(),
            counters: counters.clone(),
            is_synced: false,
            is_kept: true,
        });
        let versions = VersionCache {
            agent_type: agent_type.clone(),
            folder,
            runtime,
            loaded,
            counters,
            left_out,
            active,
        };
        let ControllerEnd { commands, view } = end;
        let controller = DeploymentController {
            agent_type,
            rules,
            keeper,
            versions,
            replica,
            analysis,
            commands,
            view,
            changes,
        };
        (controller, handle)
    }

    /// Gives the first version of a type its own label, and stores its record. Called once, before
    /// [`DeploymentController::run`]. If there are other hosts, the serving version is known only after they were asked.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        let first = self.versions.active.now().serving.version.clone();
        if self.keeper.record.revision == 1 && first.has_migration() {
            let label = self.versions.runtime.label_of(&first).await?;
            let mut record = Record::clone(&self.keeper.record);
            if let Some(metadata) = record.versions.get_mut(first.digest()) {
                metadata.label = label.to_string();
            }
            record.first_label = Some(label.to_string());
            record.schemas = BTreeSet::from([label.to_string()]);
            let split = self.versions.split(&record, self.replica.shared()).await?;
            self.versions.swap(split);
            self.keeper.set(record);
            self.show();
        }
        let (record, file_here) = (self.keeper.record.clone(), self.keeper.file_here.clone());
        self.keeper.write(&record, file_here).await?;
        if self.replica.shared().is_none() {
            self.mark_synced();
        }
        Ok(())
    }

    /// Handles commands, the files on disk, the shared record and the canary analysis, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut samples = tokio::time::interval(self.analysis.interval());
        samples.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut polls = tokio::time::interval(POLL_INTERVAL);
        polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut file_looks = tokio::time::interval(FILES_INTERVAL);
        file_looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                command = self.commands.recv() => match command {
                    // After a panic, the requester gets no answer: the change counts as not made.
                    Some(command) => task::step("deployments", self.handle_command(command)).await,
                    None => return,
                },
                // One that takes as long as its interval must leave time for those below.
                _ = polls.tick() => {
                    task::step("deployments", self.poll_shared()).await;
                    polls.reset();
                }
                _ = samples.tick() => task::step("deployments", self.analyse()).await,
                _ = file_looks.tick() => {
                    task::step("deployments", self.look_at_files()).await;
                    file_looks.reset();
                }
            }
        }
    }

    async fn handle_command(&mut self, command: ControllerCommand<R::Version>) {
        match command {
            ControllerCommand::Look(answer) => {
                let result = match self.check_synced() {
                    Ok(()) => self.look().await,
                    Err(error) => Err(error),
                };
                answer.send(result).ok(); // the requester may be gone
            }
            ControllerCommand::Change(request, answer) => {
                let result = match self.check_synced() {
                    Ok(()) => self.change(*request).await,
                    Err(error) => Err(error),
                };
                answer.send(result).ok(); // the requester may be gone
            }
        }
    }

    fn check_synced(&self) -> Result<(), Error> {
        if self.is_synced() {
            return Ok(());
        }
        Err(Error::shared_unavailable(&backend::Error::NotApplied("it has not been reached yet".into())))
    }

    /// The current record of all hosts.
    async fn look(&mut self) -> Result<Arc<Record>, Error> {
        match self.reconcile().await {
            // No record is shared yet, so this host's is the one, and a deployment may bring what it lacks.
            Ok(()) | Err(SharedError::VersionLacking(_)) => Ok(self.keeper.record.clone()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a change. On an error, everything is unchanged.
    async fn change(&mut self, request: ChangeRequest<R::Version>) -> Result<AppliedChange, Error> {
        let result = self.try_change(&request).await;
        if result.is_err() {
            self.versions.drop_unneeded(&self.keeper.record);
        }
        result
    }

    async fn try_change(&mut self, request: &ChangeRequest<R::Version>) -> Result<AppliedChange, Error> {
        // Even one that was left out at the start: whoever pins to it must learn of that.
        if let Change::Pin { version, .. } = &request.change {
            self.versions.get(version, &self.keeper.record, self.replica.shared()).await?;
        }
        self.check_kept().await?;
        let stored_again = self.restore_version_file(request).await?;
        for _ in 0..MAX_ATTEMPTS {
            // At each attempt: another host's deployment may have removed it in the meantime.
            if let Some(new) = &request.new {
                self.versions.add(new).await?;
            }
            let Some(PlannedChange { next, outcome, file_here }) = self.plan(request)? else { break };
            let revision = next.revision;
            if next == *self.keeper.record {
                return Ok(AppliedChange { outcome, revision, stored_again });
            }
            let split = self.versions.split(&next, self.replica.shared()).await?;
            match self.replica.publish(&self.keeper.record, &next, &self.versions.left_out).await {
                Ok(()) => {}
                Err(PublishError::Conflict) => {
                    self.reconcile().await?;
                    continue;
                }
                Err(PublishError::Failed(error)) => return Err(error.into()),
            }
            self.write(&next, file_here).await?;
            // `daca dev` tells its author of refusals itself.
            if outcome.outcome != EventKind::Refused || request.origin.source != Source::Dev {
                log_outcome(&self.agent_type, &outcome, &next);
            }
            self.serve(next, split).await;
            return Ok(AppliedChange { outcome, revision, stored_again });
        }
        let record = &self.keeper.record;
        Err(Error::conflict(&record.serving, record.label(&record.serving)))
    }

    /// The record after a change. `None` if another change was faster than one that depends on that.
    fn plan(&self, request: &ChangeRequest<R::Version>) -> Result<Option<PlannedChange>, Error> {
        let ChangeRequest { change, origin, file, base, .. } = request;
        let current = &self.keeper.record;
        let mut next = Record::clone(current);
        let outcome = next.apply(change.clone(), origin)?;
        let was_overtaken = base.is_some_and(|base| base != current.revision);
        if was_overtaken && outcome.outcome != EventKind::Unchanged {
            return Ok(None);
        }
        if let Some(file) = file {
            next.file = Some(file.clone());
        }
        next.prune(self.rules.keep);
        // A refused file is checked again after a restart, which may bring what it lacked.
        let taken = file.as_ref().filter(|file| !file.refused).map(|file| file.digest.clone());
        let file_here = taken.or_else(|| self.keeper.file_here.clone());
        Ok(Some(PlannedChange { next, outcome, file_here }))
    }

    /// Writes the record of a change to this host's disk.
    async fn write(&mut self, next: &Record, file_here: Option<String>) -> Result<(), Error> {
        match self.keeper.write(next, file_here.clone()).await {
            Ok(()) => self.keeper.file_here = file_here,
            Err(error) if self.replica.shared().is_none() => return Err(error),
            // The hosts have already agreed on it.
            Err(error) => {
                tracing::error!(code = error.code.as_str(), agent_type = %self.agent_type, "{}", error.message);
            }
        }
        Ok(())
    }

    /// Publishes a record to the turns, and releases versions that are no longer needed.
    async fn serve(&mut self, record: Record, split: TrafficSplit<R::Version>) {
        self.analysis.follow(&self.versions.serving(), &record, &split);
        self.versions.swap(split);
        self.replica.takeover_done();
        self.keeper.set(record);
        self.versions.drop_unneeded(&self.keeper.record);
        self.show();
        self.versions.remove_unneeded(&self.keeper.record).await;
    }

    fn show(&self) {
        self.view.send_modify(|view| {
            view.record = self.keeper.record.clone();
            view.serving = self.versions.serving();
            view.counters = self.versions.counters.clone();
        });
        self.changes.send_replace(());
    }

    fn is_synced(&self) -> bool {
        self.view.borrow().is_synced
    }

    fn mark_synced(&self) {
        self.versions.active.set_known();
        self.view.send_modify(|view| view.is_synced = true);
    }
}

#[cfg(test)]
mod tests;
