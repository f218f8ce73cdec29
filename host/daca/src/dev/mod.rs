//! `daca dev`: rebuilds the components of a manifest whenever their sources change, and deploys them on the running
//! host.
//!
//! [`sources`] detects changes of an agent's sources, and [`build`] runs the build command. This file has the loop
//! around them, and the messages for the terminal.

mod build;
mod sources;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use build::Build;
use daca_base::digest::short;
use daca_deploy::watch::{ComponentFile, FileContent, blocking};
use daca_deploy::{Deployer, Source};
use daca_manifest as manifest;
use daca_manifest::{AgentType, Manifest};
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
            Ok(Err(error)) => Err(error.to_string()),
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
    #[error(
        "error[dev-nothing-to-build]: {0} does not say how a component is built\n  help: add a table such as [agents.TYPE.dev] with build = \"cargo build …\" and watch = [\"src\"], or use: daca run"
    )]
    NothingToBuild(PathBuf),
    /// A watched path does not exist.
    #[error(
        "error[dev-source-missing]: agents.{agent_type}.dev.watch: {path}: {reason}\n  help: correct the path; it is relative to the manifest's folder"
    )]
    SourceMissing {
        /// The agent type.
        agent_type: Arc<str>,
        /// The path.
        path: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// Too many files are watched.
    #[error(
        "error[dev-too-many-sources]: agents.{agent_type}.dev.watch: there are more than {most} files\n  help: list only the folders of the sources"
    )]
    TooManySources {
        /// The agent type.
        agent_type: Arc<str>,
        /// The maximum number of watched files.
        most: usize,
    },
}

/// The agents that are rebuilt when their sources change.
pub struct Dev {
    projects: Vec<Project>,
}

/// An agent type with its sources.
struct Project {
    agent_type: Arc<str>,
    component: PathBuf,
    /// The working folder of the command.
    folder: PathBuf,
    command: String,
    sources: Sources,
}

impl Dev {
    /// Includes every agent type with a build command, or whose component is in cargo's output folder. Reads the
    /// sources, so that every change from now on is built. Blocks.
    pub fn new(manifest: &Manifest) -> Result<Dev, Error> {
        let folder = match manifest.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut projects = Vec::new();
        for agent in manifest.agents.values() {
            let inferred = || infer(&manifest.path, &agent.component);
            if let Some(dev) = agent.dev.clone().or_else(inferred) {
                projects.push(Project::new(agent, dev, folder)?);
            }
        }
        if projects.is_empty() {
            return Err(Error::NothingToBuild(manifest.path.clone()));
        }
        Ok(Dev { projects })
    }

    /// Builds every component once, before the host reads it. If a build fails, that is reported, and the result of an
    /// earlier one is used.
    pub async fn build_all(&mut self, shutdown: &CancellationToken) {
        for project in &mut self.projects {
            tracing::info!("{}: building: {}", project.agent_type, project.command);
            let is_built = tokio::select! {
                is_built = project.build() => is_built,
                () = shutdown.cancelled() => return,
            };
            if !is_built {
                tracing::warn!(code = "dev-build-failed", "{}: the build failed", project.agent_type);
            }
        }
    }

    /// Builds and redeploys until `shutdown`. A running build is then killed.
    pub async fn run(self, redeploy: Arc<dyn Redeploy>, shutdown: CancellationToken) {
        let loops = self.projects.into_iter().map(|project| project.run(redeploy.as_ref()));
        tokio::select! {
            _ = join_all(loops) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

impl Project {
    fn new(agent: &AgentType, dev: manifest::Dev, folder: &Path) -> Result<Project, Error> {
        let agent_type = agent.name.clone();
        let sources = Sources::new(dev.watch, &agent.component).map_err(|error| match error {
            sources::Error::Missing { path, reason } => {
                Error::SourceMissing { agent_type: agent_type.clone(), path, reason }
            }
            sources::Error::TooMany => {
                Error::TooManySources { agent_type: agent_type.clone(), most: sources::MOST_FILES }
            }
        })?;
        Ok(Project {
            agent_type,
            component: agent.component.clone(),
            folder: folder.to_owned(),
            command: dev.build,
            sources,
        })
    }

    async fn run(mut self, redeploy: &dyn Redeploy) {
        loop {
            let change = self.sources.next().await;
            tracing::info!("{}: {} changed; building", self.agent_type, change.path.display());
            let begin = Instant::now();
            if self.build().await {
                self.swap(redeploy, change.at, begin.elapsed()).await;
            } else {
                tracing::warn!(
                    code = "dev-build-failed",
                    "{}: the build failed; {} keeps serving",
                    self.agent_type,
                    self.version(redeploy)
                );
            }
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
                code = "dev-build-writes-sources",
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

    async fn swap(&self, redeploy: &dyn Redeploy, saved: Instant, build: Duration) {
        let begin = Instant::now();
        let component = self.component.clone();
        let content = match blocking(move || ComponentFile::read(&component)).await {
            Ok(content) => content,
            Err(error) => {
                return self.say_not_served(redeploy, &format!("{}: {error}", self.component.display()));
            }
        };
        if redeploy.serving(&self.agent_type).as_ref() == Some(&content.digest) {
            tracing::info!(
                "{}: the component is unchanged; {} keeps serving",
                self.agent_type,
                self.version(redeploy)
            );
            return;
        }
        match redeploy.redeploy(&self.agent_type, content).await {
            Ok(outcome) => {
                tracing::info!(
                    "{}: saved → served in {:.1} s (build {:.1} s, check and swap {:.1} s), {}, {outcome}",
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
            code = "dev-not-served",
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

/// Infers the cargo build of a component in cargo's output folder, `target/wasm32-wasip2/PROFILE/NAME.wasm` beside a
/// package's `Cargo.toml` and `src`.
fn infer(manifest: &Path, component: &Path) -> Option<manifest::Dev> {
    let folder = manifest.parent()?;
    let below = component.strip_prefix(folder).ok()?.to_str()?;
    let ["target", "wasm32-wasip2", profile, file] = below.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !file.ends_with(".wasm") || !profile.chars().all(is_name) {
        return None;
    }
    let watch = ["Cargo.toml", "src"].map(|name| folder.join(name));
    if !watch.iter().all(|path| path.exists()) {
        return None;
    }
    let build = match profile {
        "debug" => "cargo build --target wasm32-wasip2".to_owned(),
        "release" => "cargo build --target wasm32-wasip2 --release".to_owned(),
        _ => format!("cargo build --target wasm32-wasip2 --profile {profile}"),
    };
    Some(manifest::Dev { build, watch: watch.into() })
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tempfile::TempDir;
    use tokio::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Takes everything but what begins with "bad", and tells what it was given.
    struct Taker(mpsc::UnboundedSender<String>);

    #[async_trait]
    impl Redeploy for Taker {
        async fn redeploy(&self, _: &str, content: FileContent) -> Result<String, String> {
            let text = String::from_utf8_lossy(&content.wasm).into_owned();
            let is_bad = text.starts_with("bad");
            let _ = self.0.send(text);
            if is_bad { Err("it is bad".into()) } else { Ok("it serves".into()) }
        }

        fn serving(&self, _: &str) -> Option<String> {
            None
        }
    }

    /// A manifest with one agent type that a command builds from the folder `src`, in which there is one file.
    struct Workplace {
        folder: TempDir,
        shutdown: CancellationToken,
        given: mpsc::UnboundedReceiver<String>,
        running: tokio::task::JoinHandle<()>,
    }

    impl Workplace {
        async fn start(build: &str) -> anyhow::Result<Workplace> {
            let folder = TempDir::new()?;
            std::fs::create_dir(folder.path().join("src"))?;
            std::fs::write(folder.path().join("src/a.txt"), "first")?;
            let text = format!(
                "[agents.A]\ncomponent = \"a.wasm\"\n[agents.A.dev]\nbuild = {build:?}\nwatch = [\"src\"]\n"
            );
            let manifest = Manifest::parse(&folder.path().join("agents.toml"), &text)?;
            let (sender, given) = mpsc::unbounded_channel();
            let shutdown = CancellationToken::new();
            let dev = Dev::new(&manifest)?;
            let running = tokio::spawn(dev.run(Arc::new(Taker(sender)), shutdown.clone()));
            Ok(Workplace { folder, shutdown, given, running })
        }

        fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
            Ok(std::fs::write(self.folder.path().join(name), text)?)
        }

        /// What the next component holds that is handed over.
        async fn next(&mut self) -> anyhow::Result<String> {
            let next = tokio::time::timeout(PATIENCE, self.given.recv()).await;
            next.context("nothing was built")?.context("the loop has ended")
        }

        /// Waits for a file that a build writes.
        async fn until(&self, name: &str) -> anyhow::Result<String> {
            let read = async {
                loop {
                    match std::fs::read_to_string(self.folder.path().join(name)) {
                        Ok(text) if text.ends_with('\n') => return text,
                        _ => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            };
            tokio::time::timeout(PATIENCE, read).await.with_context(|| format!("no build wrote {name}"))
        }

        async fn stop(self) -> anyhow::Result<()> {
            self.shutdown.cancel();
            Ok(tokio::time::timeout(PATIENCE, self.running).await.context("it does not end")??)
        }
    }

    #[tokio::test]
    async fn what_is_saved_is_built_and_handed_over_whatever_came_of_the_one_before() -> anyhow::Result<()> {
        let mut place =
            Workplace::start("! grep wrong src/a.txt && cp src/a.txt a.wasm && echo >> built").await?;
        place.write("src/a.txt", "bad, but built")?;
        assert_eq!(place.next().await?, "bad, but built");
        // A build that fails hands nothing over.
        place.write("src/a.txt", "wrong")?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        place.write("src/a.txt", "second")?;
        assert_eq!(place.next().await?, "second");
        // Nor does one that changes nothing. Files of an editor start none.
        for name in ["src/.a.txt.swp", "src/a.txt~", "src/4913"] {
            place.write(name, "x")?;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(std::fs::read_to_string(place.folder.path().join("built"))?, "\n\n");
        place.write("src/new.txt", "x")?;
        place.write("src/a.txt", "third")?;
        assert_eq!(place.next().await?, "third");
        place.stop().await
    }

    #[tokio::test]
    async fn what_is_saved_during_a_build_is_built_after_it() -> anyhow::Result<()> {
        let build = "cp src/a.txt a.wasm; echo >> begun; while ! [ -e go ]; do sleep 0.02; done";
        let mut place = Workplace::start(build).await?;
        place.write("src/a.txt", "second")?;
        place.until("begun").await?;
        place.write("src/a.txt", "third")?;
        place.write("go", "")?;
        assert_eq!(place.next().await?, "second");
        assert_eq!(place.next().await?, "third");
        place.stop().await
    }

    #[tokio::test]
    async fn a_shutdown_kills_the_build_and_all_that_it_started() -> anyhow::Result<()> {
        let place = Workplace::start("sleep 1000 & echo $! > pid; wait").await?;
        place.write("src/a.txt", "second")?;
        let pid = place.until("pid").await?;
        place.stop().await?;
        let is_gone = async {
            // One that ended and that nobody has asked about yet has the state Z.
            while std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
                .is_ok_and(|stat| !stat.contains(") Z "))
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_gone).await.context("a process of the build runs on")
    }

    #[test]
    fn a_package_of_cargo_needs_no_table() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let manifest = folder.path().join("agents.toml");
        let command = |component: &str| {
            infer(&manifest, &folder.path().join(component)).map(|dev| dev.build).unwrap_or_default()
        };
        assert_eq!(command("target/wasm32-wasip2/release/a.wasm"), "", "there is no package");
        std::fs::write(folder.path().join("Cargo.toml"), "")?;
        std::fs::create_dir(folder.path().join("src"))?;
        for (component, expected) in [
            ("target/wasm32-wasip2/debug/a.wasm", "cargo build --target wasm32-wasip2"),
            ("target/wasm32-wasip2/release/a.wasm", "cargo build --target wasm32-wasip2 --release"),
            ("target/wasm32-wasip2/guest/a.wasm", "cargo build --target wasm32-wasip2 --profile guest"),
            ("target/wasm32-wasip2/a;b/a.wasm", ""),
            ("target/wasm32-wasip2/release/examples/a.wasm", ""),
            ("a.wasm", ""),
        ] {
            assert_eq!(command(component), expected, "{component}");
        }
        Ok(())
    }
}
