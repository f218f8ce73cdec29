//! Contenders beside each other: each has a host of its own, all run at the same time, and loads go to one after the other, in
//! rounds, so that what the machine does meanwhile slows all of them.

use std::time::Duration;

use super::contender::Contender;
use super::measured::Measured;
use super::running::Running;
use crate::extent::Extent;

/// Rounds of first calls, and the new actors of each.
pub(super) const FRESH_ROUNDS: usize = 4;
pub(super) const NEW_ACTORS: usize = 25;
/// Rounds of calls to one actor.
const WARM_ROUNDS: usize = 5;
const WARM_SECONDS: f64 = 1.0;
/// Until a host has given back what a deployment used.
const SETTLING: Duration = Duration::from_secs(3);

/// Measures them. `deploys` are the further versions of each, at most.
pub(super) async fn compare(
    measure: &str,
    contenders: &[Contender],
    deploys: usize,
    extent: Extent,
) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    for contender in contenders {
        eprintln!("{measure}: {}, first deployment", contender.name());
        all.push(Running::start(*contender).await?);
    }
    tokio::time::sleep(SETTLING).await;
    new_actors(measure, &mut all, extent).await?;
    for running in &all {
        running.warm_up().await?;
    }
    for round in 0..extent.times(WARM_ROUNDS) {
        eprintln!("{measure}: calls, round {}", round + 1);
        for index in in_order(round, all.len()) {
            all[index].call(extent.seconds(WARM_SECONDS)).await?;
        }
    }
    for round in 0..extent.times(deploys) {
        for index in in_order(round, all.len()) {
            eprintln!("{measure}: {}, deployment {}", all[index].name(), round + 2);
            all[index].deploy().await?;
        }
    }
    let mut measured = Vec::new();
    for running in all {
        measured.push(running.stop().await?);
    }
    Ok(measured)
}

/// First calls, and what the actors cost that they leave behind.
async fn new_actors(measure: &str, all: &mut [Running], extent: Extent) -> anyhow::Result<()> {
    for running in all.iter_mut() {
        running.read_before().await?;
    }
    for round in 0..extent.times(FRESH_ROUNDS) {
        eprintln!("{measure}: new actors, round {}", round + 1);
        for index in in_order(round, all.len()) {
            all[index].call_new_actors(round, NEW_ACTORS).await?;
        }
    }
    for running in all.iter_mut() {
        running.read_costs().await?;
    }
    Ok(())
}

/// The contenders by number, in the opposite order in every second round.
fn in_order(round: usize, count: usize) -> Vec<usize> {
    let mut order = (0..count).collect::<Vec<_>>();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}
