//! Collects what is there: over the hosts, from the broker and from the edge.

use anyhow::{Context as _, ensure};
use daca_stack::APP_ID;
use daca_tests::Answer;
use futures::future::try_join_all;
use serde_json::Value;

use crate::fault::host_name;
use crate::keeper::readiness;
use crate::manifest::{DEAD_LETTER_TOPICS, RECORD_TOPIC, TOLD_TOPIC, TYPE};
use crate::seen::{DeadLetter, Event, Ledger, Seen, Sms, Told};
use crate::wire::Recorded;
use crate::workload::{ACTORS, Workload, actor_name, pages};

/// Events of one request to the broker.
const AT_ONCE: usize = 2_000;
/// The longest text of a dead letter that is shown.
const MAX_LETTER: usize = 400;

/// Everything but what only time shows. What leaves first is read last: a turn's entry is written, then announced, and then
/// told to others.
pub(crate) async fn collect(workload: &Workload<'_>) -> anyhow::Result<Seen> {
    let sms = sms(workload)?;
    let mut dead_letters = Vec::new();
    for topic in DEAD_LETTER_TOPICS {
        let letters = stream(workload, topic).await?;
        dead_letters.extend(letters.iter().map(|arrived| dead_letter(topic, &arrived.event["data"])));
    }
    let mut told = Vec::new();
    for Arrived { event, .. } in stream(workload, TOLD_TOPIC).await? {
        let op = event["data"]["op"].as_str().context("an event names its operation")?.to_owned();
        told.push(Told { id: id_of(&event)?, op });
    }
    let mut events = Vec::new();
    for Arrived { ms, event } in stream(workload, RECORD_TOPIC).await? {
        let recorded = serde_json::from_value::<Recorded>(event["data"].clone()).context("an event")?;
        events.push(Event { id: id_of(&event)?, ms, recorded });
    }
    // What is wrong with a host that is not ready is said elsewhere. One that is must tell: nobody else knows.
    let ready = readiness(workload.cluster).await?.into_iter().enumerate();
    let hosts = ready.filter_map(|(host, is_ready)| is_ready.then_some(host));
    let active = try_join_all(hosts.map(|host| active(workload, host))).await.context("what is active")?;
    let ledgers = ledgers(workload).await?;
    let unstored = unstored(workload, &ledgers).await?;
    Ok(Seen { ledgers, events, told, sms, dead_letters, active, unstored, ..Seen::default() })
}

fn id_of(event: &Value) -> anyhow::Result<String> {
    Ok(event["id"].as_str().context("a CloudEvent has an id")?.to_owned())
}

/// That of an event has the event in it, which names the operation.
fn dead_letter(topic: &str, letter: &Value) -> DeadLetter {
    let op = letter["event"]["data"]["op"].as_str().map(str::to_owned);
    let text = letter.to_string().chars().take(MAX_LETTER).collect();
    DeadLetter { topic: topic.to_owned(), op, text }
}

/// A host may show what it has in memory alone: the store is asked past it.
async fn unstored(workload: &Workload<'_>, ledgers: &[Ledger]) -> anyhow::Result<Vec<(String, String)>> {
    let mut unstored = Vec::new();
    for Ledger { actor, count, .. } in ledgers {
        let key = format!("{APP_ID}||{TYPE}||{actor}||count");
        let text = workload.cluster.stack.redis.cli(&["hget", &key, "data"]).await?;
        let stored = if text.is_empty() { 0 } else { text.parse::<u64>().context("a count in the store")? };
        if stored != *count {
            unstored.push((actor.clone(), format!("{count} entries are shown, and {stored} stored")));
        }
    }
    Ok(unstored)
}

/// The ledgers of all actors, over the first host that is ready.
pub(crate) async fn ledgers(workload: &Workload<'_>) -> anyhow::Result<Vec<Ledger>> {
    let ready = readiness(workload.cluster).await?;
    let host = ready.iter().position(|is_ready| *is_ready).context("no host is ready")?;
    let mut ledgers = Vec::new();
    for actor in 0..ACTORS {
        let (entries, page) = pages(workload, actor, host as u64)
            .await
            .with_context(|| format!("the ledger of {}", actor_name(actor)))?;
        ledgers.push(Ledger { actor: actor_name(actor), count: page.count, entries, ticks: page.ticks });
    }
    Ok(ledgers)
}

/// A CloudEvent at the broker.
struct Arrived {
    /// When, by the clock of the history.
    ms: u64,
    event: Value,
}

/// The CloudEvents of a topic. Dapr's component for Redis keeps each as the field `data` of a stream's entry, whose id begins
/// with the time of its arrival.
async fn stream(workload: &Workload<'_>, topic: &str) -> anyhow::Result<Vec<Arrived>> {
    let (mut all, mut from) = (Vec::new(), "-".to_owned());
    let count = AT_ONCE.to_string();
    loop {
        let command = ["--json", "xrange", topic, from.as_str(), "+", "count", count.as_str()];
        let text = workload.cluster.stack.redis.cli(&command).await?;
        let entries: Vec<(String, Vec<String>)> = serde_json::from_str(&text).context("a stream")?;
        let is_last = entries.len() < AT_ONCE;
        for (id, fields) in entries {
            let data = fields.iter().skip_while(|field| *field != "data").nth(1);
            let event = serde_json::from_str(data.context("an event has data")?)?;
            let unix_ms = id.split('-').next().and_then(|ms| ms.parse::<u64>().ok());
            let unix_ms = unix_ms.with_context(|| format!("a stream's id has a time: {id}"))?;
            all.push(Arrived { ms: workload.history.ms_of_unix(unix_ms), event });
            from = format!("({id}");
        }
        if is_last {
            return Ok(all);
        }
    }
}

/// The SMS that came to the edge.
fn sms(workload: &Workload<'_>) -> anyhow::Result<Vec<Sms>> {
    let twilio = &workload.cluster.stack.twilio;
    let received = twilio.received();
    ensure!(received.len() as u64 == twilio.count(), "the edge has forgotten SMS: there were too many");
    received
        .iter()
        .map(|sms| {
            let ms = workload.history.ms_of(sms.at);
            Sms::read(&sms.body, ms).with_context(|| format!("an SMS: {:?}", sms.body))
        })
        .collect()
}

/// The actors that are active on a host, as it says.
async fn active(workload: &Workload<'_>, host: usize) -> anyhow::Result<(String, Vec<String>)> {
    let app = &workload.cluster.hosts[host].app;
    let answer = Answer::of(workload.client.get(app.admin_url("/activations?limit=10000"))).await?;
    let activations = answer.body["activations"].as_array().context("activations are a list")?;
    let ids = activations.iter().filter_map(|one| one["actor_id"].as_str().map(str::to_owned));
    Ok((host_name(host), ids.collect()))
}
