//! `daca compile`: compiles the components of a manifest when an image is built, so that no pod has to.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use daca_deploy as deploy;
use daca_manifest::Manifest;
use daca_runtime::component::{self, CompileIn, Engine, EngineError, EngineOptions};

use crate::Failure;

/// Checks the components of a manifest, compiles them, and returns the files with their code. Blocks.
pub fn run(manifest: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let manifest = Manifest::load(manifest)?;
    let engine = engine(&manifest, true)?;
    let mut files = Vec::new();
    for agent in manifest.agents.values() {
        let version = deploy::check_file(&engine, &manifest.deploy, agent)?;
        files.push(component::precompile(&version, folder)?);
    }
    Ok(files)
}

/// Compiles the engine of scripts into a folder, unless that has its code. Returns the file. A build calls it, so that the
/// first script of a host does not wait for it. Blocks.
pub fn engine_of_scripts(folder: &Path) -> Result<PathBuf, Failure> {
    let engine = Engine::new(&EngineOptions {
        max_live_instances: 1,
        largest_memory: ByteSize::mib(16),
        code_cache: None,
        precompiled: Some(folder.to_owned()),
        compile_in: CompileIn::ThisProcess,
        for_any_processor: true,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::verbatim(error.to_string()))?;
    Ok(runtime.block_on(component::precompile_script_engine(&engine, folder))?)
}

/// The folder for code beside this program, if it exists: a build has put the engine of scripts there.
pub fn beside_this_program() -> Option<PathBuf> {
    let folder = std::env::current_exe().ok()?.parent()?.join(BESIDE);
    folder.is_dir().then_some(folder)
}

/// The name of the folder of [`beside_this_program`].
const BESIDE: &str = "daca-compiled";

/// An engine for a command that looks at components, and keeps nothing of them. `for_any_processor` is for code that other machines
/// run.
pub(crate) fn engine(manifest: &Manifest, for_any_processor: bool) -> Result<Engine, EngineError> {
    Engine::new(&EngineOptions {
        max_live_instances: 1,
        largest_memory: crate::host::largest_memory(manifest),
        code_cache: None,
        precompiled: None,
        compile_in: CompileIn::OwnProcess(manifest.deploy.compiling),
        for_any_processor,
    })
}
