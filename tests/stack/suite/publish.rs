//! Events that wait together are published together: those of one actor where the broker keeps their order, those of many anywhere.

use anyhow::Context as _;
use daca_stack::{HostOptions, HostWithSidecar, Kafka, Stack, StackOptions};
use daca_tests::client;
use serde_json::{Value, json};

use crate::broker::kcat;
use crate::support;

/// Kafka as a pub/sub component.
fn component(brokers: &str) -> String {
    format!(
        "apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: daca-kafka
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - name: brokers
    value: \"{brokers}\"
  - name: authType
    value: none
"
    )
}

/// A host that publishes to the topic `numbers` of Kafka.
struct Publishing {
    host: HostWithSidecar,
    stack: Stack,
    client: reqwest::Client,
}

impl Publishing {
    async fn start() -> anyhow::Result<Publishing> {
        let topics = vec![("numbers".to_owned(), 1)];
        let stack = Stack::start(StackOptions { topics, ..StackOptions::default() }).await?;
        let address = stack.kafka.as_ref().context("the stack has Kafka")?.address();
        std::fs::write(stack.resources.join("daca-kafka.yaml"), component(&address))?;
        let manifest = stack.folder.join("agents.toml");
        std::fs::write(&manifest, support::exerciser("").replace("daca-pubsub/*", "daca-kafka/*"))?;
        let host = stack.host(HostOptions::new("host", &manifest)?).await?;
        Ok(Publishing { host, stack, client: client()? })
    }

    fn kafka(&self) -> anyhow::Result<&Kafka> {
        self.stack.kafka.as_ref().context("the stack has Kafka")
    }

    async fn publish(&self, actor: &str, number: usize, text: &str) -> anyhow::Result<()> {
        let event = json!({"number": number, "text": text});
        let event = json!({"pubsub": "daca-kafka", "topic": "numbers", "event": event});
        let url = self.host.app.admin_url(&format!("/actors/Exerciser/{actor}/method/Publish"));
        let answer = self.client.post(url).body(event.to_string()).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    /// Waits until so many events have arrived, and answers their numbers.
    async fn arrived(&self, count: usize) -> anyhow::Result<Vec<Value>> {
        support::eventually("all events arrive", async || {
            let read = kcat(self.kafka()?, &["-C", "-t", "numbers", "-e", "-q"], "").await?;
            let numbers =
                read.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?["data"]["number"].clone()));
            let numbers = numbers.collect::<anyhow::Result<Vec<_>>>()?;
            Ok((numbers.len() >= count).then_some(numbers))
        })
        .await
    }

    /// The sidecar has published some together.
    async fn were_together(&self) -> anyhow::Result<()> {
        let metrics = format!("http://127.0.0.1:{}/metrics", self.host.sidecar.options.ports.metrics);
        let metrics = self.client.get(metrics).send().await?.text().await?;
        let bulk =
            metrics.lines().filter(|line| line.starts_with("dapr_component_pubsub_egress_bulk_count{"));
        anyhow::ensure!(bulk.count() > 0, "nothing was published together:\n{metrics}");
        Ok(())
    }
}

#[tokio::test]
async fn events_that_waited_for_the_broker_arrive_together_and_in_order() -> anyhow::Result<()> {
    let publishing = Publishing::start().await?;
    publishing.publish("a", 0, "").await?;
    publishing.kafka()?.process.pause()?;
    for number in 1..=20 {
        publishing.publish("a", number, "").await?;
    }
    publishing.kafka()?.process.resume()?;
    assert_eq!(publishing.arrived(21).await?, (0..=20).map(Value::from).collect::<Vec<_>>());
    publishing.were_together().await
}

#[tokio::test]
async fn events_of_many_actors_leave_together_and_one_that_the_broker_refuses_stops_no_other()
-> anyhow::Result<()> {
    const ACTORS: usize = 30;
    let publishing = Publishing::start().await?;
    publishing.publish("first", 0, "").await?;
    publishing.kafka()?.process.pause()?;
    for number in 1..=ACTORS {
        publishing.publish(&format!("actor-{number}"), number, "").await?;
        if number == ACTORS / 2 {
            // With its envelope it has more than 1 MiB, the most that the client of Kafka takes.
            publishing.publish("refused", 1_000, &"x".repeat(1_048_500)).await?;
        }
    }
    publishing.kafka()?.process.resume()?;
    let mut arrived = publishing.arrived(ACTORS + 1).await?;
    arrived.sort_by_key(Value::as_u64);
    // Each goes by itself after a refusal, and the sidecar does not say which of them the broker had taken.
    arrived.dedup();
    assert_eq!(arrived, (0..=ACTORS).map(Value::from).collect::<Vec<_>>());
    support::eventually("the refused one is dropped", async || {
        let url = publishing.host.app.admin_url("/outbox");
        let outbox: Value = publishing.client.get(url).send().await?.json().await?;
        Ok((outbox["counts"]["failed"] == 1 && outbox["counts"]["pending"] == 0).then_some(()))
    })
    .await?;
    publishing.were_together().await
}
