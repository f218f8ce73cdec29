//! `daca compile`: compiles the components of a manifest when an image is built, so that no pod has to.

use std::path::{Path, PathBuf};

use daca_deploy as deploy;
use daca_manifest as manifest;
use daca_manifest::Manifest;
use daca_runtime::component::{self, CompileIn, Engine, EngineError, EngineOptions, PrecompileError};

/// Why the components of a manifest were not compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// There is no engine to compile for.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component that could not serve.
    #[error(transparent)]
    Refused(#[from] Box<deploy::Error>),
    /// The code could not be written.
    #[error(transparent)]
    Precompile(#[from] PrecompileError),
}

/// Checks the components of a manifest, compiles them, and returns the files with their code. Blocks.
pub fn run(manifest: &Path, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let manifest = Manifest::load(manifest)?;
    let engine = engine(&manifest, true)?;
    let mut files = Vec::new();
    for agent in manifest.agents.values() {
        let version = deploy::check_file(&engine, &manifest.deploy, agent).map_err(Box::new)?;
        files.push(component::precompile(&version, folder)?);
    }
    Ok(files)
}

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
