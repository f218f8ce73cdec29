//! Reminders of a neighbour: how late they fire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use daca_tests::client;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::load::{Outcome, Sample};

/// The time between two registrations.
const EVERY: Duration = Duration::from_millis(500);
/// When a reminder is due, from its registration.
const DUE: Duration = Duration::from_millis(200);
/// The time between two looks at whether it has fired.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A reminder that is later has failed.
const MAX_LATE: Duration = Duration::from_secs(30);

/// The first part of the path that registers a reminder.
pub(super) const REGISTER: &str = "neighbour-remind";
/// That of the path that shows what has fired.
pub(super) const FIRED: &str = "neighbour-fired";

/// Registers reminders for so long, each of an actor of its own, and waits for them. The latencies are how late they were.
pub(super) async fn measure(server: SocketAddr, time: Duration) -> anyhow::Result<Outcome> {
    let (client, start) = (client()?, Instant::now());
    let mut reminders = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    while start.elapsed() < time {
        ticks.tick().await;
        let actor = format!("{}", start.elapsed().as_nanos());
        reminders.spawn(one(client.clone(), server, actor, start));
    }
    let mut outcome = Outcome::default();
    while let Some(reminder) = reminders.join_next().await {
        outcome.add(reminder?);
    }
    outcome.time = start.elapsed();
    Ok(outcome)
}

async fn one(client: Client, server: SocketAddr, actor: String, start: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    match late(&client, server, &actor).await {
        Ok(latency) => {
            outcome.answered = 1;
            outcome.samples.push(Sample { at: start.elapsed(), latency });
        }
        Err(error) => outcome.fail(&error),
    }
    outcome
}

/// How late the reminder of an actor fires.
async fn late(client: &Client, server: SocketAddr, actor: &str) -> anyhow::Result<Duration> {
    let due = Instant::now() + DUE;
    let reminder = json!({"name": "due", "due_ms": u64::try_from(DUE.as_millis())?});
    ask(client, format!("http://{server}/{REGISTER}/{actor}"), &reminder).await?;
    tokio::time::sleep(due.saturating_duration_since(Instant::now())).await;
    while due.elapsed() < MAX_LATE {
        let fired = ask(client, format!("http://{server}/{FIRED}/{actor}"), &Value::Null).await?;
        if fired.as_array().is_some_and(|fired| !fired.is_empty()) {
            return Ok(due.elapsed());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    anyhow::bail!("a reminder did not fire within {MAX_LATE:?}")
}

async fn ask(client: &Client, url: String, body: &Value) -> anyhow::Result<Value> {
    let answer = client.post(url).body(body.to_string()).send().await?;
    answer.error_for_status()?.json().await.context("the answer of a neighbour")
}
