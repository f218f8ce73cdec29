//! Hosts of one app without an engine: each has a deployment controller, and all share one store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use daca_base::digest::digest;
use daca_base::json::UnknownFields;
use daca_fakes::FakeStore;
use daca_manifest::CompileLimits;
use daca_model::FileName;
use daca_runtime::component::{Counters, TurnEnd};
use tempfile::TempDir;
use tokio_util::sync::DropGuard;

use super::super::*;
use crate::library::{Library, Stored};
use crate::prepare::Candidate;
use crate::record::{Origin, Source, VersionMetadata};

pub(super) const AGENT_TYPE: &str = "Agent";
/// The key of the record in the shared store.
pub(super) const RECORD_KEY: &str = "daca-record-Agent";

/// A version of bytes that are its name. One whose name ends in `+` has a migration.
#[derive(Debug)]
pub(super) struct FakeVersion {
    digest: String,
    has_migration: bool,
    file: Option<FileName>,
}

impl FakeVersion {
    fn new(name: &[u8], file: Option<FileName>) -> Arc<FakeVersion> {
        Arc::new(FakeVersion { digest: digest(name), has_migration: name.ends_with(b"+"), file })
    }
}

impl Version for FakeVersion {
    fn digest(&self) -> &str {
        &self.digest
    }

    fn has_migration(&self) -> bool {
        self.has_migration
    }

    fn shows(&self, file: Option<&FileName>) -> bool {
        self.file.as_ref() == file
    }
}

#[derive(Clone)]
pub(super) struct FakeRuntime;

impl VersionRuntime for FakeRuntime {
    type Version = FakeVersion;

    async fn load(&self, candidate: Candidate<'_>) -> Result<Arc<FakeVersion>, Error> {
        Ok(FakeVersion::new(&candidate.stored.wasm, candidate.file))
    }

    async fn label_of(&self, version: &Arc<FakeVersion>) -> Result<Arc<str>, Error> {
        Ok(version.digest.as_str().into())
    }

    async fn keep_code_of(&self, _: BTreeSet<String>) {}

    async fn drop_outdated_instances(&self) {}
}

/// A host that started with the version `v1`. It stops when it is dropped.
pub(super) struct Host {
    pub(super) handle: ControllerHandle<FakeVersion>,
    active: Arc<ActiveRollout<FakeVersion>>,
    folder: TempDir,
    _stop: DropGuard,
}

impl Host {
    pub(super) async fn start(store: Option<&Arc<FakeStore>>) -> anyhow::Result<Host> {
        let data = TempDir::new()?;
        let folder = TypeFolder::new(Library::new(data.path(), None), AGENT_TYPE.into());
        folder.store(&digest(b"v1"), stored("v1")).await?;
        let shared = store.map(|store| SharedType::new(store.clone(), AGENT_TYPE.into()));
        let options = ControllerOptions {
            agent_type: AGENT_TYPE.into(),
            rules: Arc::new(rules()),
            runtime: FakeRuntime,
            folder,
            shared,
            changes: watch::Sender::new(()),
        };
        let initial = initial();
        let active = initial.active.clone();
        let (mut controller, handle) = DeploymentController::new(options, initial);
        controller.begin().await?;
        let stop = CancellationToken::new();
        tokio::spawn(controller.run(stop.clone()));
        Ok(Host { handle, active, folder: data, _stop: stop.drop_guard() })
    }

    /// A deployment as the deployer asks for it: based on the record that all hosts have.
    pub(super) async fn deploy(&self, name: &str, share: u8) -> Result<AppliedChange, Error> {
        let base = self.handle.look().await?.revision;
        self.handle.change(deployment(name, share, base)).await
    }

    pub(super) async fn roll_back(&self) -> Result<AppliedChange, Error> {
        let change = Change::RollBack { force: false, text: String::new(), only: None };
        self.handle.change(ChangeRequest::new(change, origin())).await
    }

    /// Returns `true` if turns of actors without a pin run on this version, apart from the canary's.
    pub(super) fn serves(&self, name: &str) -> bool {
        let now = self.active.now();
        now.serving.version.digest == digest(name.as_bytes())
            && self.handle.serving() == now.serving.version.digest
    }

    /// The name of the file that stacks of the serving version show.
    pub(super) fn file(&self) -> Option<FileName> {
        self.active.now().serving.version.file.clone()
    }

    /// Returns `true` if this version serves a share of the actors.
    pub(super) fn has_canary(&self, name: &str) -> bool {
        let canary = self.active.now().canary.clone();
        canary.is_some_and(|(canary, _)| canary.version.digest == digest(name.as_bytes()))
    }

    /// Counts turns of the serving version.
    pub(super) fn serving_turns(&self, well: u32, failed: u32) {
        count(&self.active.now().serving.counters, well, failed);
    }

    /// Counts turns of the canary.
    pub(super) fn canary_turns(&self, well: u32, failed: u32) {
        if let Some((canary, _)) = &self.active.now().canary {
            count(&canary.counters, well, failed);
        }
    }

    /// This host's data folder.
    pub(super) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The file of a version in it.
    pub(super) fn version_file(&self, name: &str) -> PathBuf {
        self.data().join(format!("versions/{AGENT_TYPE}/{}.wasm", digest(name.as_bytes())))
    }

    /// The record on this host's disk.
    pub(super) async fn stored_record(&self) -> anyhow::Result<Option<Arc<Record>>> {
        let folder = TypeFolder::new(Library::new(self.folder.path(), None), AGENT_TYPE.into());
        Ok(folder.read_record().await?.map(|local| local.record))
    }
}

/// Waits for something that must happen within two minutes of the test's clock.
pub(super) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let result = tokio::time::timeout(Duration::from_secs(120), wait).await;
    result.map_err(|_| anyhow::anyhow!("it never happened: {what}"))
}

/// A deployment of the version of this name, whose file has it, too.
pub(super) fn deployment(name: &str, share: u8, base: u64) -> ChangeRequest<FakeVersion> {
    let file = FileName::new(name).ok();
    let version = FakeVersion::new(name.as_bytes(), file.clone());
    let change = Change::Deploy {
        version: version.digest.clone(),
        label: name.to_owned(),
        bytes: name.len() as u64,
        migrates: version.has_migration,
        share,
        file,
    };
    let new = NewVersion { version, label: name.into(), stored: stored(name) };
    ChangeRequest { base: Some(base), new: Some(new), ..ChangeRequest::new(change, origin()) }
}

pub(super) fn origin() -> Origin {
    Origin { source: Source::Api, initiated_by: "tester".into() }
}

fn stored(name: &str) -> Stored {
    Stored { wasm: Bytes::copy_from_slice(name.as_bytes()), signature: None }
}

pub(in crate::controller) fn rules() -> DeployRules {
    let compiling = CompileLimits { time: Duration::from_secs(30), memory: bytesize::ByteSize::mib(768) };
    DeployRules {
        signers: Vec::new(),
        window: Duration::from_secs(10),
        max_error_delta: 10,
        least_turns: 10,
        rolls_back: true,
        keep: 20,
        versions: None,
        versions_line: 1,
        compiling,
    }
}

fn initial() -> InitialState<FakeVersion> {
    let version = FakeVersion::new(b"v1", None);
    let digest = version.digest.clone();
    let metadata = VersionMetadata {
        label: "v1".into(),
        bytes: 2,
        deployed_at: "2026-01-01T00:00:00.000Z".into(),
        source: Source::Manifest.into(),
        initiated_by: "agent.wasm".into(),
        migrates: false,
        last_revision: 1,
        file: None,
        unknown: UnknownFields::default(),
    };
    let record = Record::first(digest.clone(), metadata, None, &origin());
    let loaded = Arc::new(LoadedVersion { version, label: "v1".into(), counters: Arc::default() });
    let split =
        TrafficSplit { serving: loaded.clone(), canary: None, pins: BTreeMap::new(), first_label: None };
    InitialState {
        record,
        file_here: None,
        loaded: BTreeMap::from([(digest, loaded)]),
        left_out: BTreeSet::new(),
        active: Arc::new(ActiveRollout::new(split, false)),
    }
}

fn count(counters: &Counters, well: u32, failed: u32) {
    (0..well).for_each(|_| counters.count(TurnEnd::Well));
    (0..failed).for_each(|_| counters.count(TurnEnd::Failed));
}
