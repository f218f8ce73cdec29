//! What a swap means to one actor.

use std::sync::Arc;

use daca_tests::deploy::swapped;
use daca_tests::{Host, LONGER_AND_LONGER, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn a_turn_ends_on_its_version_and_the_call_behind_it_is_on_the_new_one_with_the_state_kept()
-> anyhow::Result<()> {
    let host = Arc::new(Host::start(&swapped("")).await?);
    // Compiled once, it is deployed in no time.
    host.deploy_guest("swapped_v2", "").await?;
    // On a busy machine the turn may be over before the version is swapped: then once more, with more time.
    for ms in LONGER_AND_LONGER {
        host.deploy_guest("swapped_v1", "").await?;
        if is_swapped_within_a_turn(&host, &format!("a-{ms}"), ms).await? {
            return Ok(());
        }
    }
    anyhow::bail!("each turn had ended before the version was swapped")
}

/// Answers `false` if the turn ended too early to show anything.
async fn is_swapped_within_a_turn(host: &Arc<Host>, id: &str, ms: u64) -> anyhow::Result<bool> {
    let actor = format!("Swapped/{id}");
    assert_eq!(host.add(id, 7).await?, 1);
    host.until_idle(&actor).await?;
    let slow = host.begin(&actor, "Sleep", &json!({"ms": ms}));
    if !host.is_caught(&actor, 0, &slow).await? {
        return Ok(false);
    }
    let queued = host.begin(&actor, "Add", &json!({"number": 8}));
    if !host.is_caught(&actor, 1, &slow).await? {
        return Ok(false);
    }
    host.deploy_guest("swapped_v2", "").await?;
    // Others need not wait for it.
    assert_eq!(host.serving("b").await?, "v2");
    if slow.is_finished() {
        return Ok(false);
    }

    let (slow, queued) = (slow.await??, queued.await??);
    assert_eq!(
        (slow.status.as_u16(), slow.body),
        (200, json!({"version": "v1", "entries": 1, "check": "v1"}))
    );
    assert_eq!(
        (queued.status.as_u16(), queued.body),
        (200, json!({"version": "v2", "entries": 2, "check": "v2"}))
    );
    let activations = host.call(&actor, "Activations", &Value::Null).await?;
    assert_eq!(activations, json!(1), "the new instance was activated, once");
    assert_eq!(host.entries(id).await?, ("v2".to_owned(), vec![7, 8]));
    Ok(true)
}

#[tokio::test]
async fn a_reminder_of_the_old_version_fires_on_the_new_one() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    // On a slow machine a reminder may fire before the swap: then once more, with more time.
    for due_ms in [500, 2_000, 8_000, 30_000] {
        host.deploy_guest("swapped_v1", "").await?;
        let actor = format!("Swapped/after-{due_ms}");
        let fired_by = async || host.call(&actor, "FiredBy", &Value::Null).await;
        host.call(&actor, "Remind", &json!({"name": "r", "due_ms": due_ms, "number": 9})).await?;
        host.deploy_guest("swapped_v2", "").await?;
        if fired_by().await? == Value::Null {
            eventually("the reminder fires", async || Ok(fired_by().await? != Value::Null)).await?;
            assert_eq!(fired_by().await?, "v2");
            return Ok(());
        }
    }
    anyhow::bail!("each reminder fired before the version was swapped")
}
