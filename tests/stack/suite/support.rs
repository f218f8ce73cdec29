//! What the tests share.

mod bench;
mod logs;
mod manifests;
mod stacks;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use daca_stack::{HostOptions, HostWithSidecar, Stack, StackOptions};
use daca_tests::{Answer, Patience, client, folders};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

pub(crate) use bench::{Bench, BenchOptions};
pub(crate) use logs::lines_with;
pub(crate) use manifests::{exerciser, kafka_input, ledger_manifest, manifest, route};
pub(crate) use stacks::{stack_with, without_kafka};

/// A restarted broker or sidecar may take most of a minute to serve again on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const PATIENCE: Patience = Patience::new(LONGEST_WAIT, Duration::from_millis(50));

/// Tries until there is an answer, with this suite's patience.
pub(crate) async fn eventually<T>(
    what: &str,
    attempt: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    PATIENCE.until_some(what, attempt).await
}

/// The ChatAgent in hosts beside their sidecars, with all servers around them.
pub(crate) struct Chat {
    pub(crate) hosts: Vec<HostWithSidecar>,
    pub(crate) stack: Stack,
    pub(crate) client: reqwest::Client,
    producer: FutureProducer,
}

impl Chat {
    /// One host, with the manifest of the project.
    pub(crate) async fn start() -> anyhow::Result<Chat> {
        Chat::start_with(1, &manifest(&[])?).await
    }

    /// So many hosts with this manifest.
    pub(crate) async fn start_with(hosts: usize, manifest: &str) -> anyhow::Result<Chat> {
        Chat::start_on(StackOptions::default(), hosts, manifest).await
    }

    /// The same on a stack of another form.
    pub(crate) async fn start_on(
        options: StackOptions,
        hosts: usize,
        manifest: &str,
    ) -> anyhow::Result<Chat> {
        let stack = Stack::start(options).await?;
        let path = stack.folder.join("agents.toml");
        std::fs::write(&path, manifest)?;
        // Without Kafka nothing is produced, and the producer connects to nobody.
        let brokers = stack.kafka.as_ref().map(|kafka| kafka.address()).unwrap_or_default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("message.timeout.ms", "60000")
            .set("enable.idempotence", "true")
            .create()?;
        let mut chat = Chat { hosts: Vec::new(), stack, client: client()?, producer };
        for _ in 0..hosts {
            chat.add_host().await?;
        }
        Ok(chat)
    }

    /// Adds a host, and waits until its actors are hosted.
    pub(crate) async fn add_host(&mut self) -> anyhow::Result<()> {
        self.add_host_with("agents.toml").await
    }

    /// The same with another manifest in the folder of the stack.
    pub(crate) async fn add_host_with(&mut self, manifest: &str) -> anyhow::Result<()> {
        self.add_host_of(folders::daca(), manifest).await
    }

    /// The same with another program.
    pub(crate) async fn add_host_of(&mut self, program: PathBuf, manifest: &str) -> anyhow::Result<()> {
        let name = format!("host{}", self.hosts.len() + 1);
        let options = HostOptions::new(&name, &self.stack.folder.join(manifest))?;
        let host = self.stack.host(HostOptions { program, ..options }).await?;
        self.hosts.push(host);
        Ok(())
    }

    /// Posts JSON to the first host. Answers the status and the body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        self.post_to(0, path, body).await
    }

    /// Posts JSON to one of the hosts.
    pub(crate) async fn post_to(
        &self,
        host: usize,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(u16, Value)> {
        let request = self.client.post(self.hosts[host].app.url(path)).body(body.to_string());
        read(request).await
    }

    /// Gets from the first host.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        self.get_from(0, path).await
    }

    /// Gets from one of the hosts.
    pub(crate) async fn get_from(&self, host: usize, path: &str) -> anyhow::Result<(u16, Value)> {
        read(self.client.get(self.hosts[host].app.url(path))).await
    }

    /// The contents of the user's messages in an actor's history.
    pub(crate) async fn history(&self, actor: &str) -> anyhow::Result<Vec<Value>> {
        let (status, body) = self.get(&format!("/chat/{actor}/history")).await?;
        anyhow::ensure!(status == 200, "history of {actor}: {status} {body}");
        body["history"].as_array().cloned().context("the history is a list")
    }

    /// Waits until an actor's history has so many entries.
    pub(crate) async fn until_history(&self, actor: &str, entries: usize) -> anyhow::Result<()> {
        eventually(&format!("the history of {actor} has {entries} entries"), async || {
            Ok(self.history(actor).await.is_ok_and(|history| history.len() == entries).then_some(()))
        })
        .await
    }

    /// Sends a message to the topic of the Kafka binding, and waits until the broker has it.
    pub(crate) async fn produce(&self, key: Option<&str>, message: &Value) -> anyhow::Result<Delivery> {
        self.produce_bytes(key, message.to_string().as_bytes(), OwnedHeaders::new()).await
    }

    /// The same with any bytes and headers.
    pub(crate) async fn produce_bytes(
        &self,
        key: Option<&str>,
        message: &[u8],
        headers: OwnedHeaders,
    ) -> anyhow::Result<Delivery> {
        let mut record = FutureRecord::<str, [u8]>::to("user-messages").payload(message).headers(headers);
        record.key = key;
        self.producer.send(record, LONGEST_WAIT).await.map_err(|(error, _)| error.into())
    }
}

async fn read(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, Value)> {
    let Answer { status, body, .. } = Answer::of(request).await?;
    Ok((status.as_u16(), body))
}

/// Waits until every event of a topic was delivered and acknowledged.
pub(crate) async fn until_settled(stack: &Stack, topic: &str) -> anyhow::Result<()> {
    eventually(&format!("the consumer group of {topic} has nothing pending"), async || {
        let groups = stack.redis.cli(&["xinfo", "groups", topic]).await?;
        let lines = groups.lines().collect::<Vec<_>>();
        let after = |name: &str| lines.iter().position(|line| *line == name).and_then(|at| lines.get(at + 1));
        Ok((after("pending") == Some(&"0") && after("lag") == Some(&"0")).then_some(()))
    })
    .await
}

/// A message for an actor of the guest `ledger`.
pub(crate) fn numbered(actor: &str, number: u64) -> Value {
    json!({"actor_id": actor, "message": {"number": number}})
}

impl Chat {
    /// The numbers that an actor of the guest `ledger` has kept, as one of the hosts tells.
    pub(crate) async fn entries(&self, host: usize, actor: &str) -> anyhow::Result<Vec<u64>> {
        let request = self.client.get(self.hosts[host].app.url(&format!("/ledger/{actor}")));
        let (status, body) = read(request).await?;
        anyhow::ensure!(status == 200, "entries of {actor}: {status} {body}");
        Ok(serde_json::from_value(body["entries"].clone())?)
    }

    /// Waits until an actor of the guest `ledger` has so many numbers or more, and answers them.
    pub(crate) async fn until_entries(&self, actor: &str, least: usize) -> anyhow::Result<Vec<u64>> {
        eventually(&format!("{actor} has {least} entries"), async || {
            Ok(self.entries(0, actor).await.ok().filter(|entries| entries.len() >= least))
        })
        .await
    }

    /// The dead-lettered messages, oldest first.
    pub(crate) async fn dead_letters(&self) -> anyhow::Result<Vec<Value>> {
        self.events("user-messages-dead-letter").await
    }

    /// The data of a topic's events, oldest first.
    pub(crate) async fn events(&self, topic: &str) -> anyhow::Result<Vec<Value>> {
        let stream = ["--json", "xrange", topic, "-", "+"];
        let entries: Vec<(String, Vec<String>)> =
            serde_json::from_str(&self.stack.redis.cli(&stream).await?)?;
        let data_of = |(_, fields): (String, Vec<String>)| -> anyhow::Result<Value> {
            let data =
                fields.iter().skip_while(|field| *field != "data").nth(1).context("an event has data")?;
            Ok(serde_json::from_str::<Value>(data)?["data"].take())
        };
        entries.into_iter().map(data_of).collect()
    }

    /// Waits until the group of the Kafka binding has committed all that was produced, for as long as it gets on.
    pub(crate) async fn until_committed(&self) -> anyhow::Result<()> {
        let brokers = self.stack.kafka.as_ref().context("the stack has Kafka")?.address();
        let (mut fewest, mut since) = (i64::MAX, Instant::now());
        loop {
            let brokers = brokers.clone();
            // librdkafka blocks the thread.
            let left = tokio::task::spawn_blocking(move || uncommitted(&brokers)).await?;
            match left {
                Ok(0) => return Ok(()),
                Ok(left) if left < fewest => (fewest, since) = (left, Instant::now()),
                _ => anyhow::ensure!(since.elapsed() < LONGEST_WAIT, "messages are not committed: {left:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The actors that are active on each host, as it tells.
    pub(crate) async fn active(&self, host: usize) -> anyhow::Result<Vec<String>> {
        let request = self.client.get(self.hosts[host].app.admin_url("/activations?limit=10000"));
        let (_, body) = read(request).await?;
        let activations = body["activations"].as_array().context("activations are a list")?;
        Ok(activations.iter().filter_map(|one| one["actor_id"].as_str().map(str::to_owned)).collect())
    }
}

/// Messages that the group has not committed.
fn uncommitted(brokers: &str) -> anyhow::Result<i64> {
    const TOPIC: &str = "user-messages";
    const TIMEOUT: Duration = Duration::from_secs(10);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "chat-agent-group")
        .set("log_level", "0")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(TOPIC), TIMEOUT)?;
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        partitions.add_partition(TOPIC, partition.id());
    }
    let mut left = 0;
    for element in consumer.committed_offsets(partitions, TIMEOUT)?.elements() {
        let (low, high) = consumer.fetch_watermarks(TOPIC, element.partition(), TIMEOUT)?;
        let committed = if let Offset::Offset(offset) = element.offset() { offset } else { low };
        left += high - committed;
    }
    Ok(left)
}
