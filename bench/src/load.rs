//! The load generator: many requests over a few connections, closed-loop or at a fixed rate.
//!
//! Closed-loop, a connection sends its next request when it has the answer to the last: it finds the throughput, and hides a
//! stall, because nothing is sent meanwhile. At a fixed rate, requests are due by the clock, and each latency counts from when
//! the request was due: a stall shows in the p99.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Failures after each other with which a connection gives up.
const MAX_FAILURES: u32 = 10;

/// What to send, and how.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) server: SocketAddr,
    /// The path. `{actor}` in it stands for the actor's id.
    pub(crate) path: String,
    /// The body of each `POST`; JSON.
    pub(crate) body: String,
    /// Connections, each with one request at a time.
    pub(crate) connections: usize,
    /// Actors that the requests are for: `user-0` and so on.
    pub(crate) actors: usize,
    /// Which of them is next.
    pub(crate) order: Order,
    /// When requests are sent.
    pub(crate) pace: Pace,
    /// How long requests are begun. A load is also over after `most` requests.
    pub(crate) time: Duration,
    /// Requests, at most.
    pub(crate) most: u64,
}

/// Which actor is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Any of them, each as likely as the others.
    Random,
    /// One after the other.
    InTurn,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As soon as there is an answer to the last.
    Closed,
    /// So many a second over all connections, whatever the answers do.
    Rate(f64),
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Requests that were answered with 200.
    pub(crate) answered: u64,
    /// Requests that were answered otherwise or not at all.
    pub(crate) failed: u64,
    /// The first failure.
    pub(crate) first_failure: Option<String>,
    /// From the start to the last answer.
    pub(crate) time: Duration,
    /// Of the requests that were answered, sorted by latency.
    pub(crate) samples: Vec<Sample>,
}

/// One request that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it was due, or sent where nothing is due, from the start of the load.
    pub(crate) at: Duration,
    /// From then to its answer.
    pub(crate) latency: Duration,
}

impl Load {
    /// Messages of users to the ChatAgent, closed-loop, of random actors.
    pub(crate) fn chat(server: SocketAddr, connections: usize, actors: usize, time: Duration) -> Load {
        Load {
            server,
            path: "/chat/{actor}".to_owned(),
            body: r#"{"role":"user","content":"How are you today?"}"#.to_owned(),
            connections,
            actors,
            order: Order::Random,
            pace: Pace::Closed,
            time,
            most: u64::MAX,
        }
    }
}

impl Outcome {
    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }

    /// The latency that this share (0 to 1) of the requests did not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        self.percentile_between(Duration::ZERO, Duration::MAX, share)
    }

    /// The same of those requests alone that were due in this time.
    pub(crate) fn percentile_between(&self, from: Duration, to: Duration, share: f64) -> Duration {
        let within = self.samples.iter().filter(|sample| sample.at >= from && sample.at < to);
        let latencies = within.map(|sample| sample.latency).collect::<Vec<_>>();
        let last = latencies.len().saturating_sub(1);
        latencies.get((share * last as f64).round() as usize).copied().unwrap_or_default()
    }

    /// An error when a request was not answered with 200.
    pub(crate) fn all_answered(self) -> anyhow::Result<Outcome> {
        if self.failed > 0 {
            let first = self.first_failure.as_deref().unwrap_or_default();
            bail!(
                "{} of {} requests failed; the first one: {first}",
                self.failed,
                self.failed + self.answered
            );
        }
        Ok(self)
    }

    /// Takes in what came of another connection or load.
    pub(crate) fn add(&mut self, other: Outcome) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.time += other.time;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.samples.extend(other.samples);
        self.samples.sort_by_key(|sample| sample.latency);
    }

    /// Notes a failure.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }
}

/// Sends it, and waits for the answers.
pub(crate) async fn run(load: &Load) -> anyhow::Result<Outcome> {
    let shared = Arc::new(LoadState {
        load: load.clone(),
        next: AtomicU64::new(0),
        due: Semaphore::new(0),
        start: Instant::now(),
    });
    if let Pace::Rate(_) = load.pace {
        let shared = shared.clone();
        std::thread::Builder::new().name("pace".into()).spawn(move || shared.release())?;
    }
    let mut connections = JoinSet::new();
    for _ in 0..load.connections {
        connections.spawn(connection(shared.clone()));
    }
    let mut outcome = Outcome::default();
    while let Some(ended) = connections.join_next().await {
        outcome.add(ended?);
    }
    outcome.time = shared.start.elapsed();
    Ok(outcome)
}

/// What the connections of a load share.
struct LoadState {
    load: Load,
    /// The number of the next request.
    next: AtomicU64,
    /// At a fixed rate, a permit for each request that is due.
    due: Semaphore,
    start: Instant,
}

impl LoadState {
    /// The next request's number, and when it was due. None when the load is over.
    async fn next(&self) -> Option<(u64, Instant)> {
        if let Pace::Rate(_) = self.load.pace {
            self.due.acquire().await.ok()?.forget();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.due_at(number);
        self.has(number, due).then_some((number, due))
    }

    fn due_at(&self, number: u64) -> Instant {
        match self.load.pace {
            Pace::Closed => Instant::now(),
            Pace::Rate(rate) => self.start + Duration::from_secs_f64(number as f64 / rate),
        }
    }

    /// Is this request part of the load?
    fn has(&self, number: u64, due: Instant) -> bool {
        number < self.load.most && due < self.start + self.load.time
    }

    /// Gives the permits. On a thread, whose sleep is exact to some 60 µs; that of tokio is to a millisecond.
    fn release(&self) {
        for number in 0.. {
            let due = self.due_at(number);
            if !self.has(number, due) {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.due.add_permits(1);
        }
        // Each connection asks once more, and sees that the load is over.
        self.due.add_permits(self.load.connections);
    }

    fn actor(&self, number: u64) -> u64 {
        match self.load.order {
            Order::Random => mix(number) % self.load.actors as u64,
            Order::InTurn => number % self.load.actors as u64,
        }
    }

    fn request(&self, number: u64) -> anyhow::Result<http::Request<Full<Bytes>>> {
        let path = self.load.path.replace("{actor}", &format!("user-{}", self.actor(number)));
        let request = http::Request::post(path)
            .header(HOST, self.load.server.to_string())
            .header(CONTENT_TYPE, "application/json");
        Ok(request.body(Full::from(self.load.body.clone()))?)
    }
}

/// A number that looks random and is the same in every run: the finaliser of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sends requests on one connection, which is made again when the server has closed it.
async fn connection(shared: Arc<LoadState>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut sender = None;
    let mut failures = 0;
    while failures < MAX_FAILURES
        && let Some((number, due)) = shared.next().await
    {
        match tokio::time::timeout(ANSWER_WITHIN, ask(&shared, &mut sender, number)).await {
            Ok(Ok(())) => {
                outcome.answered += 1;
                failures = 0;
                outcome.samples.push(Sample { at: due - shared.start, latency: due.elapsed() });
            }
            Ok(Err(error)) => {
                outcome.fail(&error);
                failures += 1;
            }
            Err(_elapsed) => {
                sender = None;
                outcome.fail(&anyhow::anyhow!("no answer within {ANSWER_WITHIN:?}"));
                failures += 1;
            }
        }
    }
    outcome
}

type Sender = SendRequest<Full<Bytes>>;

async fn ask(shared: &LoadState, sender: &mut Option<Sender>, number: u64) -> anyhow::Result<()> {
    let mut open = match sender.take().filter(|open| !open.is_closed()) {
        Some(open) => open,
        None => connect(shared.load.server).await?,
    };
    open.ready().await?;
    let answer = open.send_request(shared.request(number)?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await.context("reading the answer")?.to_bytes();
    *sender = Some(open);
    if status != StatusCode::OK {
        let text = String::from_utf8_lossy(&body).chars().take(200).collect::<String>();
        bail!("answered {status}: {text}");
    }
    Ok(())
}

async fn connect(server: SocketAddr) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(server).await.with_context(|| format!("connecting to {server}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped; its errors come out of the sender's calls.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    /// A server that answers each request as `answer` says for its number.
    async fn server(answer: fn(u64) -> (u16, Duration)) -> anyhow::Result<(SocketAddr, Arc<AtomicU64>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let count = Arc::new(AtomicU64::new(0));
        let requests = count.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let requests = requests.clone();
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (status, pause) = answer(requests.fetch_add(1, Ordering::SeqCst));
                    async move {
                        tokio::time::sleep(pause).await;
                        let path = request.uri().path().to_owned();
                        let mut response = http::Response::new(Full::<Bytes>::from(path));
                        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok((address, count))
    }

    #[tokio::test]
    async fn a_load_sends_as_many_requests_as_it_may_and_counts_what_fails() -> anyhow::Result<()> {
        let (server, count) = server(|number| (if number == 7 { 503 } else { 200 }, Duration::ZERO)).await?;
        let load = Load { most: 100, ..Load::chat(server, 4, 10, Duration::from_secs(20)) };
        let outcome = run(&load).await?;
        assert_eq!((outcome.answered, outcome.failed, count.load(Ordering::SeqCst)), (99, 1, 100));
        assert_eq!(outcome.samples.len(), 99);
        let failure = outcome.first_failure.clone().unwrap_or_default();
        assert!(failure.contains("503") && failure.contains("/chat/user-"), "{failure}");
        assert!(outcome.all_answered().is_err());
        Ok(())
    }

    #[tokio::test]
    async fn a_fixed_rate_shows_a_stall_that_a_closed_loop_hides() -> anyhow::Result<()> {
        const STALL: Duration = Duration::from_millis(500);
        let stalls_once = |number| (200, if number == 50 { STALL } else { Duration::ZERO });
        let (closed, _) = server(stalls_once).await?;
        let (open, _) = server(stalls_once).await?;
        let load = |server| Load { most: 400, ..Load::chat(server, 1, 10, Duration::from_secs(20)) };
        let closed = run(&load(closed)).await?;
        let open = run(&Load { pace: Pace::Rate(400.0), ..load(open) }).await?;
        assert_eq!((closed.answered, open.answered), (400, 400));
        // One request of the closed loop waits; at the fixed rate some 200 are due in the stall.
        assert!(closed.percentile(0.9) < STALL / 4, "{:?}", closed.percentile(0.9));
        assert!(open.percentile(0.9) > STALL / 4, "{:?}", open.percentile(0.9));
        let before = open.percentile_between(Duration::ZERO, Duration::from_millis(60), 0.5);
        assert!(before < STALL / 4, "{before:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_ends_a_load() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        drop(listener);
        let outcome = run(&Load::chat(address, 2, 1, Duration::from_secs(20))).await?;
        assert_eq!((outcome.answered, outcome.failed), (0, u64::from(2 * MAX_FAILURES)));
        Ok(())
    }
}
