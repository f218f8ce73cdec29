//! `daca dev`: rebuilds the components of a manifest whenever their sources change, and deploys them on the running
//! host.
//!
//! [`sources`] detects changes of an agent's sources, and [`build`] runs the build command, which [`infer`] knows for some
//! agents. This file has the loop around them, and the messages for the terminal. [`manifest_file`] reports changes of
//! the manifest, which is not read again.

mod build;
mod infer;
mod manifest_file;
mod sources;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, select_all};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use build::Build;
use daca_base::digest::short;
use daca_base::explanation::rendered;
use daca_base::{ErrorCode, Explained, Explanation, task};
use daca_deploy::watch::{ComponentFile, FileContent, blocking};
use daca_deploy::{Deployer, Source};
use daca_manifest as manifest;
use daca_manifest::{AgentType, Manifest};
use manifest_file::ManifestFile;
use sources::Sources;

/// The recipient of a built component.
#[async_trait]
pub trait Redeploy: Send + Sync {
    /// Deploys the component for an agent type. Returns the outcome, or an error with the reason; both are one line,
    /// for people.
    async fn redeploy(&self, agent_type: &str, content: FileContent) -> Result<String, String>;

    /// The digest of the serving version, which may have been rolled back in the meantime.
    fn serving(&self, agent_type: &str) -> Option<String>;
}

#[async_trait]
impl Redeploy for Deployer {
    /// The deployment completes even if nobody waits for it any more.
    async fn redeploy(&self, agent_type: &str, content: FileContent) -> Result<String, String> {
        let (deployer, name) = (self.clone(), agent_type.to_owned());
        let deployed =
            tokio::spawn(async move { deployer.deploy_file(&name, content, Source::Dev).await }).await;
        match deployed {
            Ok(Ok(deployed)) => Ok(format!("revision {}", deployed.revision)),
            Ok(Err(error)) => Err(rendered(&error)),
            Err(error) => Err(error.to_string()),
        }
    }

    fn serving(&self, agent_type: &str) -> Option<String> {
        let view = self.views().into_iter().find(|view| *view.agent_type == *agent_type)?;
        Some(view.record.serving.clone())
    }
}

/// Why there is nothing to watch.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No agent type has sources.
    #[error("{0} does not say how a component is built")]
    NothingToBuild(PathBuf),
    /// A watched path does not exist.
    #[error("agents.{agent_type}.dev.watch: {path}: {reason}")]
    SourceMissing {
        /// The agent type.
        agent_type: Arc<str>,
        /// The path.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Too many files are watched.
    #[error("agents.{agent_type}.dev.watch: there are more than {most} files")]
    TooManySources {
        /// The agent type.
        agent_type: Arc<str>,
        /// The maximum number of watched files.
        most: usize,
    },
}

impl Explained for Error {
    fn explanation(&self) -> Option<Explanation<'_>> {
        let (code, help) = match self {
            Error::NothingToBuild(_) => (
                ErrorCode::DevNothingToBuild,
                "name a script that is there (component = \"agent.ts\"), or add [agents.TYPE.dev] with the command that builds the component, such as build = \"make\", and watch = [\"agent.c\"]; or use: daca run",
            ),
            Error::SourceMissing { .. } => {
                (ErrorCode::DevSourceMissing, "correct the path; it is relative to the manifest's folder")
            }
            Error::TooManySources { .. } => {
                (ErrorCode::DevTooManySources, "list only the folders of the sources")
            }
        };
        Some(Explanation::new(code, help))
    }
}

/// The agents that are rebuilt when their sources change.
pub struct Dev {
    projects: Vec<Project>,
    manifest: ManifestFile,
}

/// An agent type with its sources.
struct Project {
    agent_type: Arc<str>,
    component: PathBuf,
    /// The working folder of the command.
    folder: PathBuf,
    /// Empty for a script, which is its own source.
    command: String,
    sources: Sources,
    /// The digest of the content that was handed over, or served, last.
    last: Option<String>,
}

impl Dev {
    /// Includes every agent type with a build command, and those whose component is a script or in cargo's output folder.
    /// Reads the sources, so that every change from now on is built. Blocks.
    pub fn new(manifest: &Manifest) -> Result<Dev, Error> {
        let folder = match manifest.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut projects = Vec::new();
        for agent in manifest.agents.values() {
            let inferred = || {
                let component = &agent.component.path;
                infer::script(component).or_else(|| infer::cargo(&manifest.path, component))
            };
            if let Some(dev) = agent.dev.clone().or_else(inferred) {
                projects.push(Project::new(agent, dev, folder)?);
            }
        }
        if projects.is_empty() {
            return Err(Error::NothingToBuild(manifest.path.clone()));
        }
        Ok(Dev { projects, manifest: ManifestFile::new(&manifest.path) })
    }

    /// Builds every component once, before the host reads it. If a build fails, that is reported, and the result of an
    /// earlier one is used.
    pub async fn build_all(&mut self, shutdown: &CancellationToken) {
        for project in &mut self.projects {
            let is_ended = shutdown.run_until_cancelled(project.build_first()).await.is_none();
            if is_ended {
                return;
            }
        }
    }

    /// Waits for the next change of a source, and builds its component: no component was there that could serve.
    pub async fn rebuild(&mut self) {
        let changes = self.projects.iter_mut().map(|project| Box::pin(project.sources.next()));
        let changed = tokio::select! {
            (_, changed, _) = select_all(changes) => changed,
            () = self.manifest.follow() => return,
        };
        self.projects[changed].build_first().await;
    }

    /// Builds and redeploys until `shutdown`. A running build is then killed.
    pub async fn run(self, redeploy: Arc<dyn Redeploy>, shutdown: CancellationToken) {
        let Dev { projects, mut manifest } = self;
        let loops = projects.into_iter().map(|project| project.run(redeploy.as_ref()));
        tokio::select! {
            _ = join_all(loops) => {}
            () = manifest.follow() => {}
            () = shutdown.cancelled() => {}
        }
    }
}

impl Project {
    fn new(agent: &AgentType, dev: manifest::DevBuild, folder: &Path) -> Result<Project, Error> {
        let (agent_type, component) = (agent.name.clone(), agent.component.path.clone());
        let sources = if dev.build.is_empty() {
            // It may be missing: the host reports that, with the line of the manifest that names it.
            Ok(Sources::of_file(&component))
        } else {
            Sources::new(dev.watch, &component)
        };
        let sources = sources.map_err(|error| match error {
            sources::Error::Missing { path, reason } => {
                Error::SourceMissing { agent_type: agent_type.clone(), path, reason }
            }
            sources::Error::TooMany => {
                Error::TooManySources { agent_type: agent_type.clone(), most: sources::MAX_FILES }
            }
        })?;
        Ok(Project {
            agent_type,
            component,
            folder: folder.to_owned(),
            command: dev.build,
            sources,
            last: None,
        })
    }

    fn is_script(&self) -> bool {
        self.command.is_empty()
    }

    /// Builds the component while no host serves it. A failure is reported.
    async fn build_first(&mut self) {
        if self.is_script() {
            return;
        }
        tracing::info!("{}: building: {}", self.agent_type, self.command);
        if !self.build().await {
            tracing::warn!(
                code = ErrorCode::DevBuildFailed.as_str(),
                "{}: the build failed",
                self.agent_type
            );
        }
    }

    async fn run(mut self, redeploy: &dyn Redeploy) {
        self.last = redeploy.serving(&self.agent_type);
        loop {
            task::step("sources", self.follow(redeploy)).await;
        }
    }

    /// Waits for the next change, and deploys it.
    async fn follow(&mut self, redeploy: &dyn Redeploy) {
        let change = self.sources.next().await;
        if self.is_script() {
            return self.swap(redeploy, change.at, Duration::ZERO).await;
        }
        tracing::info!("{}: {} changed; building", self.agent_type, change.path.display());
        let begin = Instant::now();
        if self.build().await {
            self.swap(redeploy, change.at, begin.elapsed()).await;
        } else {
            tracing::warn!(
                code = ErrorCode::DevBuildFailed.as_str(),
                "{}: the build failed; {} keeps serving",
                self.agent_type,
                self.version(redeploy)
            );
        }
    }

    /// Returns `true` if the build succeeded. Its output goes to standard error. If it is dropped, it kills the build.
    async fn build(&mut self) -> bool {
        let status = match Build::start(&self.command, &self.folder) {
            Ok(mut build) => build.wait().await,
            Err(error) => Err(error),
        };
        if let Some(path) = self.sources.built().await {
            tracing::warn!(
                code = ErrorCode::DevBuildWritesSources.as_str(),
                "{}: {} and others changed during each of the last builds, as if the build wrote them; building again at the next save",
                self.agent_type,
                path.display()
            );
        }
        match status {
            Ok(status) => status.success(),
            Err(error) => {
                tracing::warn!("{}: sh -c {:?}: {error}", self.agent_type, self.command);
                false
            }
        }
    }

    async fn swap(&mut self, redeploy: &dyn Redeploy, saved: Instant, build: Duration) {
        let begin = Instant::now();
        let component = self.component.clone();
        let content = match blocking(move || ComponentFile::read(&component)).await {
            Ok(content) => content,
            Err(error) => {
                return self.say_not_served(redeploy, &format!("{}: {error}", self.component.display()));
            }
        };
        let is_new = self.last.replace(content.digest.clone()).as_ref() != Some(&content.digest);
        let is_served = redeploy.serving(&self.agent_type).as_ref() == Some(&content.digest);
        let outcome = match (is_served, is_new) {
            (false, _) => redeploy.redeploy(&self.agent_type, content).await,
            // The host follows the component's file as well, and was faster.
            (true, true) => Ok("from its file".to_owned()),
            (true, false) => {
                tracing::info!(
                    "{}: the component is unchanged; {} keeps serving",
                    self.agent_type,
                    self.version(redeploy)
                );
                return;
            }
        };
        match outcome {
            Ok(outcome) => {
                tracing::info!(
                    "{}: saved → served in {:.3} s (build {:.1} s, check and swap {:.3} s), {}, {outcome}",
                    self.agent_type,
                    saved.elapsed().as_secs_f64(),
                    build.as_secs_f64(),
                    begin.elapsed().as_secs_f64(),
                    self.version(redeploy),
                );
            }
            Err(reason) => self.say_not_served(redeploy, &reason),
        }
    }

    fn say_not_served(&self, redeploy: &dyn Redeploy, reason: &str) {
        tracing::warn!(
            code = ErrorCode::DevNotServed.as_str(),
            "{}: the new build cannot serve; {} keeps serving: {reason}",
            self.agent_type,
            self.version(redeploy)
        );
    }

    fn version(&self, redeploy: &dyn Redeploy) -> String {
        let serving = redeploy.serving(&self.agent_type);
        serving.map_or("the previous version".into(), |digest| format!("version {}", short(&digest)))
    }
}

#[cfg(test)]
mod tests;
