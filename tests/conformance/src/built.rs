//! The cases on the built host, with an agent of this project.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::Host;
use tempfile::TempDir;

use crate::agents::Agent;
use crate::case::Group;
use crate::manifest::{SECRETS, manifest};
use crate::run::{Outcome, Runner};
use crate::target::Target;

/// Tries all cases on a new host with this agent. The outcomes have the names of their cases. `None` if the agent is left out.
pub async fn try_on_built_host(
    agent: &Agent,
    groups: &[Group],
) -> anyhow::Result<Option<Vec<(String, Outcome)>>> {
    let Some(file) = agent.file()? else { return Ok(None) };
    let folder = Arc::new(TempDir::new()?);
    std::fs::write(folder.path().join("secrets.json"), SECRETS)?;
    let host = Host::start_in(folder, &manifest(&file, agent.memory)).await?;
    let target = Target::new(&host.app, &host.admin, None)?;
    let outcomes = try_all(&Runner::new(target, Some(read(&file)?)), groups).await;
    host.stop().await?;
    Ok(Some(outcomes))
}

/// Tries all cases on one host.
pub async fn try_all(runner: &Runner, groups: &[Group]) -> Vec<(String, Outcome)> {
    let mut outcomes = Vec::new();
    for group in groups {
        for case in &group.cases {
            let outcome = runner.run(outcomes.len(), case).await;
            outcomes.push((format!("{}: {}", group.group, case.name), outcome));
        }
    }
    outcomes
}

/// The bytes of an agent.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| file.display().to_string())
}
