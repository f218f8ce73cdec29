//! The work: callers, a producer of Kafka's messages and a deployer, which go on whatever happens to the servers.

mod answers;
mod calls;
mod context;
mod kafka;
mod orders;
mod swaps;

use futures::future::{join, join_all, try_join_all};

pub(crate) use calls::pages;
pub(crate) use context::{ACTORS, Workload, actor_name};
pub(crate) use swaps::agree;

/// Works until it is over, and until what was begun is acknowledged or given up.
pub(crate) async fn run(workload: &Workload<'_>) -> anyhow::Result<()> {
    let producer = kafka::producer(workload.cluster)?;
    let calls = join_all((0..ACTORS).map(|actor| calls::work(workload, actor)));
    let messages = try_join_all((0..ACTORS).map(|actor| kafka::work(workload, &producer, actor)));
    let (swapped, (_, sent)) = join(swaps::work(workload), join(calls, messages)).await;
    swapped.and(sent.map(drop))
}
