//! Which faults happen when: drawn from a seed, before anything runs. The same seed on the same ground is the same plan.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use crate::fault::{Disk, Edge, Fault, Link, Server, Trouble};

/// What there is for faults to happen to. A kind that cannot run on this machine is not in it.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) hosts: usize,
    /// Disks that can be filled.
    pub(crate) disks: Vec<Disk>,
    /// Can the hosts' wall clocks be moved?
    pub(crate) has_clocks: bool,
}

/// How much happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Rounds that fill this time.
    Time(Duration),
    /// So many faults, or a few more: a round is whole.
    Faults(usize),
}

/// A fault, its beginning within its round, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
    pub(crate) fault: Fault,
}

/// One to three faults at a time, and a pause behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) faults: Vec<Planned>,
    pub(crate) pause: Duration,
}

/// Seconds by which a wall clock is moved: within and beyond what the dedup log keeps.
const JUMPS: [i64; 8] = [-3600, -700, -60, -5, 5, 60, 700, 3600];

/// Draws rounds until it is enough.
pub(crate) fn draw(seed: u64, extent: Extent, ground: &Ground) -> Vec<Round> {
    let mut rng = Rng::with_seed(seed);
    let (mut rounds, mut time, mut faults) = (Vec::new(), Duration::ZERO, 0);
    while match extent {
        Extent::Time(length) => time < length,
        Extent::Faults(count) => faults < count,
    } {
        let round = round(&mut rng, ground);
        time += round.length();
        faults += round.faults.len();
        rounds.push(round);
    }
    rounds
}

impl Round {
    /// How long it takes.
    pub(crate) fn length(&self) -> Duration {
        let ends = self.faults.iter().map(|planned| planned.after + planned.lasts);
        ends.max().unwrap_or_default() + self.pause
    }
}

fn round(rng: &mut Rng, ground: &Ground) -> Round {
    let wanted = rng.usize(1..=3);
    let (mut faults, mut subjects) = (Vec::new(), BTreeSet::new());
    while faults.len() < wanted {
        let fault = fault(rng, ground);
        // There are more subjects than three, so this ends.
        if subjects.insert(fault.subject()) {
            let (after, lasts) = (milliseconds(rng, 0, 3_000), milliseconds(rng, 1_000, 12_000));
            faults.push(Planned { after, lasts, fault });
        }
    }
    Round { faults, pause: milliseconds(rng, 4_000, 10_000) }
}

fn milliseconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..=to))
}

fn fault(rng: &mut Rng, ground: &Ground) -> Fault {
    loop {
        match rng.u32(0..100) {
            0..28 => return Fault::Kill(server(rng, ground.hosts)),
            28..48 => return Fault::Pause(server(rng, ground.hosts)),
            48..76 => return Fault::Link(link(rng, ground.hosts), trouble(rng)),
            76..86 => return Fault::Edge(edge(rng)),
            86..93 if ground.has_clocks => {
                return Fault::Clock(rng.usize(0..ground.hosts), JUMPS[rng.usize(0..JUMPS.len())]);
            }
            93..100 if !ground.disks.is_empty() => {
                return Fault::FullDisk(ground.disks[rng.usize(0..ground.disks.len())]);
            }
            // What cannot be done here is drawn again.
            _ => {}
        }
    }
}

/// Hosts and sidecars are as likely as all servers behind them.
fn server(rng: &mut Rng, hosts: usize) -> Server {
    match rng.u32(0..8) {
        0 | 1 => Server::Host(rng.usize(0..hosts)),
        2 | 3 => Server::Sidecar(rng.usize(0..hosts)),
        4 => Server::Placement,
        5 => Server::Scheduler,
        6 => Server::Redis,
        _ => Server::Kafka,
    }
}

fn link(rng: &mut Rng, hosts: usize) -> Link {
    let index = rng.usize(0..hosts);
    match rng.u32(0..7) {
        0 => Link::HostToSidecar(index),
        1 => Link::SidecarToHost(index),
        2 => Link::SidecarToRedis(index),
        3 => Link::SidecarToPlacement(index),
        4 => Link::SidecarToEdge(index),
        5 => Link::SidecarsToScheduler,
        _ => Link::SidecarsToKafka,
    }
}

fn trouble(rng: &mut Rng) -> Trouble {
    match rng.u32(0..3) {
        0 => Trouble::Cut,
        1 => Trouble::Delay,
        _ => Trouble::HalfOpen,
    }
}

fn edge(rng: &mut Rng) -> Edge {
    match rng.u32(0..4) {
        0 => Edge::Status(500),
        1 => Edge::Status(429),
        2 => Edge::Silence,
        _ => Edge::Reset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn ground() -> Ground {
        Ground { hosts: 2, disks: vec![Disk::Redis, Disk::Host(0)], has_clocks: true }
    }

    #[test]
    fn a_seed_is_a_plan_and_another_seed_is_another_one() {
        let plan = draw(7, Extent::Time(HOUR), &ground());
        assert_eq!(plan, draw(7, Extent::Time(HOUR), &ground()));
        assert_ne!(plan, draw(8, Extent::Time(HOUR), &ground()));
        // A longer run begins as a shorter one does.
        let short = draw(7, Extent::Time(HOUR / 10), &ground());
        assert_eq!(plan[..short.len()], short);
        let few = draw(7, Extent::Faults(20), &ground());
        let count = few.iter().map(|round| round.faults.len()).sum::<usize>();
        assert!((20..=22).contains(&count), "{count}");
        assert_eq!(plan[..few.len()], few);
    }

    #[test]
    fn one_to_three_faults_at_a_time_happen_to_different_things_and_every_kind_comes() {
        let plan = draw(1, Extent::Time(HOUR), &ground());
        let mut kinds = BTreeSet::new();
        for round in &plan {
            assert!((1..=3).contains(&round.faults.len()), "{round:?}");
            let subjects = round.faults.iter().map(|it| it.fault.subject()).collect::<BTreeSet<_>>();
            assert_eq!(subjects.len(), round.faults.len(), "{round:?}");
            kinds.extend(round.faults.iter().map(|it| it.fault.kind()));
        }
        assert_eq!(kinds.len(), 8, "{kinds:?}");
        let length = plan.iter().map(Round::length).sum::<Duration>();
        assert!(length >= HOUR && length < HOUR + Duration::from_secs(60), "{length:?}");
    }

    #[test]
    fn what_cannot_be_done_here_is_not_in_the_plan() {
        let ground = Ground { hosts: 1, disks: Vec::new(), has_clocks: false };
        let faults = draw(3, Extent::Time(HOUR), &ground).into_iter().flat_map(|round| round.faults);
        let impossible = faults.filter(|it| matches!(it.fault, Fault::Clock(..) | Fault::FullDisk(_)));
        assert_eq!(impossible.count(), 0);
    }
}
