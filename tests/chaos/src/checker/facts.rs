//! The history, put in order for the rules: each operation with its answer, and the times at which hosts changed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::violation::Known;
use crate::fault::{Disk, Fault, Link, Server, host_name};
use crate::history::{Asked, HistoryEvent, Outcome, Record};

/// How long after a change of hosts two of them may have an actor, as far as Dapr is to blame; on a slow machine as much longer
/// as it is slow.
const WINDOW_MS: u64 = 10_000;
/// How late readiness is seen.
const SEEN_LATE_MS: u64 = 2_000;

/// What is known of an operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) asked: Asked,
    pub(crate) asked_ms: u64,
    /// When, and what. Without an answer, its worker was ended.
    pub(crate) answered: Option<(u64, Outcome)>,
}

/// A look for an acknowledged entry that did not show it.
#[derive(Debug, Clone)]
pub(crate) struct StaleLook {
    pub(crate) ms: u64,
    pub(crate) op: String,
    pub(crate) over: String,
    pub(crate) by: String,
}

/// What the rules need of the history.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    release: String,
    pub(crate) operations: BTreeMap<String, Operation>,
    pub(crate) stale_looks: Vec<StaleLook>,
    /// Hosts that ended by themselves, with their status.
    pub(crate) ended_hosts: Vec<(String, String)>,
    /// Times at which a host or sidecar joined or left, or placement was away.
    changes: Vec<RangeInclusive<u64>>,
    /// The same of sidecars that did not hear of placement, with the name of their host.
    deaf: Vec<(String, RangeInclusive<u64>)>,
    /// Everything that was wrong, with what is left of it for a while.
    troubles: Vec<(Fault, RangeInclusive<u64>)>,
    /// When the machine was slow, and how slow in percent.
    slow: Vec<(u64, u32)>,
}

impl Facts {
    pub(crate) fn of(history: &[Record]) -> Facts {
        let slow = history.iter().filter_map(|Record { ms, what }| match what {
            HistoryEvent::Slow { percent } => Some((*ms, *percent)),
            _ => None,
        });
        let mut facts = Facts { slow: slow.collect(), ..Facts::default() };
        let mut applied = Vec::new();
        for Record { ms, what } in history {
            match what {
                HistoryEvent::Began { release, .. } => facts.release.clone_from(release),
                HistoryEvent::Asked(asked) => {
                    let operation = Operation { asked: asked.clone(), asked_ms: *ms, answered: None };
                    facts.operations.insert(asked.order.op.clone(), operation);
                }
                HistoryEvent::Answered { op, outcome } => {
                    if let Some(operation) = facts.operations.get_mut(op) {
                        operation.answered = Some((*ms, outcome.clone()));
                    }
                }
                HistoryEvent::Looked { op, over, by, shows: false } => {
                    let (op, over, by) = (op.clone(), over.clone(), by.clone());
                    facts.stale_looks.push(StaleLook { ms: *ms, op, over, by });
                }
                HistoryEvent::Applied(fault) => applied.push((*ms, *fault)),
                HistoryEvent::Healed(fault) => {
                    let since =
                        applied.iter().position(|(_, one)| one == fault).map(|at| applied.remove(at).0);
                    facts.add_fault(*fault, since.unwrap_or(*ms), *ms);
                }
                HistoryEvent::Ended { server, status } => facts.add_end(*server, status, *ms),
                HistoryEvent::Started(server) => facts.add_start(*server, *ms),
                HistoryEvent::Ready { .. } => facts.add_change(ms.saturating_sub(SEEN_LATE_MS), *ms),
                _ => {}
            }
        }
        facts.troubles.extend(applied.into_iter().map(|(since, fault)| (fault, since..=u64::MAX)));
        facts
    }

    /// Does a class of Dapr's known faults explain what these two hosts have done to one actor at this time?
    pub(crate) fn explains(&self, one: &str, other: &str, time: RangeInclusive<u64>) -> Option<Known> {
        if one == other {
            return None;
        }
        let is_deaf = |(host, deaf): &(String, RangeInclusive<u64>)| {
            (host == one || host == other) && overlap(deaf, &time)
        };
        if self.deaf.iter().any(is_deaf) {
            return Some(Known::DeafSidecar);
        }
        let is_1_16 = self.release.starts_with("1.16.");
        let changes = is_1_16 && self.changes.iter().any(|change| overlap(change, &time));
        changes.then_some(Known::PlacementDoesNotWait)
    }

    /// Was something wrong at this time with this host, its sidecar, or what both need for a turn? Or did hosts change?
    pub(crate) fn is_troubled(&self, host: &str, time: &RangeInclusive<u64>) -> bool {
        self.changes.iter().any(|change| overlap(change, time))
            || self.troubles.iter().any(|(fault, trouble)| concerns(*fault, host) && overlap(trouble, time))
    }

    fn add_fault(&mut self, fault: Fault, from: u64, to: u64) {
        self.troubles.push((fault, from..=self.window_after(to)));
        match fault {
            Fault::Pause(Server::Sidecar(index)) | Fault::Link(Link::SidecarToPlacement(index), _) => {
                let until = self.window_after(to);
                self.deaf.push((host_name(index), from..=until));
                self.add_change(from, to);
            }
            Fault::Kill(server) | Fault::Pause(server) if changes_hosts(server) => self.add_change(from, to),
            // The sidecar takes its host for gone.
            Fault::Link(Link::SidecarToHost(_) | Link::HostToSidecar(_), _) => self.add_change(from, to),
            _ => {}
        }
    }

    fn add_end(&mut self, server: Server, status: &str, ms: u64) {
        if let Server::Host(index) = server {
            self.ended_hosts.push((host_name(index), status.to_owned()));
        }
        self.add_start(server, ms);
    }

    /// A server starts by itself, or has ended.
    fn add_start(&mut self, server: Server, ms: u64) {
        self.troubles.push((Fault::Kill(server), ms..=self.window_after(ms)));
        if changes_hosts(server) {
            self.add_change(ms, ms);
        }
    }

    fn add_change(&mut self, from: u64, to: u64) {
        self.changes.push(from..=self.window_after(to));
    }

    /// The end of what a change at this time may explain.
    pub(crate) fn window_after(&self, ms: u64) -> u64 {
        self.after(ms, WINDOW_MS)
    }

    /// So long after this time; on a machine that was slow then, as much longer as it was slow.
    pub(crate) fn after(&self, ms: u64, length_ms: u64) -> u64 {
        let near = ms.saturating_sub(SEEN_LATE_MS)..=ms.saturating_add(WINDOW_MS);
        let slow = self.slow.iter().filter(|(at, _)| near.contains(at)).map(|(_, percent)| *percent);
        ms.saturating_add(length_ms * u64::from(slow.max().unwrap_or(100)) / 100)
    }
}

fn changes_hosts(server: Server) -> bool {
    matches!(server, Server::Host(_) | Server::Sidecar(_) | Server::Placement)
}

/// May this fault end a turn or a timer of a host?
fn concerns(fault: Fault, host: &str) -> bool {
    let is_of = |index: usize| host_name(index) == host;
    match fault {
        Fault::Kill(server) | Fault::Pause(server) => match server {
            Server::Host(index) | Server::Sidecar(index) => is_of(index),
            Server::Placement | Server::Scheduler | Server::Redis => true,
            Server::Kafka => false,
        },
        Fault::Link(link, _) => match link {
            Link::HostToSidecar(index)
            | Link::SidecarToHost(index)
            | Link::SidecarToRedis(index)
            | Link::SidecarToPlacement(index) => is_of(index),
            Link::SidecarsToScheduler => true,
            Link::SidecarToEdge(_) | Link::SidecarsToKafka => false,
        },
        Fault::Clock(index, _) | Fault::FullDisk(Disk::Host(index)) => is_of(index),
        Fault::FullDisk(Disk::Redis) => true,
        Fault::FullDisk(Disk::Kafka) | Fault::Edge(_) => false,
    }
}

fn overlap(one: &RangeInclusive<u64>, other: &RangeInclusive<u64>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}
