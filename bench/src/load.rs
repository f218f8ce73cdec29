//! The load generator: many requests over a few connections, closed-loop or at a fixed rate.
//!
//! Closed-loop, a connection sends its next request when it has the answer to the last: it finds the throughput, and hides a
//! stall, because nothing is sent meanwhile. At a fixed rate, requests are due by the clock, and each latency counts from when
//! the request was due: a stall shows in the p99.

use std::net::SocketAddr;
use std::time::Duration;

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where to.
    pub server: SocketAddr,
    /// What each request is.
    pub request: Request,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Actors that the requests are for, chosen evenly at random: `user-0` and so on.
    pub actors: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// How long requests are begun. A load is also over after `most` requests.
    pub time: Duration,
    /// Requests, at most.
    pub most: u64,
}

/// What each request is. `{actor}` in the path stands for the actor's id.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: http::Method,
    /// The path.
    pub path: String,
    /// The body; JSON.
    pub body: String,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As soon as there is an answer to the last.
    Closed,
    /// So many a second over all connections, whatever the answers do.
    Rate(f64),
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Requests that were answered with 200.
    pub answered: u64,
    /// Requests that were answered otherwise or not at all.
    pub failed: u64,
    /// The first failure.
    pub first_failure: Option<String>,
    /// From the first request to the last answer.
    pub time: Duration,
    /// Of the requests that were answered, sorted.
    pub latencies: Vec<Duration>,
}

impl Request {
    /// A message of a user to the ChatAgent.
    pub fn chat() -> Request {
        let body = r#"{"role":"user","content":"How are you today?"}"#.to_owned();
        Request { method: http::Method::POST, path: "/chat/{actor}".to_owned(), body }
    }
}

impl Outcome {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }

    /// The latency that this share (0 to 1) of the requests did not exceed.
    pub fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        self.latencies.get(at.min(last)).copied().unwrap_or_default()
    }
}

/// Sends it.
pub async fn run(_load: &Load) -> anyhow::Result<Outcome> {
    anyhow::bail!("to be written")
}
