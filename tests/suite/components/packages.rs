//! Packages of npm in an agent. The tests of the SDK build this one; here its packages run in the engine.

use daca_tests::{Host, foreign_agent};
use serde_json::{Value, json};

#[tokio::test]
async fn an_agent_runs_the_packages_that_were_built_into_it() -> anyhow::Result<()> {
    let Some(component) = foreign_agent("packages-typescript")? else { return Ok(()) };
    let component = component.display().to_string();
    let manifest = format!("[agents.Orders]\ncomponent = {component:?}\nsettings = {{ shop = \"north\" }}\n");
    let host = Host::start(&manifest).await?;
    let order = json!({ "item": "nail", "count": 3 });
    // The id is of nanoid, and has 21 characters. The time is of date-fns.
    let placed = host.call("Orders/a", "Place", &order).await?;
    assert_eq!((&placed["due"], &placed["status"]), (&json!("1970-01-03"), &json!("open")));
    let id = |placed: &Value| placed["id"].as_str().unwrap_or_default().to_owned();
    assert!(id(&placed).starts_with("order-north-") && id(&placed).len() == 33, "{placed}");
    let other = host.call("Orders/b", "Place", &order).await?;
    assert_ne!(id(&other), id(&placed));
    // The check is of zod.
    let refused = host.invoke("Orders/a", "Place", &json!({ "item": "nail", "count": 0 })).await?;
    assert_eq!(refused.outcome(), (400, Some("invalid")), "{refused:?}");
    assert!(refused.detail().contains("count"), "{refused:?}");
    host.stop().await?;
    Ok(())
}
