//! All servers together: one start for a test or a laptop.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::{Program, folders, ports};
use tempfile::TempDir;

use crate::app::{App, AppOptions};
use crate::build::{self, Dapr};
use crate::kafka::Kafka;
use crate::placement::Placement;
use crate::redis::Redis;
use crate::resources;
use crate::scheduler::Scheduler;
use crate::sidecar::{Sidecar, SidecarOptions, SidecarPorts, Tokens, twilio_environment};
use crate::twilio::Twilio;

/// The app id that hosts have unless they are given another.
pub const APP_ID: &str = "chat-agent";

/// What the components of the project name, where the real addresses go.
const REDIS_IN_COMPONENTS: &str = "localhost:6379";
const KAFKA_IN_COMPONENTS: &str = "localhost:9092";

/// A commit waits for the disk, which a busy machine can hold up for longer than the 3 seconds that a sidecar waits for Redis
/// by default.
const ACTOR_STORE: &str = "  - name: actorStateStore\n";
const PATIENT_ACTOR_STORE: &str = "  - name: readTimeout\n    value: \"30s\"\n  - name: actorStateStore\n";

/// What sidecars are told, unless a test says otherwise: what those in a cluster are told.
const CONFIGURATION: &str = "k8s/base/configuration.yaml";

/// Which servers are started, and where.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// The folder of logs and data; without one, a folder that goes away with the stack.
    pub folder: Option<PathBuf>,
    /// Is Kafka among the servers?
    pub kafka: bool,
    /// The topics that Kafka has from the start, with their partitions.
    pub topics: Vec<(String, i32)>,
    /// The folder of Dapr's component files; they are copied and get the real addresses.
    pub components: PathBuf,
    /// What else is replaced in the component files.
    pub replacements: Vec<(String, String)>,
    /// The ports of proxies before servers that tell sidecars themselves where they are.
    pub fronts: Fronts,
}

/// The ports of proxies before servers that tell sidecars themselves where they are. Where there is none, sidecars come straight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fronts {
    /// Before Kafka. It leads to [`Kafka::behind`].
    pub kafka: Option<u16>,
    /// Before the scheduler service.
    pub scheduler: Option<u16>,
}

impl Default for StackOptions {
    /// Everything, with the components of the project.
    fn default() -> StackOptions {
        StackOptions {
            folder: None,
            kafka: true,
            topics: vec![("user-messages".to_owned(), 4)],
            components: folders::root().join("components/local"),
            replacements: Vec::new(),
            fronts: Fronts::default(),
        }
    }
}

/// The servers that all hosts share. Dropping it kills them.
#[derive(Debug)]
pub struct Stack {
    /// Redis.
    pub redis: Redis,
    /// Kafka, where it was asked for.
    pub kafka: Option<Kafka>,
    /// The edge of Twilio.
    pub twilio: Twilio,
    /// Dapr's placement service.
    pub placement: Placement,
    /// Dapr's scheduler service.
    pub scheduler: Scheduler,
    /// The folder of the component files with the real addresses.
    pub resources: PathBuf,
    /// The folder of logs and data.
    pub folder: PathBuf,
    dapr: Dapr,
    // After the servers, which write to it.
    _temporary: Option<TempDir>,
}

impl Stack {
    /// Starts the servers, all at once, and waits until they are ready.
    pub async fn start(options: StackOptions) -> anyhow::Result<Stack> {
        let dapr = build::dapr()?;
        let temporary = if options.folder.is_none() { Some(TempDir::new()?) } else { None };
        let folder = temporary.as_ref().map(|it| it.path().to_owned()).or(options.folder.clone());
        let folder = folder.context("a stack has a folder")?;
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let (kafka, scheduler, placement, redis, twilio) = tokio::try_join!(
            start_kafka(&options, &folder),
            Scheduler::start_behind(&dapr.scheduler, &folder, options.fronts.scheduler),
            Placement::start(&dapr.placement, &folder),
            start_redis(&folder),
            Twilio::start(&folder),
        )?;
        let resources = folder.join("components");
        let mut replacements = options.replacements;
        replacements.push((REDIS_IN_COMPONENTS.to_owned(), redis.address()));
        replacements.push((ACTOR_STORE.to_owned(), PATIENT_ACTOR_STORE.to_owned()));
        if let Some(kafka) = &kafka {
            replacements.push((KAFKA_IN_COMPONENTS.to_owned(), kafka.address()));
        }
        resources::copy(&options.components, &resources, &replacements)?;
        Ok(Stack {
            redis,
            kafka,
            twilio,
            placement,
            scheduler,
            resources,
            folder,
            dapr,
            _temporary: temporary,
        })
    }

    /// A sidecar of this stack for an app on a port, to be changed before it is started. The name is that of its log.
    pub fn sidecar_options(&self, name: &str, app_port: u16) -> anyhow::Result<SidecarOptions> {
        Ok(SidecarOptions {
            program: Program::new(name, &self.dapr.daprd, &self.folder)
                .variables(&twilio_environment(&self.twilio.proxy(), &self.twilio.ca)),
            app_id: APP_ID.to_owned(),
            app_port,
            resources: self.resources.clone(),
            config: Some(folders::root().join(CONFIGURATION)),
            tokens: Tokens::default(),
            app_health_check: true,
            placement: self.placement.port,
            scheduler: self.scheduler.port,
            ports: SidecarPorts::free()?,
        })
    }

    /// A host beside a sidecar of this stack, to be changed before it is started. The name is that of its log.
    pub fn app_options(
        &self,
        name: &str,
        manifest: &Path,
        sidecar: &SidecarOptions,
    ) -> anyhow::Result<AppOptions> {
        Ok(AppOptions {
            program: Program::new(name, &folders::daca(), &self.folder),
            manifest: manifest
                .canonicalize()
                .with_context(|| format!("the manifest {}", manifest.display()))?,
            listen: sidecar.app_port,
            admin: ports::free()?,
            data: self.folder.join(format!("{name}-data")),
            log_format: "json",
            sidecar: sidecar.ports,
            tokens: sidecar.tokens.clone(),
        })
    }

    /// Starts a host with its sidecar, and waits until its actors are hosted.
    pub async fn host(&self, options: HostOptions) -> anyhow::Result<HostWithSidecar> {
        let HostOptions { name, program, manifest, listen, admin } = options;
        let sidecar = self.sidecar_options(&format!("{name}-sidecar"), listen)?;
        let mut app = self.app_options(&name, &manifest, &sidecar)?;
        app.program = Program { path: program, ..app.program };
        app.admin = admin;
        HostWithSidecar::start(app, sidecar).await
    }

    /// Ends the servers with SIGTERM, all at once.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let kafka = async {
            match &self.kafka {
                Some(kafka) => kafka.process.stop().await.map(drop),
                None => Ok(()),
            }
        };
        let (redis, placement) = (self.redis.process.stop(), self.placement.process.stop());
        tokio::try_join!(kafka, redis, placement, self.scheduler.process.stop())?;
        Ok(())
    }
}

async fn start_kafka(options: &StackOptions, folder: &Path) -> anyhow::Result<Option<Kafka>> {
    if !options.kafka {
        return Ok(None);
    }
    let kafka = Kafka::start_behind(&build::kafka()?, folder, ports::free()?, options.fronts.kafka).await?;
    for (topic, partitions) in &options.topics {
        kafka.create_topic(topic, *partitions).await?;
    }
    Ok(Some(kafka))
}

async fn start_redis(folder: &Path) -> anyhow::Result<Redis> {
    Redis::start(folder, ports::free()?).await
}

/// How a host with its sidecar is started.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The name of its log; that of the sidecar has `-sidecar` behind it.
    pub name: String,
    /// The host's program.
    pub program: PathBuf,
    /// The manifest.
    pub manifest: PathBuf,
    /// The port of the application.
    pub listen: u16,
    /// The port of the admin API.
    pub admin: u16,
}

impl HostOptions {
    /// A host on free ports without tokens.
    pub fn new(name: &str, manifest: &Path) -> anyhow::Result<HostOptions> {
        Ok(HostOptions {
            name: name.to_owned(),
            program: folders::daca(),
            manifest: manifest.to_owned(),
            listen: ports::free()?,
            admin: ports::free()?,
        })
    }
}

/// A host with its sidecar. Dropping it kills both.
#[derive(Debug)]
pub struct HostWithSidecar {
    /// The host.
    pub app: App,
    /// Its sidecar.
    pub sidecar: Sidecar,
}

impl HostWithSidecar {
    /// Starts both, and waits until the actors are hosted.
    pub async fn start(app: AppOptions, sidecar: SidecarOptions) -> anyhow::Result<HostWithSidecar> {
        // Each waits for the other, so neither is waited for before both run.
        let (app, sidecar) = tokio::try_join!(App::start(app), Sidecar::start(sidecar))?;
        let host = HostWithSidecar { app, sidecar };
        host.wait_ready().await?;
        Ok(host)
    }

    /// Waits until the actors are hosted.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        self.app.wait_ready().await?;
        self.sidecar.wait_ready().await
    }

    /// Ends the host with SIGTERM, and then its sidecar.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.app.process.stop().await?;
        self.sidecar.process.stop().await.map(drop)
    }
}
