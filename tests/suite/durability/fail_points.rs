//! A crash at each step of a commit.

use std::sync::Arc;

use daca_tests::{Answer, Host, exerciser};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Callers at the same time, so that a commit has several turns.
const CLIENTS: usize = 8;
/// The commit in which the host crashes.
const COMMIT: usize = 12;
/// Calls of one client. A host that has survived them has passed no fail point.
const MAX_CALLS: usize = 1_000;

/// Calls until the host is gone, and answers how many calls were acknowledged before the one that was not. Each is of an
/// actor of its own, whose first turn writes two keys: the one that it is told, and `activations`.
async fn call_until_it_crashes(host: Arc<Host>, client: usize) -> anyhow::Result<usize> {
    for n in 0..MAX_CALLS {
        let write = json!({"key": "k", "value": n});
        match host.invoke(&format!("Exerciser/{client}-{n}"), "SetState", &write).await {
            Ok(Answer { status, .. }) if status == 200 => {}
            Ok(answer) => anyhow::bail!("{answer:?}"),
            Err(_) => return Ok(n),
        }
    }
    anyhow::bail!("the host did not crash")
}

async fn crash_at(step: &str) -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let point = format!("{step}:{COMMIT}");
    let variables = [("DACA_FAIL_POINT", &*point)];
    let host = Arc::new(Host::start_with(folder.clone(), &exerciser(""), &variables).await?);
    let clients = (0..CLIENTS).map(|client| tokio::spawn(call_until_it_crashes(host.clone(), client)));
    let clients = clients.collect::<Vec<_>>();
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.push(client.await??);
    }
    drop(host);
    assert!(acknowledged.iter().sum::<usize>() > 0, "{step}: nothing was acknowledged");

    let host = Host::start_in(folder, &exerciser("")).await?;
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

#[tokio::test]
async fn a_crash_before_a_transaction_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    crash_at("before-transaction").await
}

#[tokio::test]
async fn a_crash_within_a_transaction_loses_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    crash_at("in-transaction").await
}

#[tokio::test]
async fn a_crash_between_commit_and_answer_keeps_each_turn_whole() -> anyhow::Result<()> {
    crash_at("after-commit").await
}

#[tokio::test]
async fn a_crash_while_the_callers_are_answered_loses_nothing() -> anyhow::Result<()> {
    crash_at("after-answer").await
}
