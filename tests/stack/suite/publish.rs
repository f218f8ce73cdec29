//! Events that wait together are published together, where the broker keeps their order.

use anyhow::Context as _;
use daca_stack::{HostOptions, Stack, StackOptions};
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

#[tokio::test]
async fn events_that_waited_for_the_broker_arrive_together_and_in_order() -> anyhow::Result<()> {
    let topics = vec![("numbers".to_owned(), 1)];
    let stack = Stack::start(StackOptions { topics, ..StackOptions::default() }).await?;
    let kafka = stack.kafka.as_ref().context("the stack has Kafka")?;
    std::fs::write(stack.resources.join("daca-kafka.yaml"), component(&kafka.address()))?;
    let manifest = stack.folder.join("agents.toml");
    std::fs::write(&manifest, support::exerciser("").replace("daca-pubsub/*", "daca-kafka/*"))?;
    let host = stack.host(HostOptions::new("host", &manifest)?).await?;
    let client = daca_stack::wait::client()?;
    let publish = async |number: usize| -> anyhow::Result<()> {
        let event = json!({"pubsub": "daca-kafka", "topic": "numbers", "event": {"number": number}});
        let url = host.app.admin_url("/actors/Exerciser/a/method/Publish");
        let answer = client.post(url).body(event.to_string()).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    };

    publish(0).await?;
    kafka.process.pause()?;
    for number in 1..=20 {
        publish(number).await?;
    }
    kafka.process.resume()?;

    let arrived = support::eventually("all events arrive", async || {
        let read = kcat(kafka, &["-C", "-t", "numbers", "-e", "-q"], "").await?;
        let numbers =
            read.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?["data"]["number"].clone()));
        let numbers = numbers.collect::<anyhow::Result<Vec<_>>>()?;
        Ok((numbers.len() > 20).then_some(numbers))
    })
    .await?;
    assert_eq!(arrived, (0..=20).map(Value::from).collect::<Vec<_>>());
    let metrics = format!("http://127.0.0.1:{}/metrics", host.sidecar.options.ports.metrics);
    let metrics = client.get(metrics).send().await?.text().await?;
    let bulk = metrics.lines().filter(|line| line.starts_with("dapr_component_pubsub_egress_bulk_count{"));
    assert!(bulk.count() > 0, "nothing was published together:\n{metrics}");
    Ok(())
}
