//! The real stack with a proxy on every connection, a disk under every server that keeps something, and a clock in every host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_stack::{AppOptions, Fronts, HostWithSidecar, SidecarOptions, Stack, StackOptions, resources};
use daca_tests::{Process, folders, ports};
use futures::future::try_join_all;
use parking_lot::Mutex;

use crate::clock::{self, Clock};
use crate::disk::SmallDisk;
use crate::fault::{Disk, Link, Server, host_name};
use crate::manifest;
use crate::plan::Ground;
use crate::proxy::Proxy;

/// Megabytes of the disks. They are taken from the memory only as far as something is on them.
const HOST_DISK: u32 = 512;
const SERVER_DISK: u32 = 2048;

/// What the component files say of the servers.
const REDIS_IN_COMPONENTS: &str = "localhost:6379";
const KAFKA_IN_COMPONENTS: &str = "localhost:9092";
/// How many events a topic keeps: all of a run, since the checker reads them there.
const EVENTS_IN_COMPONENTS: &str = "\"100000\"";
const EVENTS: &str = "\"5000000\"";

/// All servers, and what can be done to them. Dropping it ends them all.
pub(crate) struct Cluster {
    pub(crate) hosts: Vec<HostWithSidecar>,
    pub(crate) stack: Stack,
    links: BTreeMap<Link, Vec<Proxy>>,
    clocks: Vec<Clock>,
    /// After the servers, which have files open on them.
    disks: BTreeMap<Disk, SmallDisk>,
    /// Servers that a fault holds down, so that nobody starts them again.
    held: Mutex<BTreeSet<Server>>,
    /// The kinds of faults that cannot run here, and why.
    pub(crate) left_out: Vec<String>,
}

impl Cluster {
    /// Starts everything in a folder, and waits until all hosts are ready.
    pub(crate) async fn start(folder: &Path, hosts: usize) -> anyhow::Result<Cluster> {
        let mut left_out = Vec::new();
        let disks = mount(folder, hosts, &mut left_out)?;
        let clocks = make_clocks(folder, hosts, &mut left_out)?;
        let (scheduler, kafka) = (Proxy::start().await?, Proxy::start().await?);
        let fronts = Fronts { kafka: Some(kafka.port), scheduler: Some(scheduler.port) };
        let options = StackOptions { folder: Some(folder.to_owned()), fronts, ..StackOptions::default() };
        let stack = Stack::start(options).await?;
        scheduler.lead_to(stack.scheduler.port);
        let behind = stack.kafka.as_ref().and_then(|kafka| kafka.behind);
        kafka.lead_to(behind.context("the stack has a Kafka behind a proxy")?);
        let mut links = BTreeMap::new();
        let mut starting = Vec::new();
        for index in 0..hosts {
            let host = prepare(&stack, index, clocks.get(index), &fronts).await?;
            links.extend(host.links);
            starting.push(HostWithSidecar::start(host.app, host.sidecar));
        }
        links.extend([(Link::SidecarsToScheduler, vec![scheduler]), (Link::SidecarsToKafka, vec![kafka])]);
        let hosts = try_join_all(starting).await?;
        Ok(Cluster { hosts, stack, links, clocks, disks, held: Mutex::default(), left_out })
    }

    /// What there is for a plan.
    pub(crate) fn ground(&self) -> Ground {
        let disks = self.disks.keys().copied().collect();
        Ground { hosts: self.hosts.len(), disks, has_clocks: !self.clocks.is_empty() }
    }

    /// All servers.
    pub(crate) fn servers(&self) -> Vec<Server> {
        let hosts = (0..self.hosts.len()).flat_map(|index| [Server::Host(index), Server::Sidecar(index)]);
        [Server::Placement, Server::Scheduler, Server::Redis, Server::Kafka]
            .into_iter()
            .chain(hosts)
            .collect()
    }

    /// The process of a server.
    pub(crate) fn process(&self, server: Server) -> anyhow::Result<&Process> {
        Ok(match server {
            Server::Host(index) => &self.host(index)?.app.process,
            Server::Sidecar(index) => &self.host(index)?.sidecar.process,
            Server::Placement => &self.stack.placement.process,
            Server::Scheduler => &self.stack.scheduler.process,
            Server::Redis => &self.stack.redis.process,
            Server::Kafka => &self.stack.kafka.as_ref().context("the stack has Kafka")?.process,
        })
    }

    /// The proxies of a connection.
    pub(crate) fn link(&self, link: Link) -> &[Proxy] {
        self.links.get(&link).map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn disk(&self, disk: Disk) -> anyhow::Result<&SmallDisk> {
        self.disks.get(&disk).context("only disks that are there are filled")
    }

    pub(crate) fn clock(&self, index: usize) -> anyhow::Result<&Clock> {
        self.clocks.get(index).context("only clocks that are there are set")
    }

    /// Says whether a fault holds a server down.
    pub(crate) fn hold(&self, server: Server, is_held: bool) {
        let mut held = self.held.lock();
        if is_held {
            held.insert(server)
        } else {
            held.remove(&server)
        };
    }

    /// Does a fault hold the server down?
    pub(crate) fn is_held(&self, server: Server) -> bool {
        self.held.lock().contains(&server)
    }

    fn host(&self, index: usize) -> anyhow::Result<&HostWithSidecar> {
        self.hosts.get(index).context("the plan is for as many hosts as there are")
    }
}

/// The disks, or none of them with the reason.
fn mount(
    folder: &Path,
    hosts: usize,
    left_out: &mut Vec<String>,
) -> anyhow::Result<BTreeMap<Disk, SmallDisk>> {
    let of_hosts = (0..hosts).map(|index| (Disk::Host(index), data_folder(index), HOST_DISK));
    let of_servers =
        [(Disk::Redis, "redis".to_owned(), SERVER_DISK), (Disk::Kafka, "kafka".to_owned(), SERVER_DISK)];
    let mut disks = BTreeMap::new();
    for (disk, name, megabytes) in of_servers.into_iter().chain(of_hosts) {
        match SmallDisk::mount(&folder.join(name), megabytes) {
            Ok(mounted) => drop(disks.insert(disk, mounted)),
            // What is skipped in silence where nobody looks is not tested at all.
            Err(error) if std::env::var_os("CI").is_some() => {
                return Err(error.context("a tmpfs cannot be mounted here"));
            }
            Err(error) => {
                left_out.push(format!("FULL DISKS: a tmpfs cannot be mounted here: {error:#}"));
                return Ok(BTreeMap::new());
            }
        }
    }
    Ok(disks)
}

/// The clocks, or none of them with the reason.
fn make_clocks(folder: &Path, hosts: usize, left_out: &mut Vec<String>) -> anyhow::Result<Vec<Clock>> {
    let library = match clock::build(folder) {
        Ok(library) => library,
        Err(error) if std::env::var_os("CI").is_some() => return Err(error),
        Err(error) => {
            left_out.push(format!("THE WALL CLOCK: its library cannot be built: {error:#}"));
            return Ok(Vec::new());
        }
    };
    (0..hosts).map(|index| Clock::new(&library, &host_name(index))).collect()
}

/// The data folder of a host, within that of the run.
fn data_folder(index: usize) -> String {
    format!("{}-data", host_name(index))
}

/// A host and its sidecar, before they are started, with proxies on all their connections.
struct Prepared {
    app: AppOptions,
    sidecar: SidecarOptions,
    links: Vec<(Link, Vec<Proxy>)>,
}

async fn prepare(
    stack: &Stack,
    index: usize,
    clock: Option<&Clock>,
    fronts: &Fronts,
) -> anyhow::Result<Prepared> {
    let (kafka, scheduler) = fronts.kafka.zip(fronts.scheduler).context("both have proxies before them")?;
    let name = host_name(index);
    let (to_host, to_redis) = (Proxy::start().await?, leading_to(stack.redis.port).await?);
    let to_placement = leading_to(stack.placement.port).await?;
    let to_edge = leading_to(stack.twilio.address.port()).await?;
    let mut sidecar = stack.sidecar_options(&Server::Sidecar(index).name(), to_host.port)?;
    sidecar.placement = to_placement.port;
    sidecar.scheduler = scheduler;
    sidecar.resources = components(stack, &name, &to_redis.address(), kafka)?;
    for (variable, value) in &mut sidecar.program.environment {
        if variable == "HTTPS_PROXY" {
            *value = Some(format!("http://{}", to_edge.address()).into());
        }
    }
    let to_sidecar = vec![leading_to(sidecar.ports.http).await?, leading_to(sidecar.ports.grpc).await?];
    let path = stack.folder.join(format!("{name}.toml"));
    std::fs::write(&path, manifest::of(&name))?;
    let mut app = stack.app_options(&name, &path, &sidecar)?;
    app.listen = ports::free()?;
    to_host.lead_to(app.listen);
    (app.sidecar.http, app.sidecar.grpc) = (to_sidecar[0].port, to_sidecar[1].port);
    app.data = stack.folder.join(data_folder(index));
    if let Some(clock) = clock {
        app.program = app.program.variables(&clock.environment());
    }
    let links = vec![
        (Link::HostToSidecar(index), to_sidecar),
        (Link::SidecarToHost(index), vec![to_host]),
        (Link::SidecarToRedis(index), vec![to_redis]),
        (Link::SidecarToPlacement(index), vec![to_placement]),
        (Link::SidecarToEdge(index), vec![to_edge]),
    ];
    Ok(Prepared { app, sidecar, links })
}

async fn leading_to(port: u16) -> anyhow::Result<Proxy> {
    let proxy = Proxy::start().await?;
    proxy.lead_to(port);
    Ok(proxy)
}

/// The component files of one sidecar, with the addresses of its own proxies.
fn components(stack: &Stack, name: &str, redis: &str, kafka: u16) -> anyhow::Result<PathBuf> {
    let folder = stack.folder.join(format!("{name}-components"));
    let replacements = [
        (REDIS_IN_COMPONENTS, redis.to_owned()),
        (KAFKA_IN_COMPONENTS, format!("127.0.0.1:{kafka}")),
        (EVENTS_IN_COMPONENTS, EVENTS.to_owned()),
    ];
    let replacements = replacements.map(|(part, by)| (part.to_owned(), by));
    resources::copy(&folders::root().join("components/local"), &folder, &replacements)?;
    Ok(folder)
}
