//! Deployments: the host's own deployer, with its checks, its record and its canaries, on files that the test names.

use std::path::Path;
use std::sync::Arc;

use daca_deploy::watch::{ComponentFile, FileContent};
use daca_deploy::{
    AgentTypeStart, DeployRequest, Deployed, Deployer, DeployerOptions, Error, Origin, Source,
};
use daca_manifest::{AgentType, Manifest};
use daca_model::{FileName, Lifecycle};
use daca_runtime::actor::{Actors, AgentRuntime};
use daca_runtime::component::Engine;

use crate::{StartError, component};

/// The name in the record of who deploys.
const TEST: &str = "a test";

/// Loads the components of all agent types. `data` is the folder for records and versions.
pub(crate) async fn open(
    engine: &Engine,
    manifest: &Manifest,
    data: &Path,
) -> Result<Vec<AgentTypeStart>, StartError> {
    let mut opened = Vec::new();
    for agent in manifest.agents.values() {
        let one = AgentTypeStart::open(engine, &manifest.deploy, data, agent, None).await;
        opened.push(one.map_err(|error| refused(&agent.name, error))?);
    }
    Ok(opened)
}

/// The agent types with the versions that serve them.
pub(crate) fn runtimes(manifest: &Manifest, opened: &[AgentTypeStart]) -> Vec<AgentRuntime> {
    let agents = manifest.agents.values().zip(opened);
    agents.map(|(agent, opened)| AgentRuntime::new(agent.clone(), opened.active().clone())).collect()
}

/// Starts the deployer.
pub(crate) async fn start(
    engine: Engine,
    manifest: &Manifest,
    data: &Path,
    actors: Actors,
    lifecycle: Lifecycle,
    opened: Vec<AgentTypeStart>,
) -> Result<Deployer, StartError> {
    let options = DeployerOptions {
        engine,
        rules: manifest.deploy.clone(),
        data,
        actors,
        shared: None,
        host_name: "testkit".to_owned(),
        lifecycle,
    };
    Ok(Deployer::start(options, opened).await?)
}

/// Deploys a component, for so many percent of the actors.
pub(crate) async fn deploy(
    deployer: &Deployer,
    actors: &Actors,
    agent_type: &str,
    path: &Path,
    share: u8,
) -> Result<String, StartError> {
    let agent = agent(actors, agent_type)?;
    let path = component::locate(&agent, Some(path))?;
    let (file, named) = (path.clone(), FileName::of_path(&path));
    let read = tokio::task::spawn_blocking(move || ComponentFile::read(&file)).await;
    let read = read.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    let content = read.map_err(|reason| StartError::ComponentUnreadable {
        agent: agent_type.to_owned(),
        path,
        reason,
    })?;
    let origin = Origin { source: Source::Api, initiated_by: TEST.to_owned() };
    let FileContent { wasm, signature, .. } = content;
    let request = DeployRequest { wasm, signature, file: named, share, label: None, origin };
    let failed = |error: Error| refused(agent_type, error);
    let permit = deployer.permit().map_err(failed)?;
    let deployed = deployer.deploy(agent_type, request, permit).await.map_err(failed)?;
    Ok(changed(actors, agent_type, deployed).await)
}

/// Goes back to the version before, or ends the canary if there is one.
pub(crate) async fn roll_back(
    deployer: &Deployer,
    actors: &Actors,
    agent_type: &str,
) -> Result<String, StartError> {
    agent(actors, agent_type)?;
    let origin = Origin { source: Source::Api, initiated_by: TEST.to_owned() };
    let deployed = deployer.roll_back(agent_type, false, origin).await;
    let deployed = deployed.map_err(|error| refused(agent_type, error))?;
    Ok(changed(actors, agent_type, deployed).await)
}

/// The version that a change applies to, once idle actors have given up their instances of the one before.
async fn changed(actors: &Actors, agent_type: &str, deployed: Deployed) -> String {
    actors.drop_outdated_instances(agent_type).await;
    deployed.outcome.version
}

fn agent(actors: &Actors, agent_type: &str) -> Result<Arc<AgentType>, StartError> {
    let all = actors.agents().into_iter().map(|(runtime, _)| runtime.agent.clone());
    let agent = all.into_iter().find(|agent| *agent.name == *agent_type);
    agent.ok_or_else(|| StartError::UnknownAgent { name: agent_type.to_owned() })
}

fn refused(agent_type: &str, error: Error) -> StartError {
    StartError::Refused { agent: agent_type.to_owned(), error }
}
