//! Faults, applied and healed. Each that was applied is healed, also when applying or healing another one fails.

use anyhow::Context as _;
use daca_stack::Behaviour;
use futures::future::join_all;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::fault::{Edge, Fault};
use crate::history::{History, HistoryEvent};
use crate::plan::{Planned, Round};

/// Runs a round: each of its faults comes, lasts, and is healed. Its pause is left to the caller.
pub(crate) async fn run(round: &Round, cluster: &Cluster, history: &History) -> anyhow::Result<()> {
    let done = join_all(round.faults.iter().map(|planned| one(planned, cluster, history))).await;
    done.into_iter().collect()
}

async fn one(planned: &Planned, cluster: &Cluster, history: &History) -> anyhow::Result<()> {
    let Planned { after, lasts, fault } = *planned;
    sleep(after).await;
    // Before it is applied: what follows from it does so after this line.
    history.note(HistoryEvent::Applied(fault));
    let applied = apply(fault, cluster).with_context(|| format!("applying the fault: {fault}"));
    if applied.is_ok() {
        sleep(lasts).await;
    }
    heal(fault, cluster).with_context(|| format!("healing the fault: {fault}"))?;
    history.note(HistoryEvent::Healed(fault));
    if let Fault::Kill(server) = fault {
        history.note(HistoryEvent::Started(server));
    }
    applied
}

fn apply(fault: Fault, cluster: &Cluster) -> anyhow::Result<()> {
    match fault {
        Fault::Kill(server) => {
            cluster.hold(server, true);
            cluster.process(server)?.kill().map(drop)
        }
        Fault::Pause(server) => cluster.process(server)?.pause(),
        Fault::Link(link, trouble) => {
            cluster.link(link).iter().for_each(|proxy| proxy.trouble(Some(trouble)));
            Ok(())
        }
        Fault::Edge(edge) => {
            cluster.stack.twilio.behave(match edge {
                Edge::Status(status) => Behaviour::Answer(status),
                Edge::Silence => Behaviour::Never,
                Edge::Reset => Behaviour::Reset,
            });
            Ok(())
        }
        Fault::Clock(index, seconds) => cluster.clock(index)?.set(seconds),
        Fault::FullDisk(disk) => cluster.disk(disk)?.fill(),
    }
}

/// Nothing waits here for what a server needs: another fault may have that.
fn heal(fault: Fault, cluster: &Cluster) -> anyhow::Result<()> {
    match fault {
        Fault::Kill(server) => {
            let process = cluster.process(server)?;
            let started = if process.is_running() { Ok(()) } else { process.start_again() };
            cluster.hold(server, false);
            started
        }
        Fault::Pause(server) => cluster.process(server)?.resume(),
        Fault::Link(link, _) => {
            cluster.link(link).iter().for_each(|proxy| proxy.trouble(None));
            Ok(())
        }
        Fault::Edge(_) => {
            cluster.stack.twilio.behave(Behaviour::Accept);
            Ok(())
        }
        Fault::Clock(index, _) => cluster.clock(index)?.set(0),
        Fault::FullDisk(disk) => cluster.disk(disk)?.empty(),
    }
}
