//! From bytes to a version that may serve: every check that comes before, in the order of what it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Error, check_permissions, signature};
use crate::actor::{Actors, TrialFailure};
use crate::component::{Compiling, ComponentVersion, Engine, LoadError};
use crate::manifest::{AgentType, DeployRules};

/// Bytes of a label, at most.
const LONGEST_LABEL: usize = 64;

/// How long a component is compiled in the time that nobody else wants, before it gets a part of everybody's.
const ASIDE_FOR: Duration = Duration::from_secs(3);

/// Checks and compiles. Cheap to clone.
#[derive(Clone)]
pub(super) struct Preparation {
    pub(super) engine: Engine,
    pub(super) rules: Arc<DeployRules>,
    /// The digests whose compiled code is kept, by type.
    kept: Arc<Mutex<BTreeMap<Arc<str>, BTreeSet<String>>>>,
}

/// A version that passed.
pub(super) struct Prepared {
    pub(super) version: Arc<ComponentVersion>,
    pub(super) label: Arc<str>,
}

impl Preparation {
    pub(super) fn new(engine: Engine, rules: Arc<DeployRules>) -> Preparation {
        Preparation { engine, rules, kept: Arc::default() }
    }

    /// Checks the signature and compiles: what every version needs, also one that has served before. It is compiled aside from
    /// what serves, and when that leaves no time for it, on threads that take some.
    pub(super) async fn load(
        &self,
        name: &str,
        wasm: Bytes,
        signature: Option<&str>,
    ) -> Result<Arc<ComponentVersion>, Error> {
        signature::verify(&self.rules.signers, &wasm, signature)?;
        let compile = |compiling: Compiling| {
            let (engine, name, wasm) = (self.engine.clone(), name.to_owned(), wasm.clone());
            tokio::task::spawn_blocking(move || {
                ComponentVersion::from_bytes(&engine, &name, &wasm, compiling)
            })
        };
        let mut aside = compile(Compiling::Aside);
        let compiled = match tokio::time::timeout(ASIDE_FOR, &mut aside).await {
            Ok(compiled) => compiled,
            // What was begun aside cannot be stopped; whichever is first counts.
            Err(_elapsed) => tokio::select! {
                compiled = aside => compiled,
                compiled = compile(Compiling::Soon) => compiled,
            },
        };
        let version = compiled.map_err(|_panicked| Error::internal())?;
        Ok(Arc::new(version.map_err(|error: LoadError| Error::from(error))?))
    }

    /// Everything that a new version has to pass.
    pub(super) async fn check(
        &self,
        actors: &Actors,
        agent: &Arc<AgentType>,
        wasm: Bytes,
        signature: Option<&str>,
        label: Option<&str>,
    ) -> Result<Prepared, Error> {
        let version = self.load("the component", wasm, signature).await?;
        check_permissions(agent, &version)?;
        actors.try_version(agent, &version).await.map_err(into_error)?;
        let label = label_for(actors, agent, &version, label).await?;
        Ok(Prepared { version, label })
    }

    /// Compiled code of these versions is needed. Called for all types, before anything is removed for one of them.
    pub(super) fn need_code_of(&self, agent_type: &Arc<str>, digests: BTreeSet<String>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(agent_type.clone(), digests);
    }

    /// Compiled code of a type's versions is kept for these alone.
    pub(super) fn keep_code_of(&self, agent_type: &Arc<str>, digests: BTreeSet<String>) {
        self.need_code_of(agent_type, digests);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let all = kept.values().flatten().cloned().collect();
        drop(kept);
        self.engine.keep_code_of(&all);
    }
}

/// What a version is called: by itself, else by who deploys it, else by its digest.
pub(super) async fn label_for(
    actors: &Actors,
    agent: &Arc<AgentType>,
    version: &Arc<ComponentVersion>,
    wanted: Option<&str>,
) -> Result<Arc<str>, Error> {
    let own = actors.label_of(agent, version).await.map_err(into_error)?;
    match (own, wanted) {
        (Some(own), Some(wanted)) if *own != *wanted => {
            Err(Error::label(format!("the component calls itself {own:?}, and not {wanted:?}")))
        }
        (Some(own), _) => Ok(own),
        (None, Some(wanted)) if wanted.is_empty() || wanted.len() > LONGEST_LABEL => {
            Err(Error::label(format!("a label has 1 to {LONGEST_LABEL} bytes")))
        }
        (None, Some(wanted)) if wanted.contains(char::is_control) => {
            Err(Error::label("a label has no control characters"))
        }
        (None, Some(wanted)) => Ok(wanted.into()),
        (None, None) => Ok(version.short_digest().into()),
    }
}

fn into_error(failure: TrialFailure) -> Error {
    match failure {
        TrialFailure::Failed(reason) => Error::trial(&reason),
        TrialFailure::NoRoom => Error::no_room(),
    }
}
