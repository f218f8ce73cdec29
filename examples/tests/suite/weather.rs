use std::time::Duration;

use anyhow::Result;
use daca_testkit::{BindingAnswer, Host};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_secs(60);

fn answer(celsius: f64) -> BindingAnswer {
    BindingAnswer::from(json!({"celsius": celsius, "sky": "clear", "humidity": 40})).with("statusCode", "200")
}

async fn start(answer: BindingAnswer) -> Result<Host> {
    let host = Host::embedded().manifest("examples/weather/agents.toml");
    Ok(host.binding_response("weather", answer).start().await?)
}

async fn now(host: &Host, city: &str) -> Result<Value> {
    Ok(host.call(&format!("Weather/{city}"), "Now", &()).await?)
}

#[tokio::test]
async fn an_answer_is_kept_for_ten_minutes() -> Result<()> {
    let host = start(answer(21.5)).await?;
    let asked = json!({"city": "Lisbon", "celsius": 21.5, "sky": "clear", "cached": false});
    assert_eq!(now(&host, "Lisbon").await?, asked);

    host.answer_binding("weather", answer(22.0));
    host.advance(MINUTE * 10 - Duration::from_secs(1)).await?;
    let kept = json!({"city": "Lisbon", "celsius": 21.5, "sky": "clear", "cached": true});
    assert_eq!(now(&host, "Lisbon").await?, kept);
    host.advance(Duration::from_secs(1)).await?;
    assert_eq!(now(&host, "Lisbon").await?["celsius"], 22.0);
    assert_eq!(host.bindings().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn the_city_reaches_the_service_as_it_is() -> Result<()> {
    let host = start(answer(1.0)).await?;
    now(&host, "São Paulo&x").await?;
    let calls = host.bindings().await?;
    assert_eq!(calls[0].metadata["path"], "/v1/current?city=S%C3%A3o%20Paulo%26x");
    Ok(())
}

#[tokio::test]
async fn a_failure_says_what_failed_and_nothing_is_kept() -> Result<()> {
    let not_found = BindingAnswer::data("").with("statusCode", "404");
    let busy = BindingAnswer::data("come back later").with("statusCode", "503");
    let cases = [
        (BindingAnswer::unavailable("connection refused"), "failed", "was not reached: connection refused"),
        (not_found, "not-found", "knows no city \"Lisbon\""),
        (busy, "failed", "answered the status 503"),
        (BindingAnswer::from("<html>"), "failed", "answered something else"),
    ];
    let host = start(answer(0.0)).await?;
    for (answer, code, text) in cases {
        host.answer_binding("weather", answer);
        let failed = host.call("Weather/Lisbon", "Now", &()).await.expect_err(text);
        assert_eq!(failed.code(), code, "{failed}");
        assert!(failed.to_string().contains(text), "{failed}");
        assert!(host.state("Weather/Lisbon").await?.is_empty());
    }
    host.answer_binding("weather", answer(3.0));
    assert_eq!(now(&host, "Lisbon").await?["celsius"], 3.0, "and it works again when the service does");
    Ok(())
}

#[tokio::test]
async fn without_a_sidecar_the_manifest_answers() -> Result<()> {
    let host = Host::embedded().manifest("examples/weather/agents.toml").start().await?;
    assert_eq!(now(&host, "Lisbon").await?["celsius"], 21.5);
    Ok(())
}
