//! Behind a real sidecar: the host against actor apps in Go and Python that do the same job, one after the other beside a
//! sidecar of their own, with the same Redis, Kafka, placement and edge of Twilio.
//!
//! A message counts when everything that it asks for has happened: the answer, the state, the event in Redis, the SMS at
//! Twilio's edge. What answers first and sends later gains nothing by it, because the clock runs until the last event and the
//! last SMS are there.

mod contender;
mod ratios;
mod running;
mod servers;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use daca_stack::build;
use daca_tests::{folders, ports};
use futures::StreamExt as _;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

use crate::embedded::plural;
use crate::extent::Extent;
use crate::load::{self, Load, Outcome, Pace};
use crate::report::{Chart, Measure};
use crate::server::local;
use contender::{CONTENDERS, Contender, Job, in_order};
use ratios::{Closed, ratios};
use running::{Begun, Finished, RunningContender};
use servers::SharedServers;

const CONNECTIONS: [usize; 2] = [8, 64];
const ACTORS: usize = 200;
/// Each contender has its turn so often, every second time in the opposite order.
const ROUNDS: usize = 2;
const SECONDS: f64 = 5.0;
/// Of the least throughput of those that are asked at a fixed rate: a rate that each of them can keep.
const RATE_SHARE: f64 = 0.6;
const KAFKA_MESSAGES: usize = 6_000;
const KAFKA_MESSAGES_OF_SLOW_ONES: usize = 400;
const TOPIC: &str = "user-messages";

/// Measures all of them.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    build::all()?;
    let bench = SharedServers::start(extent).await?;
    let mut measure = Measure {
        name: "sidecar".to_owned(),
        title: "Behind a Dapr sidecar".to_owned(),
        method: format!(
            "Each contender runs beside a fresh sidecar (Dapr 1.16, placement, Redis with an fsync for each write, Kafka, \
            Twilio's edge over TLS), one after the other, in {ROUNDS} rounds of opposite order, with an empty Redis. {ACTORS} actors, already active. A message counts \
            when its state, its event and its SMS are done: the clock of the throughput runs until the last of them has arrived. \
            Latencies are those of the answers. `go` is an app written plainly with net/http, `python` the tutorial's app with \
            its SMS and its subscription mended. All log as they do by default. `no SMS` are the same without SMS."
        ),
        charts: ["messages a second", "p99", "CPU for 1,000", "resident"]
            .map(|figure| Chart { figure: figure.to_owned(), title: figure.to_owned() })
            .to_vec(),
        ..Measure::default()
    };
    let mut done = Vec::<(Contender, String, Finished)>::new();
    for round in 0..ROUNDS {
        let contenders = in_order(round);
        for job in [Job::Whole, Job::WithoutSms] {
            for contender in contenders {
                let running = bench.begin(contender, job).await?;
                for connections in CONNECTIONS {
                    let load = plural(connections) + job.name();
                    eprintln!("sidecar: {}, {load}", contender.name());
                    let one = bench.closed(&running, connections).await?;
                    match done.iter_mut().find(|(who, of, _)| *who == contender && *of == load) {
                        Some((_, _, before)) => before.add(one),
                        None => done.push((contender, load, one)),
                    }
                }
                if job == Job::Whole && round == 0 {
                    eprintln!("sidecar: {}, Kafka", contender.name());
                    let kafka = bench.kafka(contender, &running).await?;
                    measure.rows.push(kafka.row(contender, "Kafka"));
                }
                running.stop().await?;
            }
        }
    }
    let mut closed = Vec::new();
    for job in [Job::Whole, Job::WithoutSms] {
        for connections in CONNECTIONS {
            let load = plural(connections) + job.name();
            for (contender, _, done) in done.iter().filter(|(_, of, _)| *of == load) {
                measure.rows.push(done.row(*contender, &load));
                let p99 = done.outcome.percentile(0.99);
                closed.push(Closed { contender: *contender, load: load.clone(), rate: done.rate(), p99 });
            }
        }
    }
    let fixed = at_fixed_rate(&bench, &closed, &mut measure).await?;
    bench.stack.stop().await?;
    measure.ratios = ratios(&closed, &fixed, &measure.rows);
    Ok(measure)
}

/// The load that all but the slow take easily: the p99 of each of them.
async fn at_fixed_rate(
    bench: &SharedServers,
    closed: &[Closed],
    measure: &mut Measure,
) -> anyhow::Result<Vec<(Contender, Duration)>> {
    let rates = closed.iter().filter(|closed| !closed.contender.is_slow()).map(|closed| closed.rate);
    let rate = rates.fold(f64::MAX, f64::min) * RATE_SHARE;
    let mut fixed = Vec::new();
    for contender in CONTENDERS.into_iter().filter(|contender| !contender.is_slow()) {
        eprintln!("sidecar: {}, {rate:.0} a second", contender.name());
        let running = bench.begin(contender, Job::Whole).await?;
        let done = bench.at_rate(&running, rate).await?;
        fixed.push((contender, done.outcome.percentile(0.99)));
        measure.rows.push(done.row(contender, &format!("{rate:.0} a second")));
        running.stop().await?;
    }
    Ok(fixed)
}

impl SharedServers {
    /// Starts a contender and lets every actor handle some messages.
    async fn begin(&self, contender: Contender, job: Job) -> anyhow::Result<RunningContender> {
        self.stack.redis.cli(&["flushall"]).await?;
        let name = contender.name().replace([' ', ','], "");
        let sidecar = self.stack.sidecar_options(&format!("{name}-sidecar"), ports::free()?)?;
        let running = match contender {
            Contender::Peer(peer) => {
                RunningContender::peer(self.programs.program(peer, &sidecar, job == Job::Whole), sidecar, job)
                    .await?
            }
            Contender::Host | Contender::HostDirect => {
                let manifest = self.manifest(contender == Contender::HostDirect, job)?;
                let mut app = self.stack.app_options(&name, &manifest, &sidecar)?;
                app.program.path = folders::released_daca();
                // The other contenders log text, too.
                app.log_format = "text";
                RunningContender::host(app, sidecar, job).await?
            }
        };
        self.load(&running, 8, Pace::Closed, Duration::from_secs(2)).await?;
        Ok(running)
    }

    async fn closed(&self, running: &RunningContender, connections: usize) -> anyhow::Result<Finished> {
        self.load(running, connections, Pace::Closed, self.extent.seconds(SECONDS)).await
    }

    async fn at_rate(&self, running: &RunningContender, rate: f64) -> anyhow::Result<Finished> {
        self.load(running, 64, Pace::Rate(rate), self.extent.seconds(SECONDS)).await
    }

    async fn load(
        &self,
        running: &RunningContender,
        connections: usize,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Finished> {
        let load = Load { pace, ..Load::chat(local(running.port), connections, ACTORS, time) };
        let begun = Begun::now(self, running).await?;
        let outcome = load::run(&load).await?;
        ensure!(outcome.answered > 0, "no message was answered: {:?}", outcome.first_failure);
        begun.done(self, running, outcome).await
    }

    /// Messages by Kafka, from the first that is sent to the last event and SMS.
    async fn kafka(&self, contender: Contender, running: &RunningContender) -> anyhow::Result<Finished> {
        let count =
            self.extent.times(if contender.is_slow() { KAFKA_MESSAGES_OF_SLOW_ONES } else { KAFKA_MESSAGES });
        let kafka = self.stack.kafka.as_ref().context("the stack has Kafka")?;
        let producer: FutureProducer =
            ClientConfig::new().set("bootstrap.servers", kafka.address()).set("linger.ms", "5").create()?;
        let begun = Begun::now(self, running).await?;
        let sends = (0..count).map(|number| {
            let (producer, actor) = (&producer, format!("user-{}", number % ACTORS));
            async move {
                let content = json!({"role": "user", "content": "How are you today?"});
                let message = json!({"actor_id": actor, "message": content}).to_string();
                let record = FutureRecord::to(TOPIC).key(&actor).payload(&message);
                producer.send(record, Duration::from_secs(10)).await.map_err(|(error, _)| error)
            }
        });
        let mut sends = futures::stream::iter(sends).buffer_unordered(1_000);
        while let Some(sent) = sends.next().await {
            sent?;
        }
        let outcome = Outcome { answered: count as u64, ..Outcome::default() };
        begun.done(self, running, outcome).await
    }
}
