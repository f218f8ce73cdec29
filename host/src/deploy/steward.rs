//! The steward of an agent type: the one task that changes what serves.
//!
//! It owns the record. Whoever wants a change sends it a [`Command`], so that changes of a type come one after the other, and
//! nothing is locked. A change is made in an order that loses nothing: the versions that it needs are loaded, the record is
//! written where all hosts see it and on this host's disk, and then the turns see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::judge::{self, Judged, Tally, Watched};
use super::library::{Kept, Library, Stored};
use super::prepare::{Preparation, label_for};
use super::record::{Change, Changed, FileSeen, Origin, Record, Source, What};
use super::shared::Shared;
use crate::actor::Actors;
use crate::backend::{self, SharedWriteError};
use crate::component::{ComponentVersion, Counters, Rollout, Served, Serving, short};
use crate::manifest::AgentType;

/// How often it is looked whether another host has changed something.
const LOOK_AT_SHARED: Duration = Duration::from_secs(1);
/// Tries of a change that other hosts get in the way of.
const TRIES: u32 = 5;
/// How long what cannot be taken over from another host is left alone.
const TAKE_OVER_AGAIN: Duration = Duration::from_secs(5);
/// Until a host that is alone looks for a state store again.
const LOOK_FOR_STORE: Duration = Duration::from_secs(60);

/// What somebody wants of a steward.
pub(super) enum Command {
    /// To know the record as all hosts have it now, so that a change can be based on it.
    Look(oneshot::Sender<Result<Arc<Record>, Error>>),
    /// A change.
    Change(Box<Wanted>),
}

/// A change that somebody wants, and where the answer goes.
pub(super) struct Wanted {
    pub(super) change: Change,
    pub(super) origin: Origin,
    /// What the manifest's file held, when the change comes from there.
    pub(super) file: Option<FileSeen>,
    /// The revision that the change is based on: it fails when another one was faster. None: on whatever there is.
    pub(super) base: Option<u64>,
    /// The new version, where there is one.
    pub(super) new: Option<New>,
    pub(super) answer: oneshot::Sender<Result<(Changed, u64), Error>>,
}

/// A version that has passed every check.
pub(super) struct New {
    pub(super) version: Arc<ComponentVersion>,
    pub(super) label: Arc<str>,
    /// Its bytes, which are kept before it serves.
    pub(super) stored: Stored,
}

/// What everybody may look at.
#[derive(Clone)]
pub(super) struct View {
    pub(super) record: Arc<Record>,
    /// The version that turns here see: another one than the record's as long as that cannot be loaded.
    pub(super) serving: String,
    pub(super) counters: BTreeMap<String, Arc<Counters>>,
    /// The first agreement with the other hosts is done.
    pub(super) is_settled: bool,
}

pub(super) struct Steward {
    agent: Arc<AgentType>,
    actors: Actors,
    preparation: Preparation,
    library: Library,
    serving: Arc<Serving>,
    shared: Option<Shared>,
    /// The shared state while there is no store for it, and when that was looked at last.
    absent: Option<(Shared, Instant)>,
    /// What was last said of the shared state, so that it is said once.
    complaint: Option<String>,
    record: Arc<Record>,
    file_here: Option<String>,
    /// Versions that are in memory: those that turns may run on, and the one that a rollback goes to.
    loaded: BTreeMap<String, Arc<Served>>,
    counters: BTreeMap<String, Arc<Counters>>,
    /// Canaries and pinned versions that could not be loaded at the start: they hinder no change.
    left_out: BTreeSet<String>,
    /// The etag of the shared record that was read last.
    etag: Option<String>,
    /// When it was tried last to serve what the record says, and failed: what served before serves on.
    not_taken_over: Option<Instant>,
    watched: Watched,
    /// The version beside the one that serves, and that one for a window after it has replaced another.
    judged_canary: Option<Judged>,
    judged_serving: Option<Judged>,
    view: watch::Sender<View>,
}

/// What a steward begins with.
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
        // A restart does not spare a version that has just replaced another one. What that one did is not known any more.
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
            loaded,
            counters,
            etag: None,
            // Another host may have what is not here.
            not_taken_over: (!left_out.is_empty()).then_some(now),
            left_out,
            watched,
            judged_canary,
            judged_serving,
            view,
        };
        (steward, receiver)
    }

    /// Changes what serves, on command and by its own judgement, until `stop`.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(judge::pause(self.preparation.rules.window));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut shared_looks = tokio::time::interval(LOOK_AT_SHARED);
        shared_looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => return,
                },
                _ = shared_looks.tick() => self.look_at_shared().await,
                _ = looks.tick() => self.judge().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        let settled = match self.view.borrow().is_settled {
            true => Ok(()),
            false => Err(Error::shared_away(&backend::Error::NotDone("it was not reached yet".into()))),
        };
        // Who asked may be gone.
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

    /// The record as all hosts have it.
    async fn look(&mut self) -> Result<Arc<Record>, Error> {
        self.agree().await.map_err(|error| Error::shared_away(&error))?;
        Ok(self.record.clone())
    }

    /// Makes a change, or answers why not; then all is as it was.
    async fn change(
        &mut self,
        change: Change,
        origin: &Origin,
        file: Option<FileSeen>,
        base: Option<u64>,
        new: Option<New>,
    ) -> Result<(Changed, u64), Error> {
        // Also one that was left out at the start: whoever pins to it has to learn of that.
        if let Change::Pin { version, .. } = &change {
            let record = self.record.clone();
            self.served(version, &record).await?;
        }
        for _ in 0..TRIES {
            // At each try: what another host has deployed meanwhile may have removed it again.
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
            // A refused file is looked at again after a restart: that may bring what it lacked.
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
                // It is agreed among the hosts already.
                Err(error) => {
                    tracing::error!(code = error.code, agent_type = %self.agent.name, "{}", error.message);
                }
            }
            let revision = next.revision;
            self.say(&changed, &next);
            self.serve(next, rollout).await;
            return Ok((changed, revision));
        }
        Err(Error::conflict(&self.record.serving, self.record.label(&self.record.serving)))
    }

    /// Keeps a new version, in memory and on disk.
    async fn take(&mut self, New { version, label, stored }: &New) -> Result<(), Error> {
        self.store(&version.digest, stored.clone()).await?;
        self.load(version.clone(), label.clone());
        Ok(())
    }

    /// All that is loaded of one version counts together.
    fn load(&mut self, version: Arc<ComponentVersion>, label: Arc<str>) -> Arc<Served> {
        let digest = version.digest.clone();
        let counters = self.counters.entry(digest.clone()).or_default().clone();
        let served = Arc::new(Served { version, label, counters });
        self.loaded.insert(digest, served.clone());
        served
    }

    /// Versions that no turn runs on are not kept in memory, except for the one that a rollback goes to.
    fn forget_unneeded(&mut self) {
        let mut needed = self.record.in_use();
        needed.extend(self.record.version_before().cloned());
        needed.insert(self.serving.now().serving.version.digest.clone());
        self.loaded.retain(|version, _| needed.contains(version));
        let is_known =
            |version: &String| self.record.versions.contains_key(version) || needed.contains(version);
        self.counters.retain(|version, _| is_known(version));
    }

    /// The rollout of a record. Loads what is not in memory.
    async fn rollout(&mut self, record: &Record) -> Result<Rollout, Error> {
        let serving = self.served(&record.serving, record).await?;
        let canary = match &record.canary {
            Some(canary) => {
                self.served_if_there(&canary.version, record).await?.map(|served| (served, canary.share))
            }
            None => None,
        };
        let mut pins = BTreeMap::new();
        for (actor, version) in &record.pins {
            if let Some(served) = self.served_if_there(version, record).await? {
                pins.insert(actor.clone(), served);
            }
        }
        let first_label = record.first_label.as_deref().map(Arc::from);
        Ok(Rollout { serving, canary, pins, first_label })
    }

    /// None for a version that was left out at the start and still cannot be had.
    async fn served_if_there(
        &mut self,
        version: &str,
        record: &Record,
    ) -> Result<Option<Arc<Served>>, Error> {
        match self.served(version, record).await {
            Err(error) if self.left_out.contains(version) && !error.is_passing() => Ok(None),
            served => served.map(Some),
        }
    }

    async fn served(&mut self, version: &str, record: &Record) -> Result<Arc<Served>, Error> {
        let label = record.label(version);
        if let Some(loaded) = self.loaded.get(version).filter(|loaded| *loaded.label == *label) {
            return Ok(loaded.clone());
        }
        let component = match self.loaded.get(version) {
            Some(loaded) => loaded.version.clone(),
            None => {
                let Stored { wasm, signature } = self.stored(version).await?;
                self.preparation.load(short(version), wasm, signature.as_deref()).await?
            }
        };
        Ok(self.load(component, label.into()))
    }

    /// The bytes of a version: from this host's folders, else from the other hosts.
    async fn stored(&self, version: &str) -> Result<Stored, Error> {
        let own = match self.load_own(version).await {
            Ok(Some(stored)) => return Ok(stored),
            Ok(None) => Error::version_unknown(short(version)),
            Err(error) => error,
        };
        let Some(shared) = &self.shared else { return Err(own) };
        let stored = shared.get(version).await.map_err(|error| Error::shared_away(&error))?;
        let stored = stored.ok_or(own)?;
        if let Err(error) = self.store(version, stored.clone()).await {
            // It is fetched again after a restart, as long as another host has it.
            tracing::warn!(code = error.code, agent_type = %self.agent.name, "{}", error.message);
        }
        Ok(stored)
    }

    async fn store(&self, version: &str, stored: Stored) -> Result<(), Error> {
        let (library, agent_type, digest) =
            (self.library.clone(), self.agent.name.clone(), version.to_owned());
        blocking(move || library.store(&agent_type, &digest, &stored)).await
    }

    async fn load_own(&self, version: &str) -> Result<Option<Stored>, Error> {
        let (library, agent_type, digest) =
            (self.library.clone(), self.agent.name.clone(), version.to_owned());
        blocking(move || library.load(&agent_type, &digest)).await
    }

    /// Writes a record where the other hosts see it, with the versions that they need for it.
    async fn publish(&mut self, record: &Record) -> Result<(), SharedWriteError> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        for version in record.in_use() {
            if let Ok(Some(stored)) = self.load_own(&version).await {
                shared.put(&version, &stored).await?;
            }
        }
        match shared.write(record, self.etag.as_deref()).await {
            // It may be written, and only the answer was lost.
            Err(SharedWriteError::Failed(error)) => match shared.read().await {
                Ok(Some((now, _))) if now == *record => {}
                _ => return Err(error.into()),
            },
            written => written?,
        }
        for version in self.record.versions.keys().filter(|version| !record.versions.contains_key(*version)) {
            if let Err(error) = shared.remove(version).await {
                tracing::warn!(agent_type = %self.agent.name, "version {} was not removed: {error}", short(version));
            }
        }
        // The next look finds the etag; until then a change finds out by a conflict.
        self.etag = shared.read().await.ok().flatten().filter(|(now, _)| now == record).map(|(_, etag)| etag);
        Ok(())
    }

    /// Writes a record on this host's disk.
    async fn keep(&self, record: &Record, file_here: Option<String>) -> Result<(), Error> {
        let (library, agent_type) = (self.library.clone(), self.agent.name.clone());
        let kept = Kept { file_here, record: record.clone() };
        blocking(move || library.write_record(&agent_type, &kept)).await
    }

    /// Lets turns see a record, and gives back what nobody needs any more.
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
        // At leisure: nobody waits for it, and callers must not feel it.
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
                tracing::warn!(agent_type, code = "rolled-back", "version {gone} is rolled back {text}");
            }
            What::Refused => {
                let code = event.and_then(|event| event.code.as_deref()).unwrap_or_default();
                tracing::error!(
                    agent_type,
                    code,
                    "version {version} is refused, and what served serves on: {text}"
                );
            }
            What::Pinned => tracing::info!(agent_type, "{text} is pinned to version {version}"),
            What::Unpinned => tracing::info!(agent_type, "{text} is no longer pinned to version {version}"),
            What::Unchanged => {}
        }
    }

    fn begin_to_judge(&mut self, next: &Record, rollout: &Rollout) {
        let now = Instant::now();
        // What turns see, which may be behind the record.
        let before = self.serving.now().serving.version.digest.clone();
        let window = self.preparation.rules.window;
        let canary = rollout.canary.as_ref().map(|(canary, _)| canary);
        let is_it = |judged: &Judged| canary.is_some_and(|canary| canary.version.digest == judged.version);
        drop(self.judged_canary.take_if(|judged| !is_it(judged)));
        if let (Some(canary), None) = (canary, &self.judged_canary) {
            let version = canary.version.digest.clone();
            self.judged_canary = Some(Judged::canary(version, canary.counters.clone(), now));
        }
        if next.serving != before {
            let tally = self.watched.look(now, window);
            let counters = rollout.serving.counters.clone();
            // Not after a rollback: what it goes back to has nothing to be compared with.
            self.judged_serving = (next.version_before() == Some(&before))
                .then(|| Judged::successor(next.serving.clone(), counters, tally, now));
        }
        if next.serving != before {
            self.watched = Watched::new(rollout.serving.counters.clone(), now);
        }
    }

    /// Rolls versions back that fail too often.
    async fn judge(&mut self) {
        let rules = self.preparation.rules.clone();
        let now = Instant::now();
        let tally: Tally = self.watched.look(now, rules.window);
        let verdict = |judged: &mut Option<Judged>| {
            let it = judged.as_mut()?;
            let found = it.verdict(&rules, tally, now).map(|text| (it.version.clone(), text));
            if found.is_none() && it.is_over(&rules, now) {
                *judged = None;
            }
            found
        };
        let canary = verdict(&mut self.judged_canary);
        let serving = verdict(&mut self.judged_serving);
        if let Some((version, text)) = canary
            && !self.roll_back(version, text).await
        {
            self.judged_canary = None;
        }
        let Some((version, text)) = serving else { return };
        if let Some(beside) = self.record.canary.as_ref().map(|canary| canary.version.clone()) {
            let text =
                format!("version {}, beside which it served, is rolled back", self.record.name(&version));
            self.roll_back(beside, text).await;
        }
        if !self.roll_back(version, text).await {
            self.judged_serving = None;
        }
    }

    /// Answers whether it is done, or may be later.
    async fn roll_back(&mut self, version: String, text: String) -> bool {
        let change = Change::RollBack { force: true, text, only: Some(version.clone()) };
        let origin = Origin { source: Source::Host, by: "the host, by the rules in [deploy]".into() };
        let Err(error) = self.change(change, &origin, None, None, None).await else { return true };
        let (agent_type, code) = (&*self.agent.name, error.code);
        let is_there = self.record.serving == version
            || self.record.canary.as_ref().is_some_and(|canary| canary.version == version);
        match error.is_passing() {
            true if is_there => {
                tracing::warn!(agent_type, code, "it is rolled back later: {}", error.message);
                true
            }
            // Of several hosts that come to the same verdict, one is the first.
            _ if !is_there => {
                tracing::debug!(agent_type, code, "it was not rolled back: {}", error.message);
                false
            }
            _ => {
                tracing::error!(agent_type, code, "it was not rolled back: {}", error.message);
                false
            }
        }
    }

    async fn look_at_shared(&mut self) {
        let absent = self.absent.take_if(|(_, looked_at)| looked_at.elapsed() >= LOOK_FOR_STORE);
        let was_absent = absent.is_some();
        self.shared = self.shared.take().or(absent.map(|(shared, _)| shared));
        if self.shared.is_none() {
            return;
        }
        let is_settled = self.view.borrow().is_settled;
        match self.agree().await {
            Ok(()) => {
                if was_absent {
                    tracing::info!(agent_type = %self.agent.name, "deployments reach all hosts again");
                }
                self.complaint = None;
                if !is_settled {
                    self.settled();
                }
            }
            Err(_still_none) if was_absent => self.go_alone(),
            Err(error) if error.is_passing() => tracing::debug!(agent_type = %self.agent.name, "{error}"),
            Err(error) if !is_settled => {
                tracing::warn!(
                    code = "shared-state-missing",
                    agent_type = %self.agent.name,
                    "deployments reach this host alone, because there is no state that the hosts share: {error}. Name a state store of the sidecar as state-store in [dapr]."
                );
                self.go_alone();
                self.settled();
            }
            Err(error) if self.complaint.as_ref() != Some(&error.to_string()) => {
                tracing::error!(code = "shared-state-unavailable", agent_type = %self.agent.name, "{error}");
                self.complaint = Some(error.to_string());
            }
            Err(_said_already) => {}
        }
    }

    fn go_alone(&mut self) {
        self.absent = self.shared.take().map(|shared| (shared, Instant::now()));
    }

    /// Takes over what the hosts have agreed on; where there is nothing yet, proposes what serves here.
    async fn agree(&mut self) -> Result<(), backend::Error> {
        let Some(shared) = self.shared.clone() else { return Ok(()) };
        let Some((record, etag)) = shared.read().await? else {
            self.etag = None;
            let record = self.record.clone();
            return match self.publish(&record).await {
                // Another host was faster: its record is found at the next look.
                Ok(()) | Err(SharedWriteError::Conflict) => Ok(()),
                Err(SharedWriteError::Failed(error)) => Err(error),
            };
        };
        // The etag does not tell whether it is the same: a record that was lost and is written anew may get an etag of before.
        let is_new = record != *self.record;
        let is_time = self.not_taken_over.is_some_and(|at| at.elapsed() >= TAKE_OVER_AGAIN);
        if is_new || is_time {
            self.mind_shape(record.first_label.as_deref());
            match self.rollout(&record).await {
                Ok(rollout) => self.take_over(record, rollout).await,
                // Its bytes cannot be read now.
                Err(error) if error.is_passing() => return Err(backend::Error::Unavailable(error.message)),
                Err(error) => {
                    tracing::error!(
                        code = error.code,
                        agent_type = %self.agent.name,
                        "what another host has deployed cannot serve here: {}",
                        error.message
                    );
                    self.not_taken_over = Some(Instant::now());
                    // A change is based on it all the same: a rollback may lead to what this host has.
                    self.record = Arc::new(record);
                    self.show();
                }
            }
        }
        self.etag = Some(etag);
        Ok(())
    }

    /// Has turns look at the shape of state from now on. A version that others have and this host has not may migrate actors which
    /// live here later; what serves here must not take their state for none.
    fn mind_shape(&self, first_label: Option<&str>) {
        let now = self.serving.now();
        let (Some(first_label), None) = (first_label, &now.first_label) else { return };
        self.serving.replace(Rollout { first_label: Some(first_label.into()), ..Rollout::clone(&now) });
    }

    async fn take_over(&mut self, record: Record, rollout: Rollout) {
        if record.serving != self.record.serving || record.canary != self.record.canary {
            tracing::info!(
                agent_type = %self.agent.name,
                "version {} serves, as another host has it{}",
                record.name(&record.serving),
                record.canary.as_ref().map_or(String::new(), |canary| {
                    format!("; version {} serves {} % of the actors", short(&canary.version), canary.share)
                })
            );
        }
        if let Err(error) = self.keep(&record, self.file_here.clone()).await {
            tracing::error!(code = error.code, agent_type = %self.agent.name, "{}", error.message);
        }
        self.serve(record, rollout).await;
    }

    fn settled(&mut self) {
        self.serving.set_known();
        self.view.send_modify(|view| view.is_settled = true);
    }

    /// Gives the first version of a type the name that it has for itself, and keeps its record. Called once, before
    /// [`Steward::run`]. Where there are other hosts, what serves is known only once they were asked.
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
        self.keep(&self.record, self.file_here.clone()).await?;
        if self.shared.is_none() {
            self.settled();
        }
        Ok(())
    }
}

/// Runs what waits for a disk, on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_panicked| Err(Error::internal()))
}
