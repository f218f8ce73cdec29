use std::time::Duration;

use anyhow::Result;
use daca_testkit::Host;
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn start() -> Result<Host> {
    Ok(Host::embedded().manifest("examples/counter/agents.toml").start().await?)
}

#[tokio::test]
async fn it_adds_and_refuses_what_is_too_much() -> Result<()> {
    let host = start().await?;
    assert_eq!(host.call("Counter/apples", "Add", &2).await?, 2);
    assert_eq!(host.call("Counter/apples", "Add", &3).await?, 5);
    let refused =
        host.call("Counter/apples", "Add", &u64::MAX).await.expect_err("the sum would be too large");
    assert_eq!(refused.code(), "invalid");
    assert_eq!(host.call("Counter/apples", "Value", &()).await?, 5);
    assert_eq!(host.call("Counter/pears", "Value", &()).await?, 0);
    Ok(())
}

#[tokio::test]
async fn it_begins_anew_every_day_until_nobody_counts_any_more() -> Result<()> {
    let host = start().await?;
    host.call("Counter/apples", "Add", &2).await?;
    host.advance(DAY / 2).await?;
    host.call("Counter/apples", "Add", &3).await?;
    assert_eq!(host.reminders("Counter/apples").await?[0].fires_in, DAY / 2, "the first of the day decides");

    host.advance(DAY / 2).await?;
    assert!(host.state("Counter/apples").await?.is_empty());
    assert_eq!(host.call("Counter/apples", "Add", &7).await?, 7);

    host.advance(DAY * 2).await?;
    assert_eq!(host.call("Counter/apples", "Value", &()).await?, 0);
    assert!(host.reminders("Counter/apples").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_setting_says_how_often_and_what_is_no_number_is_said() -> Result<()> {
    let with = |seconds: &str| {
        let host = Host::embedded().manifest("examples/counter/agents.toml");
        host.setting("Counter", "reset-every-seconds", seconds).start()
    };
    let host = with("60").await?;
    host.call("Counter/apples", "Add", &2).await?;
    host.advance(Duration::from_secs(60)).await?;
    assert_eq!(host.call("Counter/apples", "Value", &()).await?, 0);

    let host = with("soon").await?;
    let failed = host.call("Counter/apples", "Add", &2).await.expect_err("the setting is wrong");
    assert_eq!(failed.code(), "failed");
    assert!(failed.to_string().contains("reset-every-seconds"), "{failed}");
    assert_eq!(host.state("Counter/apples").await?.get("sum"), None, "nothing of the call is kept");
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_repeated_with_its_key_counts_once() -> Result<()> {
    let host = start().await?;
    for _ in 0..2 {
        assert_eq!(host.call_with_key::<u64>("key-1", "Counter/apples", "Add", &json!(2)).await?, 2);
    }
    Ok(())
}

#[tokio::test]
async fn its_routes_answer_with_the_sum() -> Result<()> {
    let host = start().await?;
    let added = host.post("/counters/apples", &2).await?;
    assert_eq!((added.status, added.body), (200, json!({"sum": 2})));
    assert_eq!(host.get("/counters/apples").await?.body, json!({"sum": 2}));
    let refused = host.post("/counters/apples", "two").await?;
    assert_eq!((refused.status, refused.code.as_deref()), (400, Some("invalid")));
    Ok(())
}
