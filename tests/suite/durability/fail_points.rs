//! A crash at each step of a commit.

use std::sync::Arc;

use daca_tests::{Answer, Host, eventually, exerciser, manifest_of};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::effects::SUBSCRIPTION;

/// Callers at the same time, so that a commit has several turns.
const CLIENTS: usize = 8;
/// The commit in which the host crashes.
const COMMIT: usize = 12;
/// Calls of one client. A host that has survived them has passed no fail point.
const MAX_CALLS: usize = 1_000;

/// The method and the payload of a call, by its number and the id of its actor.
type Call = fn(usize, &str) -> (&'static str, Value);

/// The first turn of an actor writes two keys: the one that it is told, and `activations`.
fn set(n: usize, _actor: &str) -> (&'static str, Value) {
    ("SetState", json!({"key": "k", "value": n}))
}

/// The turn has an event and a reminder, too.
fn set_and_follow(n: usize, actor: &str) -> (&'static str, Value) {
    let event = json!({"to": actor, "payload": {"key": "k", "value": n}});
    ("SetThenEndWell", json!({"key": "k", "value": event, "topic": "set"}))
}

/// Calls until the host is gone, and answers how many calls were acknowledged before the one that was not. Each is of an
/// actor of its own.
async fn call_until_it_crashes(host: Arc<Host>, client: usize, call: Call) -> anyhow::Result<usize> {
    for n in 0..MAX_CALLS {
        let actor = format!("{client}-{n}");
        let (method, payload) = call(n, &actor);
        match host.invoke(&format!("Exerciser/{actor}"), method, &payload).await {
            Ok(Answer { status, .. }) if status == 200 => {}
            Ok(answer) => anyhow::bail!("{answer:?}"),
            Err(_) => return Ok(n),
        }
    }
    anyhow::bail!("the host did not crash")
}

/// Crashes a host at a step. Answers the next one, and how many calls of each client were acknowledged.
async fn crash_at(step: &str, manifest: &str, call: Call) -> anyhow::Result<(Host, Vec<usize>)> {
    let folder = Arc::new(TempDir::new()?);
    let point = format!("{step}:{COMMIT}");
    let variables = [("DACA_FAIL_POINT", &*point)];
    let host = Arc::new(Host::start_with(folder.clone(), manifest, &variables).await?);
    let clients = (0..CLIENTS).map(|client| tokio::spawn(call_until_it_crashes(host.clone(), client, call)));
    let clients = clients.collect::<Vec<_>>();
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.push(client.await??);
    }
    drop(host);
    assert!(acknowledged.iter().sum::<usize>() > 0, "{step}: nothing was acknowledged");
    Ok((Host::start_in(folder, manifest).await?, acknowledged))
}

async fn state_after_a_crash_at(step: &str) -> anyhow::Result<()> {
    let (host, acknowledged) = crash_at(step, &exerciser(""), set).await?;
    for (client, acknowledged) in acknowledged.into_iter().enumerate() {
        for n in 0..=acknowledged {
            let keys = json!({"keys": ["k", "activations"]});
            let found = host.call(&format!("Exerciser/{client}-{n}"), "GetMany", &keys).await?;
            // This turn has an activation of its own.
            let (whole, nothing) = (json!([n, 2]), json!([Value::Null, 1]));
            let is_right = found == whole || (n == acknowledged && found == nothing);
            assert!(is_right, "{step}: call {n} of client {client}, {acknowledged} acknowledged: {found}");
        }
    }
    Ok(())
}

/// What there is of a turn: its key, its reminder's firing, and what its event has set.
async fn found(host: &Host, actor: &str) -> anyhow::Result<[bool; 3]> {
    let keys = json!({"keys": ["k", "fired"]});
    let own = host.call(&format!("Exerciser/{actor}"), "GetMany", &keys).await?;
    let heard = host.call(&format!("Sink/{actor}"), "GetState", &json!({"key": "k"})).await?;
    let has_fired = |fired: &Vec<Value>| fired.iter().any(|firing| firing["kind"] == "reminder");
    Ok([!own[0].is_null(), own[1].as_array().is_some_and(has_fired), !heard.is_null()])
}

/// Nobody calls the actors before their effects and reminders are looked for.
async fn effects_after_a_crash_at(step: &str) -> anyhow::Result<()> {
    let manifest = [SUBSCRIPTION, &exerciser(""), &manifest_of("Sink", "exerciser", "")].concat();
    let (host, acknowledged) = crash_at(step, &manifest, set_and_follow).await?;
    for (client, acknowledged) in acknowledged.into_iter().enumerate() {
        for n in 0..=acknowledged {
            let what = format!("{step}: call {n} of client {client}, {acknowledged} acknowledged");
            eventually(&what, async || {
                let found = found(&host, &format!("{client}-{n}")).await?;
                Ok(found == [true; 3] || (n == acknowledged && found == [false; 3]))
            })
            .await?;
        }
    }
    Ok(())
}

/// The tests of each step: the names of those that fail say at which.
macro_rules! a_crash {
    ($($at:ident: $step:literal,)*) => {$(
        mod $at {
            #[tokio::test]
            async fn loses_nothing_that_was_acknowledged_and_keeps_each_turn_whole() -> anyhow::Result<()> {
                super::state_after_a_crash_at($step).await
            }

            #[tokio::test]
            async fn loses_no_effect_and_no_reminder() -> anyhow::Result<()> {
                super::effects_after_a_crash_at($step).await
            }
        }
    )*};
}

a_crash! {
    a_crash_before_a_transaction: "before-transaction",
    a_crash_within_a_transaction: "in-transaction",
    a_crash_between_commit_and_answer: "after-commit",
    a_crash_while_the_callers_are_answered: "after-answer",
}
