//! `daca-stack produce`: a message for an actor, through Kafka.

use std::process::ExitCode;
use std::time::Duration;

use daca_stack::running;
use rdkafka::config::ClientConfig;
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

/// Where a broker is when nothing else is said.
const DEFAULT_BROKERS: &str = "localhost:9092";

/// What a failure adds when nothing else was said.
const NO_STACK: &str =
    "\nNo stack runs: start one with `cargo xtask stack`, or name the brokers with --brokers.";

/// When delivery has failed.
const DELIVER_WITHIN: Duration = Duration::from_secs(8);

/// What `produce` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The actor's id
    #[arg(long, value_parser = actor_id)]
    actor: String,
    /// What the user says
    content: String,
    /// The topic
    #[arg(long, default_value = "user-messages")]
    topic: String,
    /// The message's key; messages of one key keep their order [default: the actor's id]
    #[arg(long)]
    key: Option<String>,
    /// The brokers [default: those of the running stack, else localhost:9092]
    #[arg(long)]
    brokers: Option<String>,
}

fn actor_id(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("an actor's id cannot be empty") } else { Ok(text.to_owned()) }
}

/// Sends the message and prints what became of it.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let known = arguments.brokers.clone().or_else(running::kafka);
    let hint = if known.is_none() { NO_STACK } else { "" };
    let brokers = known.unwrap_or_else(|| DEFAULT_BROKERS.to_owned());
    match runtime.block_on(send(arguments, &brokers)) {
        Ok(Delivery { partition, offset, .. }) => {
            println!("Message delivered to {} [{partition}] at offset {offset}", arguments.topic);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("Message delivery failed: {error} (brokers: {brokers}){hint}");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn send(arguments: &Arguments, brokers: &str) -> anyhow::Result<Delivery> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("message.timeout.ms", DELIVER_WITHIN.as_millis().to_string())
        // After this time a topic that is not there is an error.
        .set("topic.metadata.propagation.max.ms", "2000")
        .create()?;
    let message = json!({
        "actor_id": arguments.actor,
        "message": {"role": "user", "content": arguments.content},
    });
    let message = message.to_string();
    let key = arguments.key.as_ref().unwrap_or(&arguments.actor);
    let record = FutureRecord::to(&arguments.topic).key(key).payload(&message);
    producer.send(record, DELIVER_WITHIN).await.map_err(|(error, _)| error.into())
}
