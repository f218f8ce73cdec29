//! The start of a host: the version of an agent type that it starts with.
//!
//! The version that served before the restart serves again. A canary or pinned version that cannot serve is left out.
//! If nothing was stored, the manifest's file is used. It has no fallback, so it is not smoke-tested, and a missing
//! permission is only a warning. The file never takes the place of another version that was stored and is gone: unless
//! the other hosts have that version, the start fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::library::{Kept, Library, Stored};
use super::prepare::Preparation;
use super::record::{FileSeen, Known, Origin, Record, Source, now};
use super::shared::Shared;
use super::steward::{Beginning, blocking};
use super::watch::{ComponentFile, FileContent};
use daca_base::ErrorCode;
use daca_manifest::signature;

use super::Error;
use daca_base::digest::short;
use daca_manifest::{AgentType, DeployRules};
use daca_model::backend::{self, SharedStore};
use daca_runtime::component::{
    Compiling, ComponentVersion, Engine, Rollout, Served, Serving, imports_without_permission,
};

/// The time that a start waits for the other hosts' versions. A sidecar is ready within about ten seconds.
const OTHERS_ANSWER: Duration = Duration::from_secs(40);
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// An agent type at the start of a host.
pub struct Opened {
    pub(super) beginning: Beginning,
    /// The content of the manifest's file, if it exists.
    pub(super) file: Option<FileContent>,
    /// `true` if this host has not seen it before.
    pub(super) is_new: bool,
}

impl Opened {
    /// The rollout that turns read.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.beginning.serving
    }

    /// Determines the serving version, and loads it. If the manifest's file cannot serve and nothing was stored here, or
    /// if what was stored is gone, the other hosts may have a version: then this waits for the state that they `share`.
    pub async fn open(
        engine: &Engine,
        rules: &Arc<DeployRules>,
        data: &Path,
        agent: &Arc<AgentType>,
        share: Option<Arc<dyn SharedStore>>,
    ) -> Result<Opened, Error> {
        let preparation = Preparation::new(engine.clone(), rules.clone(), Compiling::Starting);
        let library = Library::new(data, rules.versions.clone());
        let (reader, name) = (library.clone(), agent.name.clone());
        let kept = blocking(move || reader.read_record(&name)).await?;
        let path = agent.component.clone();
        let file = blocking(move || Ok(ComponentFile::read(&path))).await?;
        let is_new = kept.is_none();
        let shared = share.map(|store| Shared::new(store, agent.name.clone()));
        let (opened, file) = match kept {
            Some(kept) => {
                let file = file.ok();
                (Self::again(&preparation, &library, agent, kept, file.clone()).await, file)
            }
            None => {
                let file = file.map_err(|error| missing(agent, &error));
                check_lost(&library, agent, file.as_ref().ok(), shared.is_some()).await?;
                match file {
                    Ok(file) => (Self::first(&preparation, &library, agent, file.clone()).await, Some(file)),
                    Err(error) => (Err(error), None),
                }
            }
        };
        match (opened, shared) {
            (Err(error), Some(shared)) if is_new || is_lost(&error) => {
                Self::of_others(&preparation, &library, agent, &shared, file, error).await
            }
            (opened, _) => opened,
        }
    }

    /// A start with nothing here that can serve, such as a new pod's when its ConfigMap is damaged: it starts with the
    /// other hosts' versions. Without other hosts the start fails.
    async fn of_others(
        preparation: &Preparation,
        library: &Library,
        agent: &Arc<AgentType>,
        shared: &Shared,
        file: Option<FileContent>,
        why: Error,
    ) -> Result<Opened, Error> {
        tracing::warn!(
            agent_type = %agent.name,
            code = why.code.as_str(),
            "no component here can serve; asking the other hosts for theirs: {}",
            why.message
        );
        let deadline = tokio::time::Instant::now() + OTHERS_ANSWER;
        let (record, stored) = loop {
            match of_others(shared).await {
                Ok(Some(found)) => break found,
                Ok(None) => return Err(why),
                // The sidecar starts at the same time.
                Err(_) if tokio::time::Instant::now() < deadline => tokio::time::sleep(ASK_AGAIN).await,
                Err(_) => return Err(why),
            }
        };
        let digest = record.serving.clone();
        let version =
            preparation.load(short(&digest), stored.wasm.clone(), stored.signature.as_deref()).await?;
        let (keeper, agent_type, name) = (library.clone(), agent.name.clone(), digest.clone());
        blocking(move || keeper.store(&agent_type, &name, &stored)).await?;
        say(agent, &version);
        let left_out = record.in_use().into_iter().filter(|other| *other != digest).collect();
        let loaded = BTreeMap::from([(digest, served(&record, version))]);
        let beginning = Beginning { left_out, ..begin(agent, record, None, loaded)? };
        let is_new = file.is_some();
        Ok(Opened { beginning, file, is_new })
    }

    /// The first start with this data folder.
    async fn first(
        preparation: &Preparation,
        library: &Library,
        agent: &Arc<AgentType>,
        file: FileContent,
    ) -> Result<Opened, Error> {
        let name = agent.component.display().to_string();
        let version = preparation.load(&name, file.wasm.clone(), file.signature.as_deref()).await?;
        if let Err(error) = check_permissions(agent, &version.imports) {
            tracing::warn!(agent_type = %agent.name, code = error.code.as_str(), "{}", error.message);
        }
        let stored = Stored { wasm: file.wasm.clone(), signature: file.signature.clone() };
        let (keeper, agent_type, digest) = (library.clone(), agent.name.clone(), file.digest.clone());
        blocking(move || keeper.store(&agent_type, &digest, &stored)).await?;
        let origin = Origin { source: Source::Manifest, by: name };
        let known = Known {
            label: version.short_digest().to_owned(),
            bytes: version.bytes,
            since: now(),
            source: origin.source,
            by: origin.by.clone(),
            migrates: version.has_migration(),
            used: 1,
        };
        let seen = FileSeen { digest: file.digest.clone(), refused: false };
        let record = Record::first(file.digest.clone(), known, Some(seen), &origin);
        say(agent, &version);
        let loaded = BTreeMap::from([(file.digest.clone(), served(&record, version))]);
        let beginning = begin(agent, record, Some(file.digest.clone()), loaded)?;
        // If other hosts already serve another version, the file may be new to them.
        Ok(Opened { beginning, file: Some(file), is_new: true })
    }

    /// A start with stored versions.
    async fn again(
        preparation: &Preparation,
        library: &Library,
        agent: &Arc<AgentType>,
        kept: Kept,
        file: Option<FileContent>,
    ) -> Result<Opened, Error> {
        let Kept { file_here, record } = kept;
        let (mut loaded, mut left_out) = (BTreeMap::new(), BTreeSet::new());
        for digest in record.in_use() {
            let version = match load(preparation, library, agent, &digest).await {
                Ok(version) => version,
                Err(error) if digest == record.serving => {
                    let same = file.as_ref().filter(|file| file.digest == digest);
                    load_file(preparation, library, agent, same, error).await?
                }
                Err(error) => {
                    tracing::error!(
                        agent_type = %agent.name,
                        code = error.code.as_str(),
                        "version {} cannot serve here; version {} serves its actors: {}",
                        record.name(&digest),
                        record.name(&record.serving),
                        error.message
                    );
                    left_out.insert(digest);
                    continue;
                }
            };
            if digest == record.serving {
                say(agent, &version);
            }
            loaded.insert(digest, served(&record, version));
        }
        let is_new = file.as_ref().is_some_and(|file| file_here.as_ref() != Some(&file.digest));
        let beginning = Beginning { left_out, ..begin(agent, record, file_here, loaded)? };
        Ok(Opened { beginning, file, is_new })
    }
}

/// Returns `true` if the stored files are the obstacle. Other hosts may have the same ones.
fn is_lost(error: &Error) -> bool {
    matches!(error.code, ErrorCode::VersionUnknown | ErrorCode::VersionsUnreadable)
}

/// At a start without a record: checks whether one was here. The manifest's component may be another version than the
/// one that served, and unable to read the state of its actors, so it is not served in its place without a decision.
/// With other hosts, theirs is asked for in any case.
async fn check_lost(
    library: &Library,
    agent: &AgentType,
    file: Option<&FileContent>,
    has_others: bool,
) -> Result<(), Error> {
    let (reader, agent_type) = (library.clone(), agent.name.clone());
    let Some(lost) = blocking(move || reader.lost(&agent_type)).await? else { return Ok(()) };
    let is_same = file.is_some_and(|file| file.digest == lost.digest);
    if lost.is_folder && !is_same && !has_others {
        return Err(Error::lost(&agent.name, &lost));
    }
    tracing::warn!(
        agent_type = %agent.name,
        code = ErrorCode::VersionsMissing.as_str(),
        "{} is missing, so the history of deployments is lost; version {} served from this data folder, and the manifest's component is {}",
        lost.missing.display(),
        short(&lost.digest),
        if is_same { "the same" } else { "another version" }
    );
    Ok(())
}

/// The other hosts' versions; `None` if there are none.
async fn of_others(shared: &Shared) -> Result<Option<(Record, Stored)>, backend::Error> {
    let Some((record, _etag)) = shared.read().await? else { return Ok(None) };
    let stored = shared.get(&record.serving).await?;
    Ok(stored.map(|stored| (record, stored)))
}

/// A stored version.
async fn load(
    preparation: &Preparation,
    library: &Library,
    agent: &Arc<AgentType>,
    version: &str,
) -> Result<Arc<ComponentVersion>, Error> {
    let (library, agent_type, name) = (library.clone(), agent.name.clone(), version.to_owned());
    let stored = blocking(move || {
        let stored = library.load(&agent_type, &name)?;
        let stored =
            stored.ok_or_else(|| Error::version_lost(&agent_type, &name, &library.folder_of(&agent_type)))?;
        if !library.has(&agent_type, &name) {
            // It is in the mounted folder, which may change.
            library.store(&agent_type, &name, &stored)?;
        }
        Ok(stored)
    })
    .await?;
    preparation.load(short(version), stored.wasm, stored.signature.as_deref()).await
}

/// Loads the serving version from the manifest's file, and stores it again: the stored copy is lost or altered, or its
/// signature is no longer valid.
async fn load_file(
    preparation: &Preparation,
    library: &Library,
    agent: &Arc<AgentType>,
    file: Option<&FileContent>,
    why: Error,
) -> Result<Arc<ComponentVersion>, Error> {
    let Some(FileContent { wasm, signature, digest, .. }) = file.cloned() else { return Err(why) };
    let name = agent.component.display().to_string();
    let loaded = preparation.load(&name, wasm.clone(), signature.as_deref()).await;
    let version = loaded.map_err(|_the_file_does_not_do_either| why.clone())?;
    tracing::warn!(
        agent_type = %agent.name,
        code = why.code.as_str(),
        "{name} contains the version that serves, and replaces the kept copy: {}",
        why.message
    );
    let (keeper, agent_type, stored) = (library.clone(), agent.name.clone(), Stored { wasm, signature });
    blocking(move || keeper.store(&agent_type, &digest, &stored)).await?;
    Ok(version)
}

fn served(record: &Record, version: Arc<ComponentVersion>) -> Arc<Served> {
    let label = record.label(&version.digest).into();
    Arc::new(Served { version, label, counters: Arc::default() })
}

fn begin(
    agent: &Arc<AgentType>,
    record: Record,
    file_here: Option<String>,
    loaded: BTreeMap<String, Arc<Served>>,
) -> Result<Beginning, Error> {
    let served = |version: &str| loaded.get(version).cloned();
    let canary = record.canary.as_ref();
    let pins = record.pins.iter().filter_map(|(actor, version)| Some((actor.clone(), served(version)?)));
    let rollout = Rollout {
        serving: served(&record.serving).ok_or_else(|| Error::version_unknown(short(&record.serving)))?,
        canary: canary.and_then(|canary| Some((served(&canary.version)?, canary.share))),
        pins: pins.collect(),
        first_label: record.first_label.as_deref().map(Arc::from),
    };
    let serving = Arc::new(Serving::new(rollout, false));
    Ok(Beginning { agent: agent.clone(), record, file_here, loaded, left_out: BTreeSet::new(), serving })
}

fn say(agent: &AgentType, version: &ComponentVersion) {
    tracing::info!(
        "agent type {}: component {}, {} bytes, version {}",
        agent.name,
        agent.component.display(),
        version.bytes,
        version.short_digest()
    );
}

fn missing(agent: &AgentType, error: &std::io::Error) -> Error {
    let message = format!("{}: {error}", agent.component.display());
    if error.kind() == std::io::ErrorKind::FileTooLarge {
        let help = "build it with optimisation and without debug information";
        return Error::new(ErrorCode::ComponentTooLarge, message, help);
    }
    let help = "build the component, or correct its path in the manifest";
    Error::new(ErrorCode::ComponentMissing, message, help)
}

/// Reads, verifies and compiles the manifest's file, for `daca check`. Blocks.
pub fn check_file(
    engine: &Engine,
    rules: &DeployRules,
    agent: &AgentType,
) -> Result<ComponentVersion, Error> {
    let file = ComponentFile::read(&agent.component).map_err(|error| missing(agent, &error))?;
    signature::verify(&rules.signers, &file.wasm, file.signature.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::no_compiler(&error))?;
    let name = agent.component.display().to_string();
    let compiled = ComponentVersion::from_bytes(engine, &name, file.wasm, Compiling::Starting);
    Ok(runtime.block_on(compiled)?)
}

/// The problem of `versions` in `[deploy]`, if that is no folder: nothing in it can be deployed by its digest.
pub fn check_versions_folder(rules: &DeployRules) -> Option<Error> {
    let folder = rules.versions.as_ref().filter(|folder| !folder.is_dir())?;
    let message = format!("deploy.versions: {} is not a folder", folder.display());
    let help = "mount or create it, or leave the key out";
    Some(Error::new(ErrorCode::VersionsFolderMissing, message, help))
}

/// Checks that something is permitted for every imported interface that needs a permission. A version that would only
/// get refusals is better not admitted.
pub fn check_permissions(agent: &AgentType, imports: &[String]) -> Result<(), Error> {
    let missing = imports_without_permission(imports, &agent.permissions);
    if missing.is_empty() { Ok(()) } else { Err(Error::not_permitted(&agent.name, &missing)) }
}
