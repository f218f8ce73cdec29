//! `daca compile`: compiles the components of a manifest where an image is built, so that no pod has to.

use std::path::{Path, PathBuf};

use crate::component::{self, Engine, EngineError, EngineOptions, PrecompileError};
use crate::deploy;
use crate::deploy::watch::ComponentFile;
use crate::manifest::{self, Manifest};

/// Why a manifest's components were not compiled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// There is no engine to compile with.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A component that could not serve.
    #[error(transparent)]
    Refused(#[from] Box<deploy::Error>),
    /// A component's file.
    #[error("error[component-missing]: {path}: {reason}\n  help: build the component")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// Compiling, or writing the code.
    #[error(transparent)]
    Precompile(#[from] PrecompileError),
}

/// Checks the components of a manifest, compiles them, and answers the files with their code. Blocks.
pub fn run(manifest: &Path, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let manifest = Manifest::load(manifest)?;
    let options = EngineOptions {
        max_live_instances: 1,
        largest_memory: crate::host::largest_memory(&manifest),
        code_cache: None,
        precompiled: None,
    };
    let engine = Engine::new(&options)?;
    let mut files = Vec::new();
    for agent in manifest.agents.values() {
        deploy::check_file(&engine, &manifest.deploy, agent).map_err(Box::new)?;
        let unreadable = |reason| Error::Unreadable { path: agent.component.clone(), reason };
        let content = ComponentFile::read(&agent.component).map_err(unreadable)?;
        files.push(component::precompile(&options, &content.wasm, folder)?);
    }
    Ok(files)
}
