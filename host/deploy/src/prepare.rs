//! From bytes to a version that may serve: all checks, in the order of their cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytesize::ByteSize;
use parking_lot::Mutex;

use super::Error;
use super::library::Stored;
use daca_base::telemetry::printable;
use daca_manifest::signature;
use daca_manifest::{AgentType, DeployRules};
use daca_model::{FileName, MAX_LABEL};
use daca_runtime::actor::{Actors, SmokeTestFailure};
use daca_runtime::component::{
    Compiling, ComponentVersion, Engine, Outline, ParsedScript, absent_imports, imports_without_permission,
};

/// Checks and compiles. Cheap to clone.
#[derive(Clone)]
pub(super) struct Preparation {
    pub(super) engine: Engine,
    pub(super) rules: Arc<DeployRules>,
    /// Where scripts are evaluated. `None` while the host starts: nothing else runs then.
    actors: Option<Actors>,
    /// The digests whose compiled code is kept, by type.
    kept: Arc<Mutex<BTreeMap<Arc<str>, BTreeSet<String>>>>,
}

/// The bytes of a version, before any check.
pub(crate) struct Candidate<'a> {
    /// Their origin, in errors.
    pub(crate) name: &'a str,
    /// The name of a script's file, in its stacks.
    pub(crate) file: Option<FileName>,
    /// They, and their signature.
    pub(crate) stored: Stored,
}

/// A version that passed all checks.
pub(super) struct Prepared {
    pub(super) version: Arc<ComponentVersion>,
    pub(super) label: Arc<str>,
    /// What is wrong with it, though it may serve.
    pub(super) warnings: Vec<Error>,
}

impl Preparation {
    pub(super) fn new(engine: Engine, rules: Arc<DeployRules>, actors: Option<Actors>) -> Preparation {
        Preparation { engine, rules, actors, kept: Arc::default() }
    }

    /// Checks the signature and the memory, and compiles: the steps for every version, even one that has served before.
    pub(super) async fn load(
        &self,
        agent: &Arc<AgentType>,
        candidate: Candidate<'_>,
    ) -> Result<Arc<ComponentVersion>, Error> {
        let Stored { wasm, signature } = &candidate.stored;
        signature::verify(&self.rules.signers, wasm, signature.as_deref())?;
        let version = load(&self.engine, self.actors.as_ref(), agent, candidate).await?;
        Ok(Arc::new(version))
    }

    /// All checks of a new version.
    pub(super) async fn check(
        &self,
        actors: &Actors,
        agent: &Arc<AgentType>,
        candidate: Candidate<'_>,
        label: Option<&str>,
    ) -> Result<Prepared, Error> {
        let version = self.load(agent, candidate).await?;
        actors.try_version(agent, &version).await.map_err(into_error)?;
        let label = label_for(actors, agent, &version, label).await?;
        let warnings = warnings(agent, &version);
        log_warnings(agent, &warnings);
        Ok(Prepared { version, label, warnings })
    }

    /// Adds versions whose compiled code is needed. Called for all types, before any code is removed.
    pub(super) fn need_code_of(&self, agent_type: &Arc<str>, digests: BTreeSet<String>) {
        let mut kept = self.kept.lock();
        kept.insert(agent_type.clone(), digests);
    }

    /// Removes the compiled code of all versions of a type but these.
    pub(super) fn keep_code_of(&self, agent_type: &Arc<str>, digests: BTreeSet<String>) {
        self.need_code_of(agent_type, digests);
        let kept = self.kept.lock();
        let all = kept.values().flatten().cloned().collect();
        drop(kept);
        self.engine.keep_code_of(&all);
    }
}

/// Loads a version: a component is compiled, a script is parsed and evaluated. The signature is not looked at.
/// With the `actors` of a host that serves, it takes no more than its type's share of it.
pub(super) async fn load(
    engine: &Engine,
    actors: Option<&Actors>,
    agent: &Arc<AgentType>,
    candidate: Candidate<'_>,
) -> Result<ComponentVersion, Error> {
    let Candidate { name, file, stored: Stored { wasm, .. } } = candidate;
    let compiling = if actors.is_some() { Compiling::Serving } else { Compiling::Starting };
    if daca_script::is_script(&wasm) {
        let script = ParsedScript::parse(engine, name, file, wasm, compiling).await?;
        let outcome = match actors {
            Some(actors) => actors.evaluate(agent, script.provisional()).await.map_err(into_error)?,
            None => script.evaluate(agent).await,
        };
        return Ok(script.described(outcome)?);
    }
    let outline = Outline::read(name, wasm.clone()).await?;
    check_memory(agent, name, outline.memory)?;
    Ok(ComponentVersion::from_outline(engine, name, outline, wasm, compiling).await?)
}

/// What a version imports in vain: interfaces for which the manifest permits nothing, and those that the host does not
/// offer. Every call of them fails. They are no reason to refuse it: some toolchains keep all imports of their world,
/// whether the agent uses them or not.
pub fn import_warnings(agent: &AgentType, imports: &[String]) -> Vec<Error> {
    let missing = imports_without_permission(imports, &agent.permissions);
    let not_permitted = (!missing.is_empty()).then(|| Error::not_permitted(&agent.name, &missing));
    let absent = absent_imports(imports);
    let absent = (!absent.is_empty()).then(|| Error::absent(&absent));
    not_permitted.into_iter().chain(absent).collect()
}

/// The methods that the manifest calls and a script does not have. What a component has is only known to itself.
pub fn missing_methods(agent: &AgentType, version: &ComponentVersion) -> Vec<Error> {
    let Some(script) = &version.script else { return Vec::new() };
    let missing = agent.called.iter().filter(|(method, _)| !script.methods.contains(*method));
    missing.map(|(method, line)| Error::lacks_method(method, *line, &script.methods)).collect()
}

/// What is wrong with a version, though it may serve.
pub(super) fn warnings(agent: &AgentType, version: &ComponentVersion) -> Vec<Error> {
    let mut warnings = import_warnings(agent, &version.outline.imports);
    warnings.extend(missing_methods(agent, version));
    warnings
}

/// Tells the operator of what is wrong with a version. The line of the manifest is the one that `daca check` names.
pub(super) fn log_warnings(agent: &AgentType, warnings: &[Error]) {
    let (agent_type, manifest_line) = (&*agent.name, agent.component.line);
    for Error { code, message, help } in warnings {
        tracing::warn!(
            agent_type,
            manifest_line,
            code = code.as_str(),
            "{}; {}",
            printable(message),
            printable(help)
        );
    }
}

/// An initial memory above the limit would fail in every instance. `name` is the origin of the bytes in the error.
fn check_memory(agent: &AgentType, name: &str, memory: u64) -> Result<(), Error> {
    let (needed, limit) = (ByteSize(memory), agent.limits.memory);
    if needed > limit { Err(Error::memory(name, &agent.name, needed, limit)) } else { Ok(()) }
}

/// The label of a version: its own, else that of the deployment, else its digest.
pub(super) async fn label_for(
    actors: &Actors,
    agent: &Arc<AgentType>,
    version: &Arc<ComponentVersion>,
    wanted: Option<&str>,
) -> Result<Arc<str>, Error> {
    let own = actors.label_of(agent, version).await.map_err(into_error)?;
    match (own, wanted) {
        (Some(own), Some(wanted)) if *own != *wanted => {
            Err(Error::label(format!("the component declares the label {own:?}, not {wanted:?}")))
        }
        (Some(own), _) => Ok(own),
        (None, Some(wanted)) if wanted.is_empty() || wanted.len() > MAX_LABEL => {
            Err(Error::label(format!("a label has 1 to {MAX_LABEL} bytes")))
        }
        (None, Some(wanted)) if wanted.contains(char::is_control) => {
            Err(Error::label("a label has no control characters"))
        }
        (None, Some(wanted)) => Ok(wanted.into()),
        (None, None) => Ok(version.short_digest().into()),
    }
}

fn into_error(failure: SmokeTestFailure) -> Error {
    match failure {
        SmokeTestFailure::Failed(reason) => Error::smoke_test(&reason),
        SmokeTestFailure::NoRoom => Error::no_room(),
    }
}
