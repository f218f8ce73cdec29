//! A script as a version: the host's own engine is its component, and the script is the engine's input.
//!
//! The engine is compiled once for all scripts. A deployment of a script compiles nothing: it is parsed in the compiler
//! process, evaluated once to learn what it has, and ready.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::outline::interface;
use super::pool_needs::PoolNeeds;
use super::refusal::{LoadError, Refusal, interrupted, invalid_script, rejected, root_cause};
use super::script_description::{Described, read_description};
use super::script_engine::{LinkedEngine, engine_digest};
use super::script_source::{Script, Source};
use super::version::{Images, Indices, reserved_code};
use super::{
    ActivationCost, Compiling, ComponentVersion, Engine, Instance, InstancePlace, Outcome, Outline,
    PrecompileError, precompiled,
};
use crate::imports::{NullBackend, TurnScope, WakeupHandlers, scratch_scope};
use daca_base::digest::digest;
use daca_base::memory::MemoryKind;
use daca_base::shares::SharedRate;
use daca_base::{Explained, Explanation};
use daca_manifest::AgentType;
use daca_model::{FileName, TurnKind};
use daca_script::{ENGINE, Prepared, Problem, interfaces_of};

/// The actor that evaluates a script to learn what it has.
const ACTOR_ID: &str = "daca-description";

/// The hooks of a script, and the interfaces of the contract that they stand for.
const HOOKS: [(&str, &str); 6] = [
    ("activate", "lifecycle"),
    ("deactivate", "lifecycle"),
    ("onReminder", "on-reminder"),
    ("onTimer", "on-timer"),
    ("onEffectFailed", "on-effect-failed"),
    ("migrate", "migration"),
];

/// A script that was parsed. It is evaluated once, to learn what it has, and is a version then.
pub struct ParsedScript {
    engine: Engine,
    /// The origin of the text in errors.
    name: String,
    /// The name of its file in stacks.
    file: Option<FileName>,
    text: Bytes,
    prepared: Prepared,
    linked: LinkedEngine,
    provisional: Arc<ComponentVersion>,
}

impl ParsedScript {
    /// Parses a script. `name` is the origin of the text in errors, and `file` the name of its file in stacks. Needs a
    /// tokio runtime.
    pub async fn parse(
        engine: &Engine,
        name: &str,
        file: Option<FileName>,
        text: Bytes,
        compiling: Compiling,
    ) -> Result<ParsedScript, LoadError> {
        let named = |refusal| LoadError::new(name.to_owned(), refusal);
        let linked = linked(engine, compiling).await.map_err(named)?;
        let prepared = engine.compiler.prepare_script(text.clone()).await.map_err(named)?;
        let prepared = prepared.map_err(|Problem { line, column, message }| {
            LoadError::new(format!("{name}:{line}:{column}"), invalid_script(&message))
        })?;
        let provisional = version(engine, &linked, &text, &prepared, file.clone(), Described::default());
        let provisional = Arc::new(provisional.map_err(named)?);
        let (engine, name) = (engine.clone(), name.to_owned());
        Ok(ParsedScript { engine, name, file, text, prepared, linked, provisional })
    }

    /// The version to evaluate, in a turn of [`TurnKind::Describe`]. It cannot do anything else.
    pub fn provisional(&self) -> &Arc<ComponentVersion> {
        &self.provisional
    }

    /// Evaluates it where no host serves: in an instance that is not counted, on the thread of the caller.
    pub async fn evaluate(&self, agent: &Arc<AgentType>) -> Outcome {
        let mut instance = Instance::new(&self.engine, &self.provisional, InstancePlace::uncounted());
        let deadline = Instant::now() + agent.limits.turn_time;
        let scope = Box::new(scope(agent, None));
        // An instance's turn is a large future.
        Box::pin(instance.run(scope, &TurnKind::Describe, deadline)).await.0
    }

    /// The version, by the outcome of its evaluation.
    pub fn described(self, outcome: Outcome) -> Result<ComponentVersion, LoadError> {
        let ParsedScript { engine, name, file, text, prepared, linked, .. } = self;
        let version = read_description(outcome)
            .and_then(|described| version(&engine, &linked, &text, &prepared, file, described));
        version.map_err(|refusal| LoadError::new(name, refusal))
    }
}

/// Writes the engine's code into a folder for [`EngineOptions::precompiled`](super::EngineOptions::precompiled), and returns
/// the file. Does nothing if the folder has it.
pub async fn precompile_script_engine(
    engine: &Engine,
    folder: &Path,
) -> Result<PathBuf, PrecompileScriptsError> {
    let digest = engine_digest();
    let path = precompiled::file(folder, digest);
    let named = |refusal| LoadError::new("the engine of scripts".to_owned(), refusal);
    let outline = Outline::of_engine(ENGINE).map_err(named)?;
    let variant = engine.variant(engine.initial_memory(&outline));
    if precompiled::read(folder, &variant.wasmtime, digest).is_some() {
        return Ok(path);
    }
    let linked = linked(engine, Compiling::Starting).await.map_err(named)?;
    Ok(precompiled::write(folder, linked.pre.component(), digest)?)
}

/// Why there is no code of the engine.
#[derive(Debug, thiserror::Error)]
pub enum PrecompileScriptsError {
    /// It was not compiled.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It was not written.
    #[error(transparent)]
    Write(#[from] PrecompileError),
}

impl Explained for PrecompileScriptsError {
    fn explanation(&self) -> Option<Explanation<'_>> {
        match self {
            PrecompileScriptsError::Load(error) => error.explanation(),
            PrecompileScriptsError::Write(error) => error.explanation(),
        }
    }
}

async fn linked(engine: &Engine, compiling: Compiling) -> Result<LinkedEngine, Refusal> {
    engine.scripts.0.get_or_try_init(|| link(engine, compiling)).await.cloned()
}

async fn link(engine: &Engine, compiling: Compiling) -> Result<LinkedEngine, Refusal> {
    // The engine has megabytes: to read it takes some milliseconds.
    let read =
        tokio::task::spawn_blocking(|| Ok::<_, Refusal>((engine_digest(), Outline::of_engine(ENGINE)?)));
    let (digest, outline) = read.await.map_err(|_ended| interrupted())??;
    let initial_memory = engine.initial_memory(&outline);
    let wasm = Bytes::from_static(ENGINE);
    let component = engine.compiler.component(digest, initial_memory, wasm, compiling).await?;
    let images = Images::reserve(engine, initial_memory, outline.data)?;
    let code = reserved_code(engine, &component, &images);
    let linker = engine.variant(initial_memory).linker.clone();
    let linked = tokio::task::spawn_blocking(move || linker.instantiate_pre(&component));
    let pre = linked.await.map_err(|_ended| interrupted())?.map_err(|error| rejected(&root_cause(&error)))?;
    let image_bytes = images.bytes;
    Ok(LinkedEngine { outline, pre, initial_memory, image_bytes, _held: Arc::new((code, images.files)) })
}

fn version(
    engine: &Engine,
    linked: &LinkedEngine,
    text: &Bytes,
    prepared: &Prepared,
    file: Option<FileName>,
    described: Described,
) -> Result<ComponentVersion, Refusal> {
    let Described { methods, hooks, .. } = described;
    let has = |hook: &str| hooks.iter().any(|it| it == hook);
    let mut exports = vec![interface("actor")];
    for (hook, name) in HOOKS {
        let name = interface(name);
        if has(hook) && !exports.contains(&name) {
            exports.push(name);
        }
    }
    let mut imports =
        prepared.imported.iter().flat_map(|name| interfaces_of(name)).copied().collect::<Vec<_>>();
    imports.sort_unstable();
    imports.dedup();
    let source = Source::of(prepared, file.as_ref());
    let mut kept = engine.memory.reservation(MemoryKind::Code, None);
    kept.grow(source.bytes());
    Ok(ComponentVersion {
        indices: Indices::find(&linked.pre, &exports)?,
        needs: PoolNeeds::of(&linked.outline, linked.pre.component()),
        outline: Outline {
            digest: digest(text),
            bytes: text.len() as u64,
            imports: imports.into_iter().map(str::to_owned).collect(),
            exports,
            ..linked.outline
        },
        pre: linked.pre.clone(),
        activation: ActivationCost::default(),
        initial_memory: linked.initial_memory,
        image_bytes: linked.image_bytes,
        _code: kept,
        _image_files: None,
        script: Some(Arc::new(Script { source, file, methods, engine: engine_digest().to_owned() })),
    })
}

/// The turn in which a script is evaluated. It belongs to no actor, and has only the limits of its type: what it reads
/// now would not be what it reads later.
pub(crate) fn scope(agent: &Arc<AgentType>, log_rate: Option<SharedRate>) -> TurnScope {
    let handlers = WakeupHandlers { on_reminder: true, on_timer: true };
    scratch_scope(agent, [ACTOR_ID, ACTOR_ID], handlers, NullBackend::default(), log_rate)
}
