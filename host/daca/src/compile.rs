//! `daca compile`: compiles the components of a manifest when an image is built, so that no pod has to.

use std::path::{Path, PathBuf};

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
