//! Deployments of files: the manifest's, and the results of `daca dev`.

use std::sync::Arc;
use std::time::Duration;

use daca_base::ErrorCode;
use daca_base::digest::short;
use daca_base::task;
use daca_base::telemetry::printable;
use daca_model::FileName;

use super::record::{FileSeen, Origin, Source};
use super::request::{DeployRequest, Deployed};
use super::watch::{ComponentFile, FileContent};
use super::{Deployer, Error};

/// Attempts to deploy a file while another change interferes.
const MAX_ATTEMPTS: u32 = 5;
/// The delay before another attempt to deploy a file.
const RETRY_DELAY: Duration = Duration::from_secs(5);

impl Deployer {
    /// Deploys the manifest's file, or the result of a build.
    pub async fn deploy_file(
        &self,
        agent_type: &str,
        content: FileContent,
        source: Source,
    ) -> Result<Deployed, Error> {
        let agent = self.agent(agent_type)?;
        let initiated_by = agent.agent.component.path.display().to_string();
        let file = FileSeen::new(&content.digest);
        if source == Source::Dev {
            agent.set_last_build(&content.digest);
        }
        let mut attempts = 0;
        loop {
            let request = DeployRequest {
                wasm: content.wasm.clone(),
                signature: content.signature.clone(),
                file: FileName::of_path(&agent.agent.component.path),
                share: 100,
                label: None,
                origin: Origin { source, initiated_by: initiated_by.clone() },
            };
            let result = self.deploy_from(agent_type, request, Some(file.clone())).await;
            attempts += 1;
            match result {
                // Another host follows the same file, and was faster. A deployment since then is the newer wish.
                Err(error)
                    if error.code == ErrorCode::DeployConflict
                        && source == Source::File
                        && agent.was_deployed(&content.digest) =>
                {
                    return Err(error);
                }
                // The file exists whatever else was deployed in the meantime, and it is the newer wish.
                Err(error) if error.code == ErrorCode::DeployConflict && attempts < MAX_ATTEMPTS => {}
                result => return result,
            }
        }
    }

    /// Deploys a component's file, now and after each change. If something interferes, such as an unreachable state
    /// store, it retries until the file changes again. Never ends.
    pub(super) async fn follow_file(
        self,
        agent_type: Arc<str>,
        mut file: ComponentFile,
        first: Option<FileContent>,
    ) {
        let mut at_start = first.is_some();
        if at_start && let Ok(agent) = self.agent(&agent_type) {
            agent.controller.synced().await;
        }
        let mut next = first;
        loop {
            let step = async {
                let content = match next.take() {
                    Some(content) => content,
                    None => file.next().await,
                };
                match self.take_file(&agent_type, content.clone(), at_start).await {
                    Err(error) if error.is_retryable() => {
                        tracing::warn!(
                            agent_type = &*agent_type,
                            code = error.code.as_str(),
                            "the component's file will be deployed later: {}",
                            printable(&error.message)
                        );
                        let newer = tokio::time::timeout(RETRY_DELAY, file.next()).await.ok();
                        at_start &= newer.is_none();
                        next = newer.or(Some(content));
                    }
                    // Refusals are in the log and in the record.
                    _done_or_refused => at_start = false,
                }
            };
            task::step("file of a component", Box::pin(step)).await;
        }
    }

    /// Deploys a file's content, unless all hosts already know it.
    async fn take_file(&self, agent_type: &str, content: FileContent, at_start: bool) -> Result<(), Error> {
        let agent = self.agent(agent_type)?;
        if agent.is_last_build(&content.digest) || agent.was_deployed(&content.digest) {
            return Ok(());
        }
        let record = agent.controller.record();
        if at_start && record.versions.contains_key(&content.digest) {
            tracing::info!(
                agent_type,
                "{} holds version {}, which was deployed before; version {} serves",
                agent.agent.component.path.display(),
                short(&content.digest),
                short(&record.serving)
            );
            return Ok(());
        }
        self.deploy_file(agent_type, content, Source::File).await.map(drop)
    }
}
