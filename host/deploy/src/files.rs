//! Deployments of files: the manifest's, and the results of `daca dev`.

use std::sync::Arc;
use std::time::Duration;

use daca_base::ErrorCode;
use daca_base::digest::short;

use super::record::{FileSeen, Origin, Source};
use super::request::{Deployed, Request};
use super::watch::{ComponentFile, FileContent};
use super::{Deployer, Error};

/// Attempts to deploy a file while another change interferes.
const FILE_TRIES: u32 = 5;
/// The delay before another attempt to deploy a file.
const FILE_AGAIN: Duration = Duration::from_secs(5);

impl Deployer {
    /// Deploys the manifest's file, or the result of a build.
    pub async fn deploy_file(
        &self,
        agent_type: &str,
        content: FileContent,
        source: Source,
    ) -> Result<Deployed, Error> {
        let handle = self.handle(agent_type)?;
        let by = handle.agent.component.display().to_string();
        let file = FileSeen { digest: content.digest.clone(), refused: false };
        if source == Source::Dev {
            *handle.built.lock() = Some(content.digest.clone());
        }
        let mut tries = 0;
        loop {
            let request = Request {
                wasm: content.wasm.clone(),
                signature: content.signature.clone(),
                share: 100,
                label: None,
                origin: Origin { source, by: by.clone() },
            };
            let result = self.deploy_from(agent_type, request, Some(file.clone())).await;
            tries += 1;
            match result {
                // Another host follows the same file, and was faster. A deployment since then is the newer wish.
                Err(error)
                    if error.code == ErrorCode::DeployConflict
                        && source == Source::File
                        && handle.has_taken(&content.digest) =>
                {
                    return Err(error);
                }
                // The file exists whatever else was deployed in the meantime, and it is the newer wish.
                Err(error) if error.code == ErrorCode::DeployConflict && tries < FILE_TRIES => {}
                result => return result,
            }
        }
    }

    /// Deploys a component's file, now and after each change. If something interferes, such as an unreachable state
    /// store, it retries until the file changes again.
    pub(super) async fn follow_file(
        self,
        agent_type: Arc<str>,
        mut file: ComponentFile,
        first: Option<FileContent>,
    ) {
        let stop = self.inner.stop.clone();
        let follow = async {
            let mut at_start = first.is_some();
            if at_start {
                self.when_settled(&agent_type).await;
            }
            let mut wanted = first;
            loop {
                let content = match wanted.take() {
                    Some(content) => content,
                    None => file.next().await,
                };
                match self.take_file(&agent_type, content.clone(), at_start).await {
                    Err(error) if error.is_passing() => {
                        tracing::warn!(
                            agent_type = &*agent_type,
                            code = error.code.as_str(),
                            "the component's file will be deployed later: {}",
                            error.message
                        );
                        let newer = tokio::time::timeout(FILE_AGAIN, file.next()).await.ok();
                        at_start &= newer.is_none();
                        wanted = newer.or(Some(content));
                    }
                    // Refusals are in the log and in the record.
                    _done_or_refused => at_start = false,
                }
            }
        };
        stop.run_until_cancelled(follow).await;
    }

    async fn when_settled(&self, agent_type: &str) {
        if let Ok(handle) = self.handle(agent_type) {
            let mut view = handle.view.clone();
            let _ends_with_the_host = view.wait_for(|view| view.is_settled).await.is_err();
        }
    }

    /// Deploys a file's content, unless all hosts already know it.
    async fn take_file(&self, agent_type: &str, content: FileContent, at_start: bool) -> Result<(), Error> {
        let handle = self.handle(agent_type)?;
        if handle.built.lock().as_ref() == Some(&content.digest) {
            return Ok(());
        }
        if handle.has_taken(&content.digest) {
            return Ok(());
        }
        let record = handle.record();
        if at_start && record.versions.contains_key(&content.digest) {
            tracing::info!(
                agent_type,
                "{} holds version {}, which was deployed before; version {} serves",
                handle.agent.component.display(),
                short(&content.digest),
                short(&record.serving)
            );
            return Ok(());
        }
        self.deploy_file(agent_type, content, Source::File).await.map(drop)
    }
}
