//! A script as a version: the host's own engine is its component, and the script is the engine's input.
//!
//! The engine is compiled once for all scripts. A deployment of a script compiles nothing: it is parsed in the compiler
//! process, evaluated once to learn what it has, and ready.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, ComponentType, InstancePre, Lift, Linker, Lower};

use super::outline::interface;
use super::refusal::{LoadError, Refusal, interrupted, rejected, root_cause};
use super::version::Indices;
use super::{Compiling, ComponentVersion, Engine, Instance, InstanceState, Outcome, Outline};
use crate::imports::{NullBackend, ScopeOptions, StateCache, TurnScope, WakeupHandlers};
use daca_base::ErrorCode;
use daca_base::digest::digest;
use daca_manifest::AgentType;
use daca_model::{ActorAddress, CallContext, TurnKind};
use daca_script::{ENGINE, Prepared, Problem, interfaces_of};

/// The interface from which the engine takes its script.
const SOURCE: &str = "daca:script/source@0.1.0";
/// The interface by which it says what the script has.
const DESCRIPTION: &str = "daca:script/description@0.1.0";
/// The name of the script's file in stacks.
const FILE: &str = "script";
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

/// What the engine evaluates: the record of its import.
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(super) struct Source {
    file: Arc<str>,
    body: Arc<str>,
    lines: Arc<[u32]>,
}

/// A script of a version.
#[derive(Debug)]
pub struct Script {
    source: Source,
    /// The methods that callers reach.
    pub methods: Vec<String>,
    /// The SHA-256 of the engine, in hexadecimal.
    pub engine: String,
}

/// What the engine says of a script.
#[derive(Debug, Default, ComponentType, Lift, serde::Serialize, serde::Deserialize)]
#[component(record)]
struct Described {
    methods: Vec<String>,
    hooks: Vec<String>,
    schema: Option<String>,
}

/// The engine, compiled and linked at the first script.
#[derive(Clone, Default)]
pub(super) struct ScriptEngine(Arc<OnceCell<Linked>>);

#[derive(Clone)]
struct Linked {
    digest: String,
    outline: Outline,
    pre: InstancePre<InstanceState>,
}

/// Links the import of the script. Only the engine can have it: `imports::offers` does not know it.
pub(super) fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.instance(SOURCE)?.func_wrap(
        "read",
        |store: wasmtime::StoreContextMut<'_, InstanceState>, (): ()| {
            let script = store.data().script.clone();
            let script = script.ok_or_else(|| wasmtime::Error::msg("this instance has no script"))?;
            Ok((script.source.clone(),))
        },
    )
}

/// The SHA-256 of the engine's file, under which its code is kept.
pub(super) fn engine_digest() -> String {
    digest(ENGINE)
}

impl ComponentVersion {
    /// Parses and evaluates a script. `name` is the origin of the text in errors. Needs a tokio runtime.
    pub async fn from_script(
        engine: &Engine,
        name: &str,
        text: Bytes,
        agent: &Arc<AgentType>,
        compiling: Compiling,
    ) -> Result<ComponentVersion, LoadError> {
        let named = |refusal| LoadError::new(name.to_owned(), refusal);
        let linked = engine.scripts.linked(engine, compiling).await.map_err(named)?;
        let prepared = engine.compiler.prepare_script(text.clone()).await.map_err(named)?;
        let prepared = prepared.map_err(|Problem { line, column, message }| {
            LoadError::new(format!("{name}:{line}:{column}"), invalid(&message))
        })?;
        let provisional = version(&linked, &text, &prepared, Described::default()).map_err(named)?;
        let described = describe(engine, provisional, agent).await.map_err(named)?;
        version(&linked, &text, &prepared, described).map_err(named)
    }
}

impl ScriptEngine {
    async fn linked(&self, engine: &Engine, compiling: Compiling) -> Result<Linked, Refusal> {
        self.0.get_or_try_init(|| link(engine, compiling)).await.cloned()
    }
}

async fn link(engine: &Engine, compiling: Compiling) -> Result<Linked, Refusal> {
    let digest = engine_digest();
    let component = engine.compiler.component(&digest, Bytes::from_static(ENGINE), compiling).await?;
    let linker = engine.linker.clone();
    let linked = tokio::task::spawn_blocking(move || linker.instantiate_pre(&component));
    let pre = linked.await.map_err(|_ended| interrupted())?.map_err(|error| rejected(&root_cause(&error)))?;
    let outline = Outline::of_engine(ENGINE)?;
    Ok(Linked { digest, outline, pre })
}

fn version(
    linked: &Linked,
    text: &Bytes,
    prepared: &Prepared,
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
    let source = Source {
        file: FILE.into(),
        body: prepared.body.as_str().into(),
        lines: prepared.lines.as_slice().into(),
    };
    Ok(ComponentVersion {
        digest: digest(text),
        bytes: text.len() as u64,
        imports: imports.into_iter().map(str::to_owned).collect(),
        indices: Indices::find(&linked.pre, &exports)?,
        exports,
        pre: linked.pre.clone(),
        memory: linked.outline.memory,
        script: Some(Arc::new(Script { source, methods, engine: linked.digest.clone() })),
    })
}

/// Evaluates a script in an instance of its own, within the limits of its agent type.
async fn describe(
    engine: &Engine,
    version: ComponentVersion,
    agent: &Arc<AgentType>,
) -> Result<Described, Refusal> {
    let permits = Arc::new(Semaphore::new(1));
    let place = permits.acquire_owned().await.map_err(|_closed| interrupted())?;
    let mut instance = Instance::new(engine, &Arc::new(version), place);
    let nowhere = Arc::new(NullBackend::default());
    let scope = TurnScope::new(
        ScopeOptions {
            actor: ActorAddress { agent_type: agent.name.clone(), id: ACTOR_ID.into() },
            agent: agent.clone(),
            handlers: WakeupHandlers { on_reminder: true, on_timer: true },
            migrate_from: None,
            backend: nowhere.clone(),
            calls: nowhere,
            turn_id: ACTOR_ID.into(),
            context: CallContext::default(),
            cache: StateCache::default(),
            nested_commits: Arc::default(),
        },
        None,
        false,
    );
    let deadline = Instant::now() + agent.limits.turn_time;
    match instance.run(Box::new(scope), TurnKind::Describe, deadline).await.0 {
        Outcome::Reply(json) => daca_base::json::read(&json)
            .map_err(|error| invalid(&format!("its description is unreadable: {error}"))),
        Outcome::Failure(failure) => {
            use crate::contract::daca::agent::types::Failure::{Failed, Invalid, NotFound};
            let (Invalid(text) | NotFound(text) | Failed(text)) = failure;
            Err(invalid(&text))
        }
        Outcome::Fault(fault) => Err(invalid(&format!("it cannot be evaluated: {fault}"))),
    }
}

/// Asks a live engine what its script has. The reply is JSON of [`Described`].
pub(super) async fn call_describe(
    store: &mut Store<InstanceState>,
    instance: &wasmtime::component::Instance,
) -> wasmtime::Result<Outcome> {
    let missing = || wasmtime::Error::msg("the engine does not describe its script");
    let (_, at) = instance.get_export(&mut *store, None, DESCRIPTION).ok_or_else(missing)?;
    let (_, at) = instance.get_export(&mut *store, Some(&at), "describe").ok_or_else(missing)?;
    let describe = instance.get_typed_func::<(), (Result<Described, String>,)>(&mut *store, &at)?;
    let (described,) = describe.call_async(&mut *store, ()).await?;
    Ok(match described {
        Ok(described) => Outcome::Reply(serde_json::to_vec(&described).map_err(wasmtime::Error::new)?.into()),
        Err(text) => Outcome::Failure(crate::contract::daca::agent::types::Failure::Invalid(text)),
    })
}

/// The refusal of a script, with what is wrong and where.
pub(super) fn invalid(message: &str) -> Refusal {
    (
        ErrorCode::ScriptInvalid,
        message.to_owned(),
        "correct the script; lines and columns are those of its file",
    )
}
