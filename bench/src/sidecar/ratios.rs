//! The host against each of the others.

use std::time::Duration;

use super::contender::Contender;
use crate::peers::Peer;
use crate::report::{Bound, Ratio, Row};

/// What came of a closed loop.
pub(super) struct Closed {
    pub(super) contender: Contender,
    pub(super) load: String,
    pub(super) rate: f64,
    pub(super) p99: Duration,
}

pub(super) fn ratios(closed: &[Closed], fixed: &[(Contender, Duration)], rows: &[Row]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    let go = Contender::Peer(Peer::Go);
    let python = Contender::Peer(Peer::Python);
    let of = |who: Contender, load: &str| closed.iter().find(|one| one.contender == who && one.load == load);
    let figure = |who: Contender, load: &str, name: &str| {
        let row = rows.iter().find(|row| row.who == who.name() && row.load == load)?;
        row.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    };
    let mut add = |name: String, ours: f64, theirs: f64, wanted: Option<Bound>| {
        ratios.push(Ratio { name, value: ours / theirs, wanted });
    };
    for host in [Contender::Host, Contender::HostDirect] {
        for ours in closed.iter().filter(|one| one.contender == host) {
            let load = &*ours.load;
            let (Some(go), Some(python_done)) = (of(go, load), of(python, load)) else { continue };
            let name = |what: &str| format!("{what}: {}, {load}", host.name());
            add(name("throughput / go"), ours.rate, go.rate, Some(Bound::AtLeast(1.5)));
            add(name("p99 / go"), ours.p99.as_secs_f64(), go.p99.as_secs_f64(), Some(Bound::AtMost(1.0)));
            add(name("throughput / python"), ours.rate, python_done.rate, Some(Bound::AtLeast(30.0)));
            if let (Some(ours), Some(theirs)) =
                (figure(host, load, "resident"), figure(python, load, "resident"))
            {
                add(name("resident / python"), ours, theirs, Some(Bound::AtMost(1.0)));
            }
        }
        for (peer, wanted) in [(go, Some(Bound::AtLeast(1.5))), (python, None)] {
            let rate = "messages a second";
            if let (Some(ours), Some(theirs)) = (figure(host, "Kafka", rate), figure(peer, "Kafka", rate)) {
                add(format!("throughput / {}: {}, Kafka", peer.name(), host.name()), ours, theirs, wanted);
            }
        }
        let p99 =
            |who: Contender| fixed.iter().find(|(name, _)| *name == who).map(|(_, p99)| p99.as_secs_f64());
        if let (Some(ours), Some(theirs)) = (p99(host), p99(go)) {
            add(format!("p99 / go: {}, fixed rate", host.name()), ours, theirs, Some(Bound::AtMost(1.0)));
        }
    }
    ratios
}
