//! Behind a real sidecar: the host against actor apps in Go and Python that do the same job, one after the other beside a
//! sidecar of their own, with the same Redis, Kafka, placement and edge of Twilio.
//!
//! A message counts when everything that it asks for has happened: the answer, the state, the event in Redis, the SMS at
//! Twilio's edge. What answers first and sends later gains nothing by it, because the clock runs until the last event and the
//! last SMS are there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use daca_stack::{App, Process, Sidecar, SidecarOptions, Stack, StackOptions, build, folders, ports, wait};
use futures::StreamExt as _;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use tempfile::TempDir;

use crate::Extent;
use crate::embedded::plural;
use crate::load::{self, Load, Outcome, Pace};
use crate::peers::{Peer, Programs};
use crate::process::Costs;
use crate::report::{Chart, Figure, Measure, Ratio, Row, Wanted};
use crate::server::{component, local};

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
/// How long the last SMS may take.
const DRAIN: Duration = Duration::from_secs(60);

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    Host,
    /// The host with `direct-calls`.
    HostDirect,
    Peer(Peer),
}

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    /// State, event and SMS.
    Whole,
    /// State and event.
    WithoutSms,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Job::Whole => "",
            Job::WithoutSms => ", no SMS",
        }
    }
}

const CONTENDERS: [Contender; 5] = [
    Contender::Host,
    Contender::HostDirect,
    Contender::Peer(Peer::Go),
    Contender::Peer(Peer::GoKeepingState),
    Contender::Peer(Peer::Python),
];

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Contender::Host => "host",
            Contender::HostDirect => "host, direct-calls",
            Contender::Peer(Peer::Go) => "go",
            Contender::Peer(Peer::GoKeepingState) => "go, keeping state",
            Contender::Peer(Peer::Python) => "python",
        }
    }

    fn is_slow(self) -> bool {
        self == Contender::Peer(Peer::Python)
    }
}

/// Measures all of them.
pub(crate) async fn measure(extent: Extent) -> anyhow::Result<Measure> {
    build::all()?;
    let bench = Bench::start(extent).await?;
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
    let mut done = Vec::<(Contender, String, Done)>::new();
    for round in 0..ROUNDS {
        let mut contenders = CONTENDERS;
        if round % 2 == 1 {
            contenders.reverse();
        }
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
    bench.stack.stop().await?;
    measure.ratios = ratios(&closed, &fixed, &measure.rows);
    Ok(measure)
}

/// What came of a closed loop.
struct Closed {
    contender: Contender,
    load: String,
    rate: f64,
    p99: Duration,
}

fn ratios(closed: &[Closed], fixed: &[(Contender, Duration)], rows: &[Row]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    let go = Contender::Peer(Peer::Go);
    let python = Contender::Peer(Peer::Python);
    let of = |who: Contender, load: &str| closed.iter().find(|one| one.contender == who && one.load == load);
    let figure = |who: Contender, load: &str, name: &str| {
        let row = rows.iter().find(|row| row.who == who.name() && row.load == load)?;
        row.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    };
    let mut add = |name: String, ours: f64, theirs: f64, wanted: Option<Wanted>| {
        ratios.push(Ratio { name, value: ours / theirs, wanted });
    };
    for host in [Contender::Host, Contender::HostDirect] {
        for ours in closed.iter().filter(|one| one.contender == host) {
            let load = &*ours.load;
            let (Some(go), Some(python_done)) = (of(go, load), of(python, load)) else { continue };
            let name = |what: &str| format!("{what}: {}, {load}", host.name());
            add(name("throughput / go"), ours.rate, go.rate, Some(Wanted::AtLeast(1.5)));
            add(name("p99 / go"), ours.p99.as_secs_f64(), go.p99.as_secs_f64(), Some(Wanted::AtMost(1.0)));
            add(name("throughput / python"), ours.rate, python_done.rate, Some(Wanted::AtLeast(30.0)));
            if let (Some(ours), Some(theirs)) =
                (figure(host, load, "resident"), figure(python, load, "resident"))
            {
                add(name("resident / python"), ours, theirs, Some(Wanted::AtMost(1.0)));
            }
        }
        for (peer, wanted) in [(go, Some(Wanted::AtLeast(1.5))), (python, None)] {
            let rate = "messages a second";
            if let (Some(ours), Some(theirs)) = (figure(host, "Kafka", rate), figure(peer, "Kafka", rate)) {
                add(format!("throughput / {}: {}, Kafka", peer.name(), host.name()), ours, theirs, wanted);
            }
        }
        let p99 =
            |who: Contender| fixed.iter().find(|(name, _)| *name == who).map(|(_, p99)| p99.as_secs_f64());
        if let (Some(ours), Some(theirs)) = (p99(host), p99(go)) {
            add(format!("p99 / go: {}, fixed rate", host.name()), ours, theirs, Some(Wanted::AtMost(1.0)));
        }
    }
    ratios
}

/// The servers that all share.
struct Bench {
    stack: Stack,
    programs: Programs,
    manifests: TempDir,
    extent: Extent,
}

impl Bench {
    async fn start(extent: Extent) -> anyhow::Result<Bench> {
        let programs = Programs::make()?;
        let folder = folders::target().join("bench/stack");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        eprintln!(
            "starting Redis, Kafka, the edge of Twilio, placement and scheduler in {}",
            folder.display()
        );
        let stack = Stack::start(StackOptions { folder: Some(folder), ..StackOptions::default() }).await?;
        Ok(Bench { stack, programs, manifests: TempDir::new()?, extent })
    }

    /// Starts a contender and lets every actor handle some messages.
    async fn begin(&self, contender: Contender, job: Job) -> anyhow::Result<Running> {
        self.stack.redis.cli(&["flushall"]).await?;
        let name = contender.name().replace([' ', ','], "");
        let sidecar = self.stack.sidecar_options(&format!("{name}-sidecar"), ports::free()?)?;
        let running = match contender {
            Contender::Peer(peer) => {
                Running::peer(self.programs.program(peer, &sidecar, job == Job::Whole), sidecar, job).await?
            }
            Contender::Host | Contender::HostDirect => {
                let manifest = self.manifest(contender == Contender::HostDirect, job)?;
                let mut app = self.stack.app_options(&name, &manifest, &sidecar)?;
                app.program = folders::released_daca();
                // The other contenders log text, too.
                app.log_format = "text";
                Running::host(app, sidecar, job).await?
            }
        };
        self.load(&running, 8, Pace::Closed, Duration::from_secs(2)).await?;
        Ok(running)
    }

    /// Events that were ever published.
    async fn events(&self) -> anyhow::Result<u64> {
        let stream = self.stack.redis.cli(&["xinfo", "stream", "user-chat"]).await;
        // There is no stream before the first event.
        let text = stream.unwrap_or_default();
        let mut lines = text.lines().skip_while(|line| *line != "entries-added");
        Ok(lines.nth(1).and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    fn manifest(&self, direct: bool, job: Job) -> anyhow::Result<PathBuf> {
        let path = self.manifests.path().join("agents.toml");
        let component = component();
        let text = include_str!("../../agents.toml").replace(
            "target/wasm32-wasip2/guest/chat_agent.wasm",
            component.to_str().context("the project's folder has a name in UTF-8")?,
        );
        let text = match job {
            Job::Whole => text,
            Job::WithoutSms => text.replace("to-number = \"+1987654321\"", "to-number = \"\""),
        };
        let dapr = if direct { "\n[dapr]\ndirect-calls = true\n" } else { "" };
        std::fs::write(&path, text + dapr)?;
        Ok(path)
    }

    async fn closed(&self, running: &Running, connections: usize) -> anyhow::Result<Done> {
        self.load(running, connections, Pace::Closed, self.extent.seconds(SECONDS)).await
    }

    async fn at_rate(&self, running: &Running, rate: f64) -> anyhow::Result<Done> {
        self.load(running, 64, Pace::Rate(rate), self.extent.seconds(SECONDS)).await
    }

    async fn load(
        &self,
        running: &Running,
        connections: usize,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Done> {
        let load = Load { pace, ..Load::chat(local(running.port), connections, ACTORS, time) };
        let begun = Begun::now(self, running).await?;
        let outcome = load::run(&load).await?;
        ensure!(outcome.answered > 0, "no message was answered: {:?}", outcome.first_failure);
        begun.done(self, running, outcome).await
    }

    /// Messages by Kafka, from the first that is sent to the last event and SMS.
    async fn kafka(&self, contender: Contender, running: &Running) -> anyhow::Result<Done> {
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

/// A contender and its sidecar.
struct Running {
    app: Process,
    sidecar: Sidecar,
    port: u16,
    job: Job,
}

impl Running {
    async fn host(app: daca_stack::AppOptions, sidecar: SidecarOptions, job: Job) -> anyhow::Result<Running> {
        let port = sidecar.app_port;
        let (app, sidecar) = tokio::try_join!(App::start(app), Sidecar::start(sidecar))?;
        app.wait_ready().await?;
        sidecar.wait_ready().await?;
        Ok(Running { app: app.process, sidecar, port, job })
    }

    async fn peer(
        program: daca_stack::process::Program,
        sidecar: SidecarOptions,
        job: Job,
    ) -> anyhow::Result<Running> {
        let port = sidecar.app_port;
        let app = Process::start(program)?;
        let sidecar = Sidecar::start(sidecar).await?;
        sidecar.wait_ready().await?;
        Ok(Running { app, sidecar, port, job })
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.app.stop().await?;
        self.sidecar.process.stop().await.map(drop)
    }

    /// Costs of the app and of its sidecar.
    fn costs(&self) -> anyhow::Result<[Costs; 2]> {
        Ok([Costs::of(self.app.pid())?, Costs::of(self.sidecar.process.pid())?])
    }

    /// Requests that the sidecar has served and that it has sent to the app, by its own count.
    async fn calls(&self) -> anyhow::Result<[f64; 2]> {
        let url = format!("http://127.0.0.1:{}/metrics", self.sidecar.options.ports.metrics);
        let text = wait::client()?.get(url).send().await?.text().await?;
        let sum = |names: &[&str]| {
            let lines = text.lines().filter(|line| {
                names.iter().any(|name| line.starts_with(&format!("{name}{{"))) && !line.contains("healthz")
            });
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        Ok([
            sum(&["dapr_http_server_request_count", "dapr_grpc_io_server_completed_rpcs"]),
            sum(&["dapr_http_client_completed_count"]),
        ])
    }
}

/// The moment before a load.
struct Begun {
    at: Instant,
    sms: u64,
    events: u64,
    costs: [Costs; 2],
    calls: [f64; 2],
}

impl Begun {
    async fn now(bench: &Bench, running: &Running) -> anyhow::Result<Begun> {
        let (calls, events) = (running.calls().await?, bench.events().await?);
        let sms = bench.stack.twilio.count();
        Ok(Begun { at: Instant::now(), sms, events, costs: running.costs()?, calls })
    }

    /// Waits for the event and the SMS of every message that was answered.
    async fn done(self, bench: &Bench, running: &Running, outcome: Outcome) -> anyhow::Result<Done> {
        let sms = if running.job == Job::Whole { self.sms + outcome.answered } else { self.sms };
        let events = self.events + outcome.answered;
        let start = Instant::now();
        let (mut missing_sms, mut missing_events) = (1, 1);
        while missing_sms + missing_events > 0 && start.elapsed() < DRAIN {
            missing_sms = sms.saturating_sub(bench.stack.twilio.count());
            missing_events = events.saturating_sub(bench.events().await?);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let time = self.at.elapsed();
        let missing = missing_sms.max(missing_events);
        let (costs, calls) = (running.costs()?, running.calls().await?);
        let cpu = |which: usize| costs[which].cpu.saturating_sub(self.costs[which].cpu);
        Ok(Done {
            time,
            missing,
            cpu: [cpu(0), cpu(1)],
            resident: costs.map(|costs| costs.resident),
            calls: [calls[0] - self.calls[0], calls[1] - self.calls[1]],
            outcome,
        })
    }
}

/// What came of a load.
struct Done {
    outcome: Outcome,
    /// From the first request to the last event and SMS.
    time: Duration,
    /// Events or SMS that have not come in time.
    missing: u64,
    cpu: [Duration; 2],
    resident: [u64; 2],
    calls: [f64; 2],
}

impl Done {
    /// Takes the same load of another round in.
    fn add(&mut self, other: Done) {
        self.outcome.add(other.outcome);
        self.time += other.time;
        self.missing += other.missing;
        self.resident = other.resident;
        for which in 0..2 {
            self.cpu[which] += other.cpu[which];
            self.calls[which] += other.calls[which];
        }
    }

    /// Messages a second that are wholly done.
    fn rate(&self) -> f64 {
        (self.outcome.answered - self.missing) as f64 / self.time.as_secs_f64()
    }

    fn row(&self, contender: Contender, load: &str) -> Row {
        let count = self.outcome.answered as f64;
        let mut figures = vec![Figure::new("messages a second", self.rate(), "/s")];
        if !self.outcome.samples.is_empty() {
            figures.extend([
                Figure::milliseconds("p50", self.outcome.percentile(0.5)),
                Figure::milliseconds("p99", self.outcome.percentile(0.99)),
            ]);
        }
        figures.extend([
            Figure::new("CPU for 1,000", self.cpu[0].as_secs_f64() * 1e3 / count, "s"),
            Figure::new("CPU of the sidecar for 1,000", self.cpu[1].as_secs_f64() * 1e3 / count, "s"),
            Figure::mebibytes("resident", self.resident[0]),
            Figure::mebibytes("resident sidecar", self.resident[1]),
            Figure::new("calls of the sidecar for each", self.calls[0] / count, ""),
            Figure::new("calls by the sidecar for each", self.calls[1] / count, ""),
        ]);
        if self.outcome.failed + self.missing > 0 {
            figures.push(Figure::new("failed", self.outcome.failed as f64, ""));
            figures.push(Figure::new("not done", self.missing as f64, ""));
        }
        Row { who: contender.name().to_owned(), load: load.to_owned(), figures }
    }
}
