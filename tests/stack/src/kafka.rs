//! Kafka: one node that is broker and controller, without ZooKeeper.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use daca_tests::{Process, Program, eventually, ports};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use crate::build;

/// Any 16 bytes in base64: each node is a cluster of its own.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// The Java virtual machine starts faster like this, and the node stays small.
const JAVA_OPTIONS: [&str; 5] = [
    "-Xmx512m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
];

/// A Kafka node.
#[derive(Debug)]
pub struct Kafka {
    /// Its port.
    pub port: u16,
    /// The port for a proxy before it, if there is one: who comes by it is sent to the proxy again.
    pub behind: Option<u16>,
    /// Its process.
    pub process: Process,
}

impl Kafka {
    /// Starts a node whose data lie in `kafka` in the folder, from the folder of Kafka's jars, and waits until it is ready.
    pub async fn start(libraries: &Path, folder: &Path, port: u16) -> anyhow::Result<Kafka> {
        Kafka::start_behind(libraries, folder, port, None).await
    }

    /// The same with a proxy before it that listens on the port `front`.
    pub async fn start_behind(
        libraries: &Path,
        folder: &Path,
        port: u16,
        front: Option<u16>,
    ) -> anyhow::Result<Kafka> {
        let data = folder.join("kafka");
        std::fs::create_dir_all(&data)?;
        let settings = folder.join("kafka.properties");
        let behind = front.map(|_| ports::free()).transpose()?;
        let mut text = properties(&data, port, ports::free()?);
        if let (Some(front), Some(behind)) = (front, behind) {
            text = with_front(&text, front, behind);
        }
        std::fs::write(&settings, text)?;
        if !data.join("meta.properties").is_file() {
            format(libraries, folder, &settings).await?;
        }
        let program = java("kafka", libraries, folder)?.argument("kafka.Kafka").argument(settings);
        let kafka = Kafka { port, behind, process: Process::start(program)? };
        kafka.wait_ready().await?;
        Ok(kafka)
    }

    /// Starts it again on its port with its data, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.wait_ready().await
    }

    /// Its address, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a topic, unless it is there.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(60)));
        let results = self.admin()?.create_topics([&topic], &options).await?;
        match results.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                Err(code).with_context(|| format!("making the topic {name}"))
            }
            _ => Ok(()),
        }
    }

    async fn wait_ready(&self) -> anyhow::Result<()> {
        self.process.wait_until("its metadata", async || self.has_broker().await).await
    }

    async fn has_broker(&self) -> bool {
        let Ok(admin) = self.admin() else { return false };
        // librdkafka blocks the thread.
        let look = move || admin.inner().fetch_metadata(None, Duration::from_secs(5));
        matches!(tokio::task::spawn_blocking(look).await, Ok(Ok(metadata)) if !metadata.brokers().is_empty())
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address());
        // Nothing is said of a node that is not up yet.
        config.set("log_level", "0").set("socket.connection.setup.timeout.ms", "5000");
        Ok(config.create()?)
    }
}

/// Gives the data folder its cluster id.
async fn format(libraries: &Path, folder: &Path, settings: &Path) -> anyhow::Result<()> {
    let program = java("kafka-format", libraries, folder)?
        .arguments(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .argument(settings);
    let process = Process::start(program)?;
    eventually("Kafka's data folder has its format", async || Ok(!process.is_running())).await?;
    match process.ended() {
        Some(status) if status.success() => Ok(()),
        _ => anyhow::bail!("Kafka's data folder was not made: {}", process.log_lines()?.join("\n")),
    }
}

fn java(name: &str, libraries: &Path, folder: &Path) -> anyhow::Result<Program> {
    let class_path = libraries.join("*");
    Ok(Program::new(name, &build::java()?, folder)
        .arguments(JAVA_OPTIONS)
        .argument("-cp")
        .argument(class_path)
        // Options of the person's own would end up in every log.
        .without_variable("JAVA_TOOL_OPTIONS"))
}

/// A session is short, because the node is let in again after its death only when the last session is over.
fn properties(data: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
",
        data.display()
    )
}

/// Settings with one more listener, whose address is that of a proxy before it.
fn with_front(properties: &str, front: u16, behind: u16) -> String {
    let added = [
        ("listeners=", format!("FRONT://127.0.0.1:{behind},")),
        ("advertised.listeners=", format!("FRONT://127.0.0.1:{front},")),
        ("listener.security.protocol.map=", "FRONT:PLAINTEXT,".to_owned()),
    ];
    let line =
        |line: &str| match added.iter().find_map(|(key, more)| Some((line.strip_prefix(key)?, key, more))) {
            Some((value, key, more)) => format!("{key}{more}{value}\n"),
            None => format!("{line}\n"),
        };
    properties.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_before_the_node_is_announced_beside_the_node() {
        let text = with_front(&properties(Path::new("/data"), 1, 2), 3, 4);
        let has = |line: &str| text.lines().any(|one| one == line);
        assert!(
            has("listeners=FRONT://127.0.0.1:4,PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2"),
            "{text}"
        );
        assert!(has("advertised.listeners=FRONT://127.0.0.1:3,PLAINTEXT://127.0.0.1:1"), "{text}");
        let map = "listener.security.protocol.map=FRONT:PLAINTEXT,CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT";
        assert!(has(map) && has("controller.listener.names=CONTROLLER"), "{text}");
    }
}
