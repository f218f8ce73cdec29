//! Another component in place of the one that serves, while the actors and their state stay.

use std::path::Path;
use std::sync::Arc;

use daca_runtime::actor::{Actors, AgentRuntime, TrialFailure};
use daca_runtime::component::{ComponentVersion, Counters, Engine, LoadedVersion, TrafficSplit};

use crate::{StartError, component};

/// Lets a component serve an agent type from its next turns on, as `daca deploy` does: it is tried first on a throw-away actor.
pub(crate) async fn swap(
    engine: &Engine,
    actors: &Actors,
    agent_type: &str,
    path: &Path,
) -> Result<(), StartError> {
    let all = actors.agents().into_iter().map(|(runtime, _)| runtime);
    let runtime = all.into_iter().find(|runtime| *runtime.agent.name == *agent_type);
    let runtime = runtime.ok_or_else(|| StartError::UnknownAgent { name: agent_type.to_owned() })?;
    let version = component::load(engine, &runtime.agent, Some(path)).await?;
    let tried = actors.try_version(&runtime.agent, &version).await;
    tried.map_err(|reason| refused(&runtime, reason))?;
    let before = runtime.serving.now();
    let first_label = match &before.first_label {
        None if version.has_migration() => Some(before.serving.label.clone()),
        known => known.clone(),
    };
    serve(actors, &runtime, version, first_label).await?;
    actors.drop_outdated_instances(agent_type).await;
    Ok(())
}

/// Calls the versions that the host begins with what they call themselves. Only a version that can migrate has such a name.
pub(crate) async fn name_versions(actors: &Actors) -> Result<(), StartError> {
    for (runtime, _) in actors.agents() {
        let version = runtime.serving.now().serving.version.clone();
        if version.has_migration() {
            let label = label(actors, &runtime, &version).await?;
            serve(actors, &runtime, version, Some(label)).await?;
        }
    }
    Ok(())
}

async fn serve(
    actors: &Actors,
    runtime: &AgentRuntime,
    version: Arc<ComponentVersion>,
    first_label: Option<Arc<str>>,
) -> Result<(), StartError> {
    let label = label(actors, runtime, &version).await?;
    let served = LoadedVersion { version, label, counters: Arc::new(Counters::default()) };
    runtime.serving.replace(TrafficSplit {
        serving: Arc::new(served),
        first_label,
        ..TrafficSplit::clone(&runtime.serving.now())
    });
    Ok(())
}

async fn label(
    actors: &Actors,
    runtime: &AgentRuntime,
    version: &Arc<ComponentVersion>,
) -> Result<Arc<str>, StartError> {
    let own = actors.label_of(&runtime.agent, version).await;
    let own = own.map_err(|reason| refused(runtime, reason))?;
    Ok(own.unwrap_or_else(|| version.short_digest().into()))
}

fn refused(runtime: &AgentRuntime, reason: TrialFailure) -> StartError {
    StartError::Refused { agent: runtime.agent.name.to_string(), reason: reason.to_string() }
}
