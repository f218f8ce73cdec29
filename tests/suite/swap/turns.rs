//! What a swap means to one actor.

use std::sync::Arc;

use daca_tests::deploy::swapped;
use daca_tests::{Host, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn a_turn_ends_on_its_version_and_the_call_behind_it_is_on_the_new_one_with_the_state_kept()
-> anyhow::Result<()> {
    let host = Arc::new(Host::start(&swapped("")).await?);
    assert_eq!(host.add("a", 7).await?, 1);
    let slow = host.begin("Swapped/a", "Sleep", &json!({"ms": 2_000}));
    host.until_busy("Swapped/a", 0).await?;
    let queued = host.begin("Swapped/a", "Add", &json!({"number": 8}));
    host.until_busy("Swapped/a", 1).await?;
    host.deploy_guest("swapped_v2", "").await?;
    assert!(!slow.is_finished(), "the turn was to run while the version was swapped");
    // Others need not wait for it.
    assert_eq!(host.serving("b").await?, "v2");

    let (slow, queued) = (slow.await??, queued.await??);
    assert_eq!(
        (slow.status.as_u16(), slow.body),
        (200, json!({"version": "v1", "entries": 1, "check": "v1"}))
    );
    assert_eq!(
        (queued.status.as_u16(), queued.body),
        (200, json!({"version": "v2", "entries": 2, "check": "v2"}))
    );
    let activations = host.call("Swapped/a", "Activations", &Value::Null).await?;
    assert_eq!(activations, json!(1), "the new instance was activated, once");
    assert_eq!(host.entries("a").await?, ("v2".to_owned(), vec![7, 8]));
    Ok(())
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
