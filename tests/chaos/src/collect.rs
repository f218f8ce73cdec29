//! Collects what is there: over the hosts, from the broker and from the edge.

use anyhow::{Context as _, ensure};
use daca_stack::APP_ID;
use daca_tests::Answer;
use futures::future::try_join_all;
use serde_json::Value;

use crate::fault::host_name;
use crate::keeper::readiness;
use crate::manifest::{DEAD_LETTER_TOPICS, RECORD_TOPIC, TYPE};
use crate::seen::{Event, Ledger, Seen, Sms};
use crate::wire::Recorded;
use crate::workload::{ACTORS, Workload, actor_name, pages};

/// Events of one request to the broker.
const AT_ONCE: usize = 2_000;
/// The longest text of a dead letter that is shown.
const MAX_LETTER: usize = 400;

/// Everything but what only time shows. The ledgers are read last: whatever was announced before is in them.
pub(crate) async fn collect(workload: &Workload<'_>) -> anyhow::Result<Seen> {
    let sms = sms(workload)?;
    let mut events = Vec::new();
    for event in stream(workload, RECORD_TOPIC).await? {
        let id = event["id"].as_str().context("a CloudEvent has an id")?.to_owned();
        let recorded = serde_json::from_value::<Recorded>(event["data"].clone()).context("an event")?;
        events.push(Event { id, recorded });
    }
    let mut dead_letters = Vec::new();
    for topic in DEAD_LETTER_TOPICS {
        let texts = stream(workload, topic).await?.into_iter().map(|event| event["data"].to_string());
        dead_letters.extend(texts.map(|text| text.chars().take(MAX_LETTER).collect::<String>()));
    }
    // What is wrong with a host that is not ready is said elsewhere. One that is must tell: nobody else knows.
    let ready = readiness(workload.cluster).await?.into_iter().enumerate();
    let hosts = ready.filter_map(|(host, is_ready)| is_ready.then_some(host));
    let active = try_join_all(hosts.map(|host| active(workload, host))).await.context("what is active")?;
    let ledgers = ledgers(workload).await?;
    let unstored = unstored(workload, &ledgers).await?;
    Ok(Seen { ledgers, events, sms, dead_letters, active, unstored, ..Seen::default() })
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

/// The CloudEvents of a topic. Dapr's component for Redis keeps each as the field `data` of a stream's entry.
async fn stream(workload: &Workload<'_>, topic: &str) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut from) = (Vec::new(), "-".to_owned());
    let count = AT_ONCE.to_string();
    loop {
        let command = ["--json", "xrange", topic, from.as_str(), "+", "count", count.as_str()];
        let text = workload.cluster.stack.redis.cli(&command).await?;
        let entries: Vec<(String, Vec<String>)> = serde_json::from_str(&text).context("a stream")?;
        let is_last = entries.len() < AT_ONCE;
        for (id, fields) in entries {
            let data = fields.iter().skip_while(|field| *field != "data").nth(1);
            all.push(serde_json::from_str(data.context("an event has data")?)?);
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
        .map(|sms| Sms::read(&sms.body).with_context(|| format!("an SMS: {:?}", sms.body)))
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
