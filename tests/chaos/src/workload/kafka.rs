//! A sender of Kafka's messages to one actor: each waits until the broker has the one before it, so their order is known.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

use super::context::{ACTORS, Workload};
use super::orders;
use crate::cluster::Cluster;
use crate::history::{HistoryEvent, Outcome, shortened};
use crate::manifest::KAFKA_TOPIC;

/// How long a sender pauses on the average: 20 of them send 6 messages a second.
const PAUSE: Duration = Duration::from_millis(3_300);
/// Longer than any fault: what is not delivered by then may be delivered all the same.
const DELIVER_WITHIN: Duration = Duration::from_secs(60);

/// One for all senders. It goes to the broker itself, past the proxy of the sidecars.
pub(super) fn producer(cluster: &Cluster) -> anyhow::Result<FutureProducer> {
    let kafka = cluster.stack.kafka.as_ref().context("the stack has Kafka")?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", kafka.address())
        .set("message.timeout.ms", DELIVER_WITHIN.as_millis().to_string())
        .set("enable.idempotence", "true")
        .set("reconnect.backoff.max.ms", "1000")
        // A broker that is away is no news here.
        .set("log_level", "0");
    Ok(config.create()?)
}

/// Sends messages to an actor until it is over.
pub(super) async fn work(
    workload: &Workload<'_>,
    producer: &FutureProducer,
    actor: usize,
) -> anyhow::Result<()> {
    let mut rng = workload.rng((ACTORS + actor) as u64);
    for sequence in 0.. {
        workload.pause(&mut rng, PAUSE).await;
        if workload.is_over() {
            break;
        }
        let asked = orders::message(&mut rng, actor, sequence);
        let op = asked.order.op.clone();
        let payload = json!({ "actor_id": asked.actor, "message": asked.order }).to_string();
        workload.history.note(HistoryEvent::Asked(asked.clone()));
        let record = FutureRecord::to(KAFKA_TOPIC).key(&asked.actor).payload(&payload);
        let outcome = match producer.send(record, DELIVER_WITHIN).await {
            Ok(_) => Outcome::Kept(None),
            Err((error, _)) => Outcome::Unanswered(shortened(&error.to_string())),
        };
        workload.history.note(HistoryEvent::Answered { op, outcome });
    }
    Ok(())
}
