//! The start of a host: the version of an agent type that it starts with.
//!
//! The version that served before the restart serves again. A canary or pinned version that cannot serve is left out.
//! If nothing was stored, the manifest's file is used. It has no fallback, so it is not smoke-tested. The file never takes
//! the place of another version that was stored and is gone: unless the other hosts have that version, the start fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::controller::InitialState;
use super::library::{Library, Stored};
use super::prepare::{Candidate, Preparation, load, log_warnings, warnings};
use super::record::{FileSeen, LocalRecord, Origin, Record, Source, VersionMetadata, now};
use super::shared::{SharedError, SharedType};
use super::type_folder::{TypeFolder, blocking};
use super::watch::{ComponentFile, FileContent};
use daca_base::json::UnknownFields;
use daca_manifest::signature;

use super::Error;
use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_base::telemetry::printable;
use daca_manifest::{AgentType, DeployRules};
use daca_model::FileName;
use daca_model::backend::SharedStore;
use daca_runtime::component::{ActiveRollout, ComponentVersion, Engine, LoadedVersion, TrafficSplit};

/// The time that a start waits for the other hosts' versions. A sidecar is ready within about ten seconds.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(40);
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// An agent type at the start of a host, with the versions that it starts with.
pub struct AgentTypeStart {
    pub(super) agent: Arc<AgentType>,
    pub(super) initial: InitialState,
    /// The content of the manifest's file, if it exists.
    pub(super) file: Option<FileContent>,
    /// `true` if this host has not seen it before.
    pub(super) is_new: bool,
}

impl AgentTypeStart {
    /// The rollout that turns read.
    pub fn active(&self) -> &Arc<ActiveRollout> {
        &self.initial.active
    }

    /// Determines the serving version, and loads it. If the manifest's file cannot serve and nothing was stored here, or
    /// if what was stored is gone, the other hosts may have a version: then this waits for the state that they `share`.
    pub async fn open(
        engine: &Engine,
        rules: &Arc<DeployRules>,
        data: &Path,
        agent: &Arc<AgentType>,
        share: Option<Arc<dyn SharedStore>>,
    ) -> Result<AgentTypeStart, Error> {
        let preparation = Preparation::new(engine.clone(), rules.clone(), None);
        let library = Library::new(data, rules.versions.clone());
        let folder = TypeFolder::new(library, agent.name.clone());
        let shared = share.map(|store| SharedType::new(store, agent.name.clone()));
        let loader = Loader { preparation, folder, agent: agent.clone() };
        let local = loader.folder.read_record().await?;
        let path = agent.component.path.clone();
        let file = blocking(move || Ok(ComponentFile::read(&path))).await?;
        let has_record = local.is_some();
        let (start, file) = match local {
            Some(local) => {
                let file = file.ok();
                (loader.again(local, file.clone()).await, file)
            }
            None => {
                loader.check_lost(file.as_ref().ok(), shared.is_some()).await?;
                match file {
                    Ok(file) => (loader.first(file.clone()).await, Some(file)),
                    Err(error) => (Err(missing(agent, &error)), None),
                }
            }
        };
        let start = match (start, shared) {
            (Err(error), Some(shared)) if !has_record || is_lost(&error) => {
                loader.of_others(&shared, file, error).await
            }
            (start, _) => start,
        };
        start.map_err(Error::at_start)
    }
}

/// Loads the first versions of an agent type.
struct Loader {
    preparation: Preparation,
    folder: TypeFolder,
    agent: Arc<AgentType>,
}

impl Loader {
    /// At a start without a record: checks whether one was here. The manifest's component may be another version than
    /// the one that served, and unable to read the state of its actors, so it is not served in its place without a
    /// decision. With other hosts, theirs is asked for in any case.
    async fn check_lost(&self, file: Option<&FileContent>, has_others: bool) -> Result<(), Error> {
        let Some(lost) = self.folder.find_lost().await? else { return Ok(()) };
        let is_same = file.is_some_and(|file| file.digest == lost.digest);
        if lost.is_folder && !is_same && !has_others {
            return Err(Error::versions_missing(&self.agent.name, &lost));
        }
        tracing::warn!(
            agent_type = %self.agent.name,
            code = ErrorCode::VersionsMissing.as_str(),
            "{} is missing, so the history of deployments is lost; version {} served from this data folder, and the manifest's component is {}",
            lost.missing.display(),
            short(&lost.digest),
            if is_same { "the same" } else { "another version" }
        );
        Ok(())
    }

    /// A start with nothing here that can serve, such as a new pod's when its ConfigMap is damaged: it starts with the
    /// other hosts' versions. Without other hosts the start fails.
    async fn of_others(
        &self,
        shared: &SharedType,
        file: Option<FileContent>,
        why: Error,
    ) -> Result<AgentTypeStart, Error> {
        tracing::warn!(
            agent_type = %self.agent.name,
            code = why.code.as_str(),
            "no component here can serve; asking the other hosts for theirs: {}",
            printable(&why.message)
        );
        let (record, stored) = wait_for_others(shared, why).await?;
        let digest = record.serving.clone();
        let named = record.file_of(&digest);
        let candidate = Candidate { name: short(&digest), file: named, stored: stored.clone() };
        let version = self.load(candidate).await?;
        self.folder.store(&digest, stored).await?;
        self.log(&version);
        let left_out = record.in_use().into_iter().filter(|other| *other != digest).collect();
        let loaded = BTreeMap::from([(digest, loaded(&record, version))]);
        let initial = InitialState { left_out, ..initial(record, None, loaded)? };
        let is_new = file.is_some();
        Ok(AgentTypeStart { agent: self.agent.clone(), initial, file, is_new })
    }

    /// The first start with this data folder.
    async fn first(&self, file: FileContent) -> Result<AgentTypeStart, Error> {
        let name = self.agent.component.path.display().to_string();
        let stored = Stored { wasm: file.wasm.clone(), signature: file.signature.clone() };
        let named = FileName::of_path(&self.agent.component.path);
        let version = self.load(Candidate { name: &name, file: named, stored: stored.clone() }).await?;
        self.folder.store(&file.digest, stored).await?;
        let origin = Origin { source: Source::Manifest, initiated_by: name };
        let metadata = VersionMetadata {
            label: version.short_digest().to_owned(),
            bytes: version.outline.bytes,
            deployed_at: now(),
            source: origin.source.into(),
            initiated_by: origin.initiated_by.clone(),
            migrates: version.has_migration(),
            last_revision: 1,
            file: version.file().map(|file| file.as_str().to_owned()),
            unknown: UnknownFields::default(),
        };
        let seen = FileSeen::new(&file.digest);
        let record = Record::first(file.digest.clone(), metadata, Some(seen), &origin);
        self.log(&version);
        let loaded = BTreeMap::from([(file.digest.clone(), loaded(&record, version))]);
        let initial = initial(record, Some(file.digest.clone()), loaded)?;
        // If other hosts already serve another version, the file may be new to them.
        Ok(AgentTypeStart { agent: self.agent.clone(), initial, file: Some(file), is_new: true })
    }

    /// A start with stored versions.
    async fn again(&self, local: LocalRecord, file: Option<FileContent>) -> Result<AgentTypeStart, Error> {
        let LocalRecord { file_here, record } = local;
        let record = Arc::unwrap_or_clone(record);
        let (mut versions, mut left_out) = (BTreeMap::new(), BTreeSet::new());
        for digest in record.in_use() {
            let named = record.file_of(&digest);
            let version = match self.load_stored(&digest, named.clone()).await {
                Ok(version) => version,
                Err(error) if digest == record.serving => {
                    self.load_file(file.as_ref().filter(|file| file.digest == digest), named, error).await?
                }
                Err(error) => {
                    tracing::error!(
                        agent_type = %self.agent.name,
                        code = error.code.as_str(),
                        "version {} cannot serve here; version {} serves its actors: {}",
                        record.name(&digest),
                        record.name(&record.serving),
                        printable(&error.message)
                    );
                    left_out.insert(digest);
                    continue;
                }
            };
            if digest == record.serving {
                self.log(&version);
            }
            versions.insert(digest, loaded(&record, version));
        }
        let is_new = file.as_ref().is_some_and(|file| file_here.as_ref() != Some(&file.digest));
        let initial = InitialState { left_out, ..initial(record, file_here, versions)? };
        Ok(AgentTypeStart { agent: self.agent.clone(), initial, file, is_new })
    }

    async fn load(&self, candidate: Candidate<'_>) -> Result<Arc<ComponentVersion>, Error> {
        self.preparation.load(&self.agent, candidate).await
    }

    async fn load_stored(
        &self,
        version: &str,
        file: Option<FileName>,
    ) -> Result<Arc<ComponentVersion>, Error> {
        let stored = self.folder.load_recorded(version).await?;
        self.load(Candidate { name: short(version), file, stored }).await
    }

    /// Loads the serving version from the manifest's file, and stores it again: the stored copy is lost or altered, or
    /// its signature is no longer valid.
    async fn load_file(
        &self,
        file: Option<&FileContent>,
        named: Option<FileName>,
        why: Error,
    ) -> Result<Arc<ComponentVersion>, Error> {
        let Some(FileContent { wasm, signature, digest, .. }) = file.cloned() else { return Err(why) };
        let name = self.agent.component.path.display().to_string();
        let stored = Stored { wasm, signature };
        let loaded = self.load(Candidate { name: &name, file: named, stored: stored.clone() }).await;
        let version = loaded.map_err(|_the_file_does_not_do_either| why.clone())?;
        tracing::warn!(
            agent_type = %self.agent.name,
            code = why.code.as_str(),
            "{name} contains the version that serves, and replaces the kept copy: {}",
            printable(&why.message)
        );
        self.folder.store(&digest, stored).await?;
        Ok(version)
    }

    fn log(&self, version: &ComponentVersion) {
        tracing::info!(
            "agent type {}: component {}, {} bytes, version {}",
            self.agent.name,
            self.agent.component.path.display(),
            version.outline.bytes,
            version.short_digest()
        );
        log_warnings(&self.agent, &warnings(&self.agent, version));
    }
}

/// Returns `true` if the stored files are the obstacle. Other hosts may have the same ones.
fn is_lost(error: &Error) -> bool {
    matches!(error.code, ErrorCode::VersionUnknown | ErrorCode::VersionsUnreadable)
}

/// Waits for the version that the other hosts serve. If there is none, the error is the one that led here.
async fn wait_for_others(shared: &SharedType, why: Error) -> Result<(Record, Stored), Error> {
    let deadline = tokio::time::Instant::now() + OTHERS_TIMEOUT;
    loop {
        match read_others(shared).await {
            Ok(Some(found)) => return Ok(found),
            Err(error @ SharedError::TooNew(_)) => return Err(error.into()),
            // The sidecar starts at the same time.
            Err(_) if tokio::time::Instant::now() < deadline => tokio::time::sleep(RETRY_DELAY).await,
            Ok(None) | Err(_) => return Err(why),
        }
    }
}

/// The other hosts' version; `None` if there is none.
async fn read_others(shared: &SharedType) -> Result<Option<(Record, Stored)>, SharedError> {
    let Some((record, _etag)) = shared.read().await? else { return Ok(None) };
    let stored = shared.get(&record.serving).await?;
    Ok(stored.map(|stored| (record, stored)))
}

fn loaded(record: &Record, version: Arc<ComponentVersion>) -> Arc<LoadedVersion> {
    let label = record.label(&version.outline.digest).into();
    Arc::new(LoadedVersion { version, label, counters: Arc::default() })
}

fn initial(
    record: Record,
    file_here: Option<String>,
    loaded: BTreeMap<String, Arc<LoadedVersion>>,
) -> Result<InitialState, Error> {
    let version = |digest: &str| loaded.get(digest).cloned();
    let canary = record.canary.as_ref();
    let pins = record.pins.iter().filter_map(|(actor, digest)| Some((actor.clone(), version(digest)?)));
    let split = TrafficSplit {
        serving: version(&record.serving).ok_or_else(|| Error::version_unknown(short(&record.serving)))?,
        canary: canary.and_then(|canary| Some((version(&canary.version)?, canary.share))),
        pins: pins.collect(),
        first_label: record.first_label.as_deref().map(Arc::from),
    };
    let active = Arc::new(ActiveRollout::new(split, false));
    Ok(InitialState { record, file_here, loaded, left_out: BTreeSet::new(), active })
}

fn missing(agent: &AgentType, error: &std::io::Error) -> Error {
    let message = format!("{}: {error}", agent.component.path.display());
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        let help = "build it with optimisation and without debug information";
        return Error::new(ErrorCode::ComponentTooLarge, message, help);
    }
    let help = "correct the component's path in the manifest, or build it if it is not a script";
    Error::new(ErrorCode::ComponentMissing, message, help)
}

/// Reads, verifies, bounds and compiles the manifest's file, for `daca check`. Blocks.
pub fn check_file(
    engine: &Engine,
    rules: &DeployRules,
    agent: &Arc<AgentType>,
) -> Result<ComponentVersion, Error> {
    let file = ComponentFile::read(&agent.component.path).map_err(|error| missing(agent, &error))?;
    signature::verify(&rules.signers, &file.wasm, file.signature.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::no_compiler(&error))?;
    let (path, FileContent { wasm, signature, .. }) = (&agent.component.path, file);
    let (name, stored) = (path.display().to_string(), Stored { wasm, signature });
    let candidate = Candidate { name: &name, file: FileName::of_path(path), stored };
    runtime.block_on(load(engine, None, agent, candidate))
}
