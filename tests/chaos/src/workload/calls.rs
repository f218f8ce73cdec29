//! A caller: one call after the other to one actor, each over the next host.

use std::time::Duration;

use anyhow::bail;
use daca_tests::Answer;
use serde_json::json;

use super::answers::{outcome, said};
use super::context::{Workload, actor_name};
use super::orders;
use crate::history::{Asked, HistoryEvent, Outcome, Way};
use crate::wire::{Entry, PAGE, Page};

/// How long a caller pauses on the average: 20 of them make about 30 calls a second.
const PAUSE: Duration = Duration::from_millis(650);
/// How long a caller waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);
/// How long it waits before the next try of a call with a key.
const AGAIN_AFTER: Duration = Duration::from_millis(700);

/// Calls an actor until it is over.
pub(super) async fn work(workload: &Workload<'_>, actor: usize) {
    let mut rng = workload.rng(actor as u64);
    for sequence in 0.. {
        if workload.is_over() {
            return;
        }
        let asked = orders::call(&mut rng, actor, sequence);
        let looks = rng.u32(0..4) == 0;
        workload.history.note(HistoryEvent::Asked(asked.clone()));
        let outcome = match asked.way {
            Way::Keyed => with_key(workload, &asked).await,
            Way::Keyless | Way::Kafka => send(workload, &asked, sequence).await.1,
        };
        workload
            .history
            .note(HistoryEvent::Answered { op: asked.order.op.clone(), outcome: outcome.clone() });
        if let Outcome::Kept(Some(entry)) = outcome
            && looks
        {
            look(workload, &asked, &entry, sequence + 1).await;
        }
        workload.pause(&mut rng, PAUSE).await;
    }
}

/// Calls with the same key, over one host after the other, until it is acknowledged.
async fn with_key(workload: &Workload<'_>, asked: &Asked) -> Outcome {
    let mut attempt = asked.sequence;
    loop {
        let (over, outcome) = send(workload, asked, attempt).await;
        if matches!(outcome, Outcome::Kept(_)) {
            return outcome;
        }
        let said = said(&outcome);
        workload.history.note(HistoryEvent::Tried { op: asked.order.op.clone(), over, said: said.clone() });
        if workload.gives_up() {
            // An earlier try may have been kept, whatever the last one says.
            return Outcome::Unknown(format!("nobody has acknowledged it: {said}"));
        }
        attempt += 1;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Calls once. Answers over which host, and what came of it.
async fn send(workload: &Workload<'_>, asked: &Asked, attempt: u64) -> (String, Outcome) {
    let (app, over) = workload.host(attempt);
    let mut request = workload.client.post(app.url(&format!("/ledger/{}", asked.actor))).json(&asked.order);
    if asked.way == Way::Keyed {
        request = request.header("Idempotency-Key", &asked.order.op);
    }
    (over, outcome(Answer::of(request.timeout(ANSWER_WITHIN)).await))
}

/// Looks for an acknowledged entry over another host. A look that fails says nothing.
async fn look(workload: &Workload<'_>, asked: &Asked, entry: &Entry, attempt: u64) {
    let (app, over) = workload.host(attempt);
    let request = workload.client.post(app.url(&format!("/page/{}", asked.actor)));
    let request = request.json(&json!({ "number": entry.position / PAGE })).timeout(ANSWER_WITHIN);
    if let Ok(page) = page(request).await {
        let shows = page.entries.iter().any(|one| one.op == entry.op && one.kind == entry.kind);
        let op = asked.order.op.clone();
        workload.history.note(HistoryEvent::Looked { op, over, by: page.host, shows });
    }
}

/// A page of a ledger, as one of the hosts tells.
async fn page(request: reqwest::RequestBuilder) -> anyhow::Result<Page> {
    let answer = Answer::of(request).await?;
    if answer.status != 200 {
        bail!("{:?}", answer.outcome());
    }
    Ok(serde_json::from_value(answer.body)?)
}

/// All pages of an actor's ledger, over one of the hosts.
pub(crate) async fn pages(
    workload: &Workload<'_>,
    actor: usize,
    host: u64,
) -> anyhow::Result<(Vec<Entry>, Page)> {
    let (app, _) = workload.host(host);
    let url = app.url(&format!("/page/{}", actor_name(actor)));
    let mut entries = Vec::new();
    for number in 0_u64.. {
        let request = workload.client.post(&url).json(&json!({ "number": number })).timeout(ANSWER_WITHIN);
        let page = page(request).await?;
        entries.extend_from_slice(&page.entries);
        if (number + 1) * PAGE > page.count {
            return Ok((entries, page));
        }
    }
    bail!("a ledger has an end")
}
