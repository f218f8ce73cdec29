//! A component version: one `.wasm` file, checked against the contract and compiled.
//!
//! Everything that can be wrong with a file is found here, before it serves a call, and said in the file's own terms.

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::daca::agent as guest;
use super::precompiled;
use super::{Compiling, Engine, InstanceState};
use crate::manifest::Permissions;

/// Bytes of a component file, at most.
pub const LARGEST_FILE: u64 = 256 * 1024 * 1024;
/// The version of the contract in `wit/`.
const CONTRACT: &str = "0.1.0";
/// What a component of the contract's package is named by.
const PACKAGE: &str = "daca:agent/";

/// A component that is ready to be instantiated, named by the SHA-256 of its file.
pub struct ComponentVersion {
    /// The SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// The interfaces that it exports.
    pub exports: Vec<String>,
    pub(super) pre: InstancePre<InstanceState>,
    pub(super) indices: Indices,
}

/// Where the exports of the contract are in the component.
pub(super) struct Indices {
    pub(super) actor: guest::actor::GuestIndices,
    pub(super) lifecycle: Option<guest::lifecycle::GuestIndices>,
    pub(super) on_reminder: Option<guest::on_reminder::GuestIndices>,
    pub(super) on_timer: Option<guest::on_timer::GuestIndices>,
    pub(super) migration: Option<guest::migration::GuestIndices>,
}

/// Why a file cannot serve as a component.
#[derive(Debug, thiserror::Error)]
#[error("error[{code}]: {name}: {message}\n  help: {help}")]
pub struct LoadError {
    /// Stable code, explained in `docs/errors.md`.
    pub code: &'static str,
    /// The file, or where else the bytes came from.
    pub name: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl ComponentVersion {
    /// Checks and compiles a component, or takes its compiled code from the cache. Blocks for as long as compiling takes:
    /// 0.1 s for a small Rust guest, 20 s for one that carries a JavaScript engine. It compiles on the engine's own threads, which
    /// give way to those that serve. `name` says in errors where the bytes came from.
    pub fn from_bytes(
        engine: &Engine,
        name: &str,
        wasm: &[u8],
        compiling: Compiling,
    ) -> Result<ComponentVersion, LoadError> {
        if wasm.len() as u64 > LARGEST_FILE {
            return Err(LoadError::new(name.to_owned(), too_large(wasm.len() as u64)));
        }
        engine
            .compiling
            .of(compiling)
            .install(|| Self::check(engine, wasm))
            .map_err(|refusal| LoadError::new(name.to_owned(), refusal))
    }

    fn check(engine: &Engine, wasm: &[u8]) -> Result<ComponentVersion, Refusal> {
        check_header(wasm)?;
        let digest = digest(wasm);
        let component = compile(engine, &digest, wasm)?;
        let (imports, exports) = names(engine, &component);
        check_contract(&imports, &exports)?;
        let pre = engine.linker.instantiate_pre(&component).map_err(|error| {
            let message = format!("it imports what this host does not offer: {}", root_cause(&error));
            ("component-unknown-import", message, "remove the import; wit/agent.wit lists what there is")
        })?;
        let indices = Indices::find(&pre, &exports)?;
        Ok(ComponentVersion { digest, bytes: wasm.len() as u64, imports, exports, pre, indices })
    }

    /// The first twelve digits of the digest, which name a version in the log.
    pub fn short_digest(&self) -> &str {
        short(&self.digest)
    }

    /// Interfaces that it imports although nothing of them is permitted, with the list of the manifest that would permit some.
    pub fn imports_without_permission(&self, permissions: &Permissions) -> Vec<(&str, &'static str)> {
        let list_of = |import: &str| {
            let interface = import.strip_prefix(PACKAGE)?.split('@').next()?;
            permissions.list_to_fill(interface)
        };
        self.imports.iter().filter_map(|import| Some((&**import, list_of(import)?))).collect()
    }

    /// Does it want to know when an instance begins and an activation ends?
    pub fn has_lifecycle(&self) -> bool {
        self.indices.lifecycle.is_some()
    }

    /// Can it be woken by reminders?
    pub fn has_on_reminder(&self) -> bool {
        self.indices.on_reminder.is_some()
    }

    /// Can it be woken by timers?
    pub fn has_on_timer(&self) -> bool {
        self.indices.on_timer.is_some()
    }

    /// Has its state a label, and does it change the state of actors that was kept under another one?
    pub fn has_migration(&self) -> bool {
        self.indices.migration.is_some()
    }
}

/// Code, message and help of a [`LoadError`].
type Refusal = (&'static str, String, &'static str);

impl LoadError {
    fn new(name: String, (code, message, help): Refusal) -> LoadError {
        LoadError { code, name, message, help: help.to_owned() }
    }
}

/// The SHA-256 of a component's bytes, in hexadecimal: what names a version.
pub fn digest(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}

/// The first twelve digits of a digest, which name a version to people.
pub fn short(digest: &str) -> &str {
    &digest[..digest.floor_char_boundary(12)]
}

fn too_large(bytes: u64) -> Refusal {
    let message = format!("it has {bytes} bytes, and {LARGEST_FILE} is the most");
    ("component-too-large", message, "build it with optimisation and without debug information")
}

/// Tells the usual mistakes apart before the parser says something general.
pub(crate) fn check_header(wasm: &[u8]) -> Result<(), Refusal> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    if wasm.starts_with(COMPONENT) {
        return Ok(());
    }
    if wasm.starts_with(MODULE) {
        let message = "it is a core module, not a component".to_owned();
        return Err((
            "component-is-module",
            message,
            "build it for the target wasm32-wasip2, which makes components",
        ));
    }
    let message = match wasm.len() {
        0 => "it is empty".to_owned(),
        _ => "it does not begin like a WebAssembly component".to_owned(),
    };
    Err(("component-invalid", message, "name the .wasm file that the build for wasm32-wasip2 made"))
}

fn compile(engine: &Engine, digest: &str, wasm: &[u8]) -> Result<Component, Refusal> {
    if let Some(component) = engine.cache.as_ref().and_then(|cache| cache.read(&engine.wasmtime, digest)) {
        return Ok(component);
    }
    let precompiled = engine.precompiled.as_deref();
    if let Some(component) =
        precompiled.and_then(|folder| precompiled::read(folder, &engine.wasmtime, digest))
    {
        return Ok(component);
    }
    let component = Component::from_binary(&engine.wasmtime, wasm).map_err(|error| {
        let message = format!("it is no valid component (cut short or altered?): {}", root_cause(&error));
        ("component-invalid", message, "copy or build the file again")
    })?;
    if let Some(cache) = &engine.cache {
        cache.write(digest, &component);
    }
    Ok(component)
}

fn names(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let component = component.component_type();
    let imports = component.imports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
    let exports = component.exports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
    (imports, exports)
}

/// A guest of another version of the contract may look right and behave wrong, so it is refused by name.
fn check_contract(imports: &[String], exports: &[String]) -> Result<(), Refusal> {
    for name in imports.iter().chain(exports) {
        let Some(version) = name.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')).map(|(_, v)| v)
        else {
            continue;
        };
        if version != CONTRACT {
            let message = format!(
                "it was built for version {version} of the contract, and this host speaks {CONTRACT} ({name})"
            );
            return Err(("component-contract-version", message, "build it against this host's wit/ or SDK"));
        }
    }
    if !exports.contains(&format!("{PACKAGE}actor@{CONTRACT}")) {
        let message =
            format!("it does not export {PACKAGE}actor@{CONTRACT}, the one interface that every agent has");
        return Err((
            "component-lacks-export",
            message,
            "put #[agent] on the agent's impl, or export the interface by hand",
        ));
    }
    Ok(())
}

impl Indices {
    fn find(pre: &InstancePre<InstanceState>, exports: &[String]) -> Result<Indices, Refusal> {
        let has = |interface: &str| exports.contains(&format!("{PACKAGE}{interface}@{CONTRACT}"));
        let mismatch = |error: wasmtime::Error| {
            let message = format!("an export does not have the form of the contract: {}", root_cause(&error));
            ("component-lacks-export", message, "build it against this host's wit/ or SDK")
        };
        let actor = guest::actor::GuestIndices::new(pre).map_err(mismatch)?;
        let lifecycle = has("lifecycle")
            .then(|| guest::lifecycle::GuestIndices::new(pre))
            .transpose()
            .map_err(mismatch)?;
        let on_reminder = has("on-reminder")
            .then(|| guest::on_reminder::GuestIndices::new(pre))
            .transpose()
            .map_err(mismatch)?;
        let on_timer =
            has("on-timer").then(|| guest::on_timer::GuestIndices::new(pre)).transpose().map_err(mismatch)?;
        let migration = has("migration")
            .then(|| guest::migration::GuestIndices::new(pre))
            .transpose()
            .map_err(mismatch)?;
        Ok(Indices { actor, lifecycle, on_reminder, on_timer, migration })
    }
}

/// wasmtime's chain of causes in one line.
fn root_cause(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}
