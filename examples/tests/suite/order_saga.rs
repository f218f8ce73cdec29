use std::time::Duration;

use anyhow::Result;
use daca_testkit::Host;
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);
/// A reminder that a reminder registers is due no sooner than the type's `least-period`: the steps of an order take a moment.
const MOMENT: Duration = Duration::from_secs(1);

/// A host with ten apples and one pear.
async fn start() -> Result<Host> {
    let host = Host::embedded().manifest("examples/order-saga/agents.toml").start().await?;
    host.call("Stock/apple", "Supply", &10).await?;
    host.call("Stock/pear", "Supply", &1).await?;
    Ok(host)
}

/// How many apples and pears are available.
async fn stock(host: &Host) -> Result<[Value; 2]> {
    host.settled().await?;
    Ok([host.call("Stock/apple", "Available", &()).await?, host.call("Stock/pear", "Available", &()).await?])
}

async fn status(host: &Host) -> Result<Value> {
    host.advance(MOMENT).await?;
    Ok(host.call("Order/1", "Status", &()).await?["status"].clone())
}

/// What the order has published, in order.
async fn published(host: &Host) -> Result<Vec<Value>> {
    host.advance(MOMENT).await?;
    Ok(host.events().await?.iter().map(|event| event.data["status"].clone()).collect())
}

#[tokio::test]
async fn an_order_reserves_its_lines_and_takes_them_when_it_is_confirmed() -> Result<()> {
    let host = start().await?;
    let placed = host.call("Order/1", "Place", &json!({"apple": 3, "pear": 1})).await?;
    assert_eq!(placed, json!({"status": "reserving"}));
    assert_eq!(status(&host).await?, "reserved");
    assert_eq!(stock(&host).await?, [7, 0]);

    host.call("Order/1", "Confirm", &()).await?;
    assert_eq!(published(&host).await?, ["reserving", "reserved", "completing", "completed"]);
    host.advance(MINUTE * 60).await?;
    assert_eq!(status(&host).await?, "completed");
    assert_eq!(stock(&host).await?, [7, 0]);
    Ok(())
}

#[tokio::test]
async fn an_order_that_cannot_have_all_its_lines_takes_its_steps_back() -> Result<()> {
    let host = start().await?;
    host.call("Order/1", "Place", &json!({"apple": 3, "pear": 2})).await?;
    assert_eq!(published(&host).await?, ["reserving", "cancelling", "cancelled"]);
    assert_eq!(stock(&host).await?, [10, 1]);
    let reason = host.call("Order/1", "Status", &()).await?["reason"].clone();
    assert!(
        reason.as_str().is_some_and(|reason| reason.contains("1 are left, and 2 are wanted")),
        "{reason}"
    );

    let late = host.call("Order/1", "Confirm", &()).await.expect_err("it is cancelled");
    assert_eq!(late.code(), "invalid");
    Ok(())
}

#[tokio::test]
async fn an_order_that_nobody_confirms_gives_its_lines_back() -> Result<()> {
    let host = start().await?;
    let lines = json!({"apple": 3});
    host.call("Order/1", "Place", &lines).await?;
    host.advance(MINUTE * 14).await?;
    assert_eq!(status(&host).await?, "reserved");
    // It does not wait for longer when it is placed again.
    host.call("Order/1", "Place", &lines).await?;
    host.advance(MINUTE).await?;
    assert_eq!(status(&host).await?, "cancelled");
    assert_eq!(stock(&host).await?, [10, 1]);
    Ok(())
}

#[tokio::test]
async fn whatever_is_repeated_is_done_once() -> Result<()> {
    let host = start().await?;
    let lines = json!({"apple": 3});
    for _ in 0..2 {
        host.call("Order/1", "Place", &lines).await?;
        assert_eq!(stock(&host).await?, [7, 1]);
    }
    let other = host.call("Order/1", "Place", &json!({"apple": 4})).await.expect_err("it is another order");
    assert_eq!(other.code(), "invalid");
    for _ in 0..2 {
        host.call("Order/1", "Confirm", &()).await?;
        assert_eq!(status(&host).await?, "completed");
    }
    assert_eq!(stock(&host).await?, [7, 1]);
    Ok(())
}

/// A call that the order has given up may still arrive.
#[tokio::test]
async fn a_reservation_that_comes_after_its_release_holds_nothing() -> Result<()> {
    let host = start().await?;
    let reserve = json!({"order": "1", "quantity": 3});
    for _ in 0..2 {
        host.call("Stock/apple", "Release", "1").await?;
        let late = host.call("Stock/apple", "Reserve", &reserve).await.expect_err("it was released");
        assert_eq!(late.code(), "invalid");
    }
    assert_eq!(stock(&host).await?, [10, 1]);
    Ok(())
}

/// What the order waits for is in its state and in its reminders, and in nothing else.
#[tokio::test]
async fn an_order_goes_on_when_it_was_deactivated() -> Result<()> {
    let host = start().await?;
    host.call("Order/1", "Place", &json!({"apple": 3})).await?;
    host.deactivate_all().await?;
    host.advance(MINUTE * 15).await?;
    assert_eq!(status(&host).await?, "cancelled");
    Ok(())
}
