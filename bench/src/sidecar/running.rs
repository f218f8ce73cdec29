//! A contender that runs beside its sidecar, and what came of a load on it.

use std::time::{Duration, Instant};

use daca_stack::{App, AppOptions, Sidecar, SidecarOptions};
use daca_tests::{Process, Program, client, metrics};

use super::contender::{Contender, Job};
use super::servers::SharedServers;
use crate::load::Outcome;
use crate::process::Costs;
use crate::report::{Figure, Row};

/// How long the last SMS may take.
const DRAIN: Duration = Duration::from_secs(60);

/// A contender and its sidecar.
pub(super) struct RunningContender {
    app: Process,
    sidecar: Sidecar,
    pub(super) port: u16,
    job: Job,
}

impl RunningContender {
    pub(super) async fn host(
        app: AppOptions,
        sidecar: SidecarOptions,
        job: Job,
    ) -> anyhow::Result<RunningContender> {
        let port = sidecar.app_port;
        let (app, sidecar) = tokio::try_join!(App::start(app), Sidecar::start(sidecar))?;
        app.wait_ready().await?;
        sidecar.wait_ready().await?;
        Ok(RunningContender { app: app.process, sidecar, port, job })
    }

    pub(super) async fn peer(
        program: Program,
        sidecar: SidecarOptions,
        job: Job,
    ) -> anyhow::Result<RunningContender> {
        let port = sidecar.app_port;
        let app = Process::start(program)?;
        let sidecar = Sidecar::start(sidecar).await?;
        sidecar.wait_ready().await?;
        Ok(RunningContender { app, sidecar, port, job })
    }

    pub(super) async fn stop(&self) -> anyhow::Result<()> {
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
        let text = client()?.get(url).send().await?.text().await?;
        let sum = |names: &[&str]| metrics::sum(&text, names, |line| !line.contains("healthz"));
        Ok([
            sum(&["dapr_http_server_request_count", "dapr_grpc_io_server_completed_rpcs"]),
            sum(&["dapr_http_client_completed_count"]),
        ])
    }
}

/// The moment before a load.
pub(super) struct Begun {
    at: Instant,
    sms: u64,
    events: u64,
    costs: [Costs; 2],
    calls: [f64; 2],
}

impl Begun {
    pub(super) async fn now(bench: &SharedServers, running: &RunningContender) -> anyhow::Result<Begun> {
        let (calls, events) = (running.calls().await?, bench.events().await?);
        let sms = bench.stack.twilio.count();
        Ok(Begun { at: Instant::now(), sms, events, costs: running.costs()?, calls })
    }

    /// Waits for the event and the SMS of every message that was answered.
    pub(super) async fn done(
        self,
        bench: &SharedServers,
        running: &RunningContender,
        outcome: Outcome,
    ) -> anyhow::Result<Finished> {
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
        Ok(Finished {
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
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    /// From the first request to the last event and SMS.
    time: Duration,
    /// Events or SMS that have not come in time.
    missing: u64,
    cpu: [Duration; 2],
    resident: [u64; 2],
    calls: [f64; 2],
}

impl Finished {
    /// Takes the same load of another round in.
    pub(super) fn add(&mut self, other: Finished) {
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
    pub(super) fn rate(&self) -> f64 {
        (self.outcome.answered - self.missing) as f64 / self.time.as_secs_f64()
    }

    pub(super) fn row(&self, contender: Contender, load: &str) -> Row {
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
