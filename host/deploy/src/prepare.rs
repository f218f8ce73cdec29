//! From bytes to a version that may serve: all checks, in the order of their cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use bytesize::ByteSize;
use parking_lot::Mutex;

use super::Error;
use daca_manifest::signature;
use daca_manifest::{AgentType, DeployRules};
use daca_runtime::actor::{Actors, SmokeTestFailure};
use daca_runtime::component::{
    Compiling, ComponentVersion, Engine, Outline, ParsedScript, imports_without_permission,
};

/// The maximum length of a label in bytes.
const MAX_LABEL: usize = 64;

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

/// A version that passed all checks.
pub(super) struct Prepared {
    pub(super) version: Arc<ComponentVersion>,
    pub(super) label: Arc<str>,
}

impl Preparation {
    pub(super) fn new(engine: Engine, rules: Arc<DeployRules>, actors: Option<Actors>) -> Preparation {
        Preparation { engine, rules, actors, kept: Arc::default() }
    }

    /// Checks the signature and the memory, and compiles: the steps for every version, even one that has served before.
    pub(super) async fn load(
        &self,
        agent: &Arc<AgentType>,
        name: &str,
        wasm: Bytes,
        signature: Option<&str>,
    ) -> Result<Arc<ComponentVersion>, Error> {
        self.load_if(agent, name, wasm, signature, |_imports| Ok(())).await
    }

    /// All checks of a new version.
    pub(super) async fn check(
        &self,
        actors: &Actors,
        agent: &Arc<AgentType>,
        wasm: Bytes,
        signature: Option<&str>,
        label: Option<&str>,
    ) -> Result<Prepared, Error> {
        let permitted = |imports: &[String]| check_permissions(agent, imports);
        let version = self.load_if(agent, "the component", wasm, signature, permitted).await?;
        actors.try_version(agent, &version).await.map_err(into_error)?;
        let label = label_for(actors, agent, &version, label).await?;
        Ok(Prepared { version, label })
    }

    /// Compiles a version if it is signed, and its declarations are permitted.
    async fn load_if(
        &self,
        agent: &Arc<AgentType>,
        name: &str,
        wasm: Bytes,
        signature: Option<&str>,
        permitted: impl FnOnce(&[String]) -> Result<(), Error>,
    ) -> Result<Arc<ComponentVersion>, Error> {
        signature::verify(&self.rules.signers, &wasm, signature)?;
        let version = load(&self.engine, self.actors.as_ref(), agent, name, wasm, permitted).await?;
        Ok(Arc::new(version))
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

/// Loads a version: a component is compiled once its declarations are permitted, a script is parsed and evaluated. `name` is
/// the origin of the bytes in errors. With the `actors` of a host that serves, it takes no more than its type's share of it.
pub(super) async fn load(
    engine: &Engine,
    actors: Option<&Actors>,
    agent: &Arc<AgentType>,
    name: &str,
    wasm: Bytes,
    permitted: impl FnOnce(&[String]) -> Result<(), Error>,
) -> Result<ComponentVersion, Error> {
    let compiling = if actors.is_some() { Compiling::Serving } else { Compiling::Starting };
    if daca_script::is_script(&wasm) {
        let script = ParsedScript::parse(engine, name, wasm, compiling).await?;
        let outcome = match actors {
            Some(actors) => actors.evaluate(agent, script.provisional()).await.map_err(into_error)?,
            None => script.evaluate(agent).await,
        };
        let version = script.described(outcome)?;
        permitted(&version.imports)?;
        return Ok(version);
    }
    let outline = Outline::read(name, wasm.clone()).await?;
    permitted(&outline.imports)?;
    check_memory(agent, name, outline.memory)?;
    Ok(ComponentVersion::from_outline(engine, name, outline, wasm, compiling).await?)
}

/// Checks that something is permitted for every imported interface that needs a permission. A version that would only
/// get refusals is better not admitted.
pub fn check_permissions(agent: &AgentType, imports: &[String]) -> Result<(), Error> {
    let missing = imports_without_permission(imports, &agent.permissions);
    if missing.is_empty() { Ok(()) } else { Err(Error::not_permitted(&agent.name, &missing)) }
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
