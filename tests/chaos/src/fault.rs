//! What can be done to the servers, as data: the plan draws it, the history keeps it, the report names it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A process. Hosts and their sidecars are counted from 0, and named from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Server {
    Host(usize),
    Sidecar(usize),
    Placement,
    Scheduler,
    Redis,
    Kafka,
}

/// The connections from one to another. Those between sidecars are missing: Dapr announces the port that it listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Link {
    HostToSidecar(usize),
    SidecarToHost(usize),
    SidecarToRedis(usize),
    SidecarToPlacement(usize),
    SidecarToEdge(usize),
    /// All sidecars at once: what is announced to them is one address.
    SidecarsToScheduler,
    SidecarsToKafka,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trouble {
    /// All are reset, and new ones, too.
    Cut,
    /// All that is sent is late.
    Delay,
    /// The one who connects believes in a connection of which the other knows nothing.
    HalfOpen,
}

/// What the SMS edge answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Edge {
    Status(u16),
    Silence,
    Reset,
}

/// A disk that can be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Disk {
    Host(usize),
    Redis,
    Kafka,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// `kill -9`; it starts again when the fault is over.
    Kill(Server),
    /// SIGSTOP, and SIGCONT when it is over.
    Pause(Server),
    Link(Link, Trouble),
    Edge(Edge),
    /// The wall clock of a host is so many seconds ahead, or behind.
    Clock(usize, i64),
    FullDisk(Disk),
}

impl Server {
    /// Its name, which is that of its log.
    pub(crate) fn name(self) -> String {
        match self {
            Server::Host(index) => host_name(index),
            Server::Sidecar(index) => format!("{}-sidecar", host_name(index)),
            Server::Placement => "placement".to_owned(),
            Server::Scheduler => "scheduler".to_owned(),
            Server::Redis => "redis".to_owned(),
            Server::Kafka => "kafka".to_owned(),
        }
    }
}

/// The name of a host in logs, settings and entries.
pub(crate) fn host_name(index: usize) -> String {
    format!("host{}", index + 1)
}

impl Fault {
    /// What it happens to: two faults at the same time happen to two. Redis and Kafka end when their disk is full, and a host
    /// that was killed rightly does not start on one.
    pub(crate) fn subject(self) -> String {
        match self {
            Fault::Kill(server) | Fault::Pause(server) => server.name(),
            Fault::FullDisk(Disk::Redis) => Server::Redis.name(),
            Fault::FullDisk(Disk::Kafka) => Server::Kafka.name(),
            Fault::FullDisk(Disk::Host(index)) => Server::Host(index).name(),
            Fault::Link(link, _) => link.to_string(),
            Fault::Edge(_) => "edge".to_owned(),
            Fault::Clock(index, _) => format!("clock of {}", host_name(index)),
        }
    }

    /// Its kind, under which it is counted.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::Pause(_) => "pause",
            Fault::Link(_, Trouble::Cut) => "cut",
            Fault::Link(_, Trouble::Delay) => "delay",
            Fault::Link(_, Trouble::HalfOpen) => "half-open",
            Fault::Edge(_) => "edge",
            Fault::Clock(..) => "clock",
            Fault::FullDisk(_) => "full disk",
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Link::HostToSidecar(index) => write!(f, "{0} -> {0}-sidecar", host_name(index)),
            Link::SidecarToHost(index) => write!(f, "{0}-sidecar -> {0}", host_name(index)),
            Link::SidecarToRedis(index) => write!(f, "{}-sidecar -> redis", host_name(index)),
            Link::SidecarToPlacement(index) => write!(f, "{}-sidecar -> placement", host_name(index)),
            Link::SidecarToEdge(index) => write!(f, "{}-sidecar -> edge", host_name(index)),
            Link::SidecarsToScheduler => f.write_str("sidecars -> scheduler"),
            Link::SidecarsToKafka => f.write_str("sidecars -> kafka"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::Kill(server) => write!(f, "kill -9 {}", server.name()),
            Fault::Pause(server) => write!(f, "SIGSTOP {}", server.name()),
            Fault::Link(link, trouble) => write!(f, "{link}: {}", trouble.word()),
            Fault::Edge(Edge::Status(status)) => write!(f, "edge: {status}"),
            Fault::Edge(Edge::Silence) => f.write_str("edge: silence"),
            Fault::Edge(Edge::Reset) => f.write_str("edge: reset"),
            Fault::Clock(index, seconds) => write!(f, "clock of {}: {seconds:+} s", host_name(index)),
            Fault::FullDisk(Disk::Host(index)) => write!(f, "full disk of {}", host_name(index)),
            Fault::FullDisk(Disk::Redis) => f.write_str("full disk of redis"),
            Fault::FullDisk(Disk::Kafka) => f.write_str("full disk of kafka"),
        }
    }
}

impl Trouble {
    fn word(self) -> &'static str {
        match self {
            Trouble::Cut => "cut",
            Trouble::Delay => "delay",
            Trouble::HalfOpen => "half-open",
        }
    }
}
