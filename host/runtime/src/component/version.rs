//! A component version: one `.wasm` file, checked against the contract and compiled, or one [script](super::script).
//!
//! Everything that can be wrong with a file is found before it serves a call, and reported in the file's own terms. The
//! [outline](super::outline) checks the declarations; the rest is checked here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{Component, InstancePre};

use super::absent;
use super::activation_cost::ActivationCost;
use super::initial_memory::{InitialMemory, MappableData};
use super::outline::interface;
use super::pool_needs::PoolNeeds;
use super::refusal::{LoadError, Refusal, interrupted, root_cause, unknown_import};
use super::script_source::Script;
use super::{Compiling, Engine, InstanceState, Outline, PACKAGE, PrecompileError, precompiled};
use crate::contract::exports::daca::agent as guest;
use crate::imports::WakeupHandlers;
use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_base::memory::{MemoryKind, Reservation};
use daca_manifest::Permissions;
use daca_model::FileName;

/// A component that is ready to be instantiated, named by the SHA-256 of its file.
pub struct ComponentVersion {
    /// What its file declares. A script has the needs of the engine.
    pub outline: Outline,
    /// The script, for a version that is one.
    pub script: Option<Arc<Script>>,
    pub(super) pre: InstancePre<InstanceState>,
    pub(super) indices: Indices,
    pub(super) activation: ActivationCost,
    /// How its instances begin.
    pub(super) initial_memory: InitialMemory,
    /// What an instance takes of the engine's pools.
    pub(crate) needs: PoolNeeds,
    /// The bytes of an instance's memory that are mapped.
    pub(super) image_bytes: u64,
    /// The part of the host's budget of memory that its code and images take, or the text of its script.
    pub(super) _code: Reservation,
    /// The files of its images. Those of the engine of scripts are the engine's.
    pub(super) _image_files: Option<OwnedSemaphorePermit>,
}

/// The positions of the contract's exports in the component.
pub(super) struct Indices {
    pub(super) actor: guest::actor::GuestIndices,
    pub(super) lifecycle: Option<guest::lifecycle::GuestIndices>,
    pub(super) on_reminder: Option<guest::on_reminder::GuestIndices>,
    pub(super) on_timer: Option<guest::on_timer::GuestIndices>,
    pub(super) on_effect_failed: Option<guest::on_effect_failed::GuestIndices>,
    pub(super) migration: Option<guest::migration::GuestIndices>,
}

impl ComponentVersion {
    /// Checks and compiles a component, or takes its compiled code from the cache. `name` is the origin of the bytes in
    /// errors. Needs a tokio runtime.
    pub async fn from_bytes(
        engine: &Engine,
        name: &str,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Result<ComponentVersion, LoadError> {
        let outline = Outline::read(name, wasm.clone()).await?;
        Self::from_outline(engine, name, outline, wasm, compiling).await
    }

    /// The same for a component whose outline has been read. Compiling takes most of the time: 0.1 s for a small Rust
    /// guest, and 20 s for one with a JavaScript engine.
    pub async fn from_outline(
        engine: &Engine,
        name: &str,
        outline: Outline,
        wasm: Bytes,
        compiling: Compiling,
    ) -> Result<ComponentVersion, LoadError> {
        let named = |refusal| LoadError::new(name.to_owned(), refusal);
        let initial_memory = engine.initial_memory(&outline);
        let component = engine.compiler.component(&outline.digest, initial_memory, wasm, compiling);
        let component = component.await.map_err(named)?;
        let engine = engine.clone();
        let linked = tokio::task::spawn_blocking(move || Self::link(&engine, &component, outline));
        linked.await.map_err(|_ended| named(interrupted()))?.map_err(named)
    }

    fn link(engine: &Engine, component: &Component, outline: Outline) -> Result<ComponentVersion, Refusal> {
        let initial_memory = engine.initial_memory(&outline);
        let images = Images::reserve(engine, initial_memory, outline.data)?;
        let pre = absent::instantiate_pre(&engine.variant(initial_memory).linker, component)
            .map_err(|error| unknown_import(&root_cause(&error)))?;
        let indices = Indices::find(&pre, &outline.exports)?;
        Ok(ComponentVersion {
            needs: PoolNeeds::of(&outline, component),
            outline,
            script: None,
            pre,
            indices,
            activation: ActivationCost::default(),
            initial_memory,
            image_bytes: images.bytes,
            _code: reserved_code(engine, component, &images),
            _image_files: images.files,
        })
    }

    /// What an activation costs.
    pub fn activation_cost(&self) -> &ActivationCost {
        &self.activation
    }

    /// Returns `true` if an instance can be made again whenever it is needed. A script is evaluated within the first turn,
    /// which the cost of an activation does not show.
    pub fn is_cheap(&self) -> bool {
        self.script.is_none() && self.activation.is_cheap()
    }

    /// Returns `true` if its instances map their memory.
    pub(crate) fn is_mapped(&self) -> bool {
        self.initial_memory == InitialMemory::Mapped
    }

    /// Notes the time that an activation took.
    pub(super) fn activated_in(&self, took: Duration) {
        self.activation.observe(took);
    }

    /// The first twelve digits of the digest, which name a version in the log.
    pub fn short_digest(&self) -> &str {
        short(&self.outline.digest)
    }

    /// The SHA-256 of the component whose code it runs: its own, or the engine's for a script.
    pub fn code_digest(&self) -> &str {
        self.script.as_ref().map_or(&self.outline.digest, |script| &script.engine)
    }

    /// The name of a script's file, as its stacks show it.
    pub fn file(&self) -> Option<&FileName> {
        self.script.as_ref()?.file.as_ref()
    }

    /// Returns `true` if it exports `lifecycle`.
    pub fn has_lifecycle(&self) -> bool {
        self.indices.lifecycle.is_some()
    }

    /// The kinds of wake-ups that it handles.
    pub fn wakeup_handlers(&self) -> WakeupHandlers {
        WakeupHandlers {
            on_reminder: self.indices.on_reminder.is_some(),
            on_timer: self.indices.on_timer.is_some(),
        }
    }

    /// Returns `true` if it exports `on-effect-failed`.
    pub fn has_on_effect_failed(&self) -> bool {
        self.indices.on_effect_failed.is_some()
    }

    /// Returns `true` if it exports `migration`.
    pub fn has_migration(&self) -> bool {
        self.indices.migration.is_some()
    }
}

/// The images that the instances of a component map.
pub(super) struct Images {
    pub(super) bytes: u64,
    pub(super) files: Option<OwnedSemaphorePermit>,
}

impl Images {
    pub(super) fn reserve(
        engine: &Engine,
        initial_memory: InitialMemory,
        data: MappableData,
    ) -> Result<Images, Refusal> {
        Ok(match initial_memory {
            InitialMemory::Copied => Images { bytes: 0, files: None },
            InitialMemory::Mapped => {
                Images { bytes: data.image_bytes, files: Some(engine.image_files.reserve(data.images)?) }
            }
        })
    }
}

/// The part of the host's budget of memory that compiled code and its images take.
pub(super) fn reserved_code(engine: &Engine, component: &Component, images: &Images) -> Reservation {
    let image = component.image_range();
    let mut code = engine.memory.reservation(MemoryKind::Code, None);
    code.grow(image.end.addr().saturating_sub(image.start.addr()) as u64);
    code.grow(images.bytes);
    code
}

/// Writes the code of a version into a folder for [`EngineOptions::precompiled`](super::EngineOptions::precompiled).
/// Its engine is one for any processor, and its other options are those of the host that will run it. Returns the file.
/// Called by `daca compile`.
pub fn precompile(version: &ComponentVersion, folder: &Path) -> Result<PathBuf, PrecompileError> {
    precompiled::write(folder, version.pre.component(), version.code_digest())
}

/// Imported interfaces for which nothing is permitted, with the list of the manifest that would permit some.
pub fn imports_without_permission<'a>(
    imports: &'a [String],
    permissions: &Permissions,
) -> Vec<(&'a str, &'static str)> {
    let list_of = |import: &str| {
        let interface = import.strip_prefix(PACKAGE)?.split('@').next()?;
        permissions.list_to_fill(interface)
    };
    imports.iter().filter_map(|import| Some((&**import, list_of(import)?))).collect()
}

impl Indices {
    pub(super) fn find(pre: &InstancePre<InstanceState>, exports: &[String]) -> Result<Indices, Refusal> {
        let has = |name: &str| exports.contains(&interface(name));
        let mismatch = |error: wasmtime::Error| {
            let message = format!("an export does not have the form of the contract: {}", root_cause(&error));
            (ErrorCode::ComponentLacksExport, message, "build it against this host's wit/ or SDK")
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
        let on_effect_failed = has("on-effect-failed")
            .then(|| guest::on_effect_failed::GuestIndices::new(pre))
            .transpose()
            .map_err(mismatch)?;
        let migration = has("migration")
            .then(|| guest::migration::GuestIndices::new(pre))
            .transpose()
            .map_err(mismatch)?;
        Ok(Indices { actor, lifecycle, on_reminder, on_timer, on_effect_failed, migration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::EngineOptions;
    use crate::component::initial_memory::MAPPED_FROM;

    #[tokio::test]
    async fn the_bytes_of_its_data_decide_which_engine_a_component_is_for() {
        let engine = Engine::new(&EngineOptions::of_tests()).expect("an engine");
        for (bytes, expected) in
            [(MAPPED_FROM - 1, InitialMemory::Copied), (MAPPED_FROM, InitialMemory::Mapped)]
        {
            let data = "x".repeat(usize::try_from(bytes).expect("a size"));
            let memory = format!(r#"(memory (export "memory") 9) (data (i32.const 65536) "{data}")"#);
            let text = include_str!("../fake/agent.wat").replace(r#"(memory (export "memory") 1)"#, &memory);
            let wasm = wat::parse_str(text).expect("a component in text form");
            let version = ComponentVersion::from_bytes(&engine, "a", wasm.into(), Compiling::Serving).await;
            let version = version.expect("a component that can serve");
            let is_of = |kind| wasmtime::Engine::same(version.pre.engine(), &engine.variant(kind).wasmtime);
            assert!(version.initial_memory == expected && is_of(expected), "{bytes}");
            let image = if version.is_mapped() { bytes } else { 0 };
            assert_eq!((version.image_bytes, version._image_files.is_some()), (image, image > 0), "{bytes}");
        }
    }
}
