//! Who may ask for what: the tokens by which host and sidecar know one another, and secrets.

use daca_stack::{App, Sidecar};
use daca_tests::{Answer, client};
use http::Method;
use serde_json::json;

use crate::support::{self, Bench, BenchOptions};

const TO_SIDECAR: &str = "token-of-the-sidecars-api";
const TO_APP: &str = "token-of-the-apps-callbacks";

fn options() -> anyhow::Result<BenchOptions<'static>> {
    Ok(BenchOptions {
        manifest: support::manifest(&[])? + &support::exerciser(""),
        dapr_api_token: Some(TO_SIDECAR),
        app_api_token: Some(TO_APP),
        ..BenchOptions::default()
    })
}

/// A host that logs all that it and its libraries have to say.
async fn talkative() -> anyhow::Result<Bench> {
    let (stack, mut app, sidecar) = Bench::prepare(options()?).await?;
    let all = [
        "daca_base",
        "daca_dapr",
        "daca_deploy",
        "daca_host",
        "daca_routing",
        "daca_runtime",
        "daca_server",
        "axum",
        "h2",
        "hyper",
        "hyper_util",
        "reqwest",
        "tonic",
        "tower",
    ];
    let all = all.map(|name| format!("{name}=trace")).join(",");
    app.program = app.program.variable("DACA_LOG", format!("info,{all}"));
    Bench::beside(stack, app, sidecar).await
}

/// Calls, events, bindings, reminders and state: each needs a token in one of the two directions.
async fn everything_works(bench: &Bench) -> anyhow::Result<()> {
    let message = json!({"role": "user", "content": "Hi"}).to_string();
    let answer = bench.direct(Method::POST, "/chat/user1", &message).await?;
    assert_eq!(answer.status, 200, "people need no token: {answer:?}");
    support::until_settled(&bench.stack, "user-chat").await?;
    support::eventually("the SMS is sent", async || {
        Ok((bench.stack.twilio.received().len() == 1).then_some(()))
    })
    .await?;
    bench.call("a", "RegisterReminder", &json!({"name": "r", "due_ms": 0})).await?;
    let get = bench.call("a", "GetReminder", &json!({"name": "none"})).await?;
    assert!(get.is_null(), "a reminder is read by the HTTP API: {get}");
    support::eventually("the reminder fires", async || {
        Ok((!bench.fired("a").await?.is_empty()).then_some(()))
    })
    .await?;
    bench.call("a", "SetState", &json!({"key": "k", "value": 1})).await.map(drop)
}

/// Callbacks without the sidecar's token.
async fn forgeries_are_refused(bench: &Bench) -> anyhow::Result<()> {
    let write = json!({"key": "k", "value": 2}).to_string();
    let callbacks = [
        (Method::PUT, "/actors/Exerciser/a/method/SetState", &*write),
        (Method::PUT, "/actors/Exerciser/a/method/remind/forged", "{}"),
        (Method::PUT, "/actors/Exerciser/a/method/timer/forged", "{}"),
        (Method::DELETE, "/actors/Exerciser/a", ""),
        (Method::GET, "/dapr/config", ""),
        (Method::GET, "/dapr/subscribe", ""),
        (Method::POST, "/subscribe", "{\"data\":{\"actor_id\":\"forged\"}}"),
    ];
    for (method, path, body) in callbacks {
        for token in [None, Some(""), Some("wrong"), Some(TO_SIDECAR)] {
            let request =
                bench.client.request(method.clone(), bench.host.app.url(path)).body(body.to_owned());
            let request = token.into_iter().fold(request, |it, token| it.header("dapr-api-token", token));
            let answer = Answer::of(request).await?;
            assert_eq!(answer.outcome(), (401, Some("app-token-refused")), "{method} {path} {token:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn with_both_tokens_everything_works_and_nobody_else_gets_in() -> anyhow::Result<()> {
    let bench = talkative().await?;
    everything_works(&bench).await?;
    forgeries_are_refused(&bench).await?;
    assert_eq!(
        bench.call("a", "GetState", &json!({"key": "k"})).await?,
        1,
        "no forged call reached the actor"
    );
    assert_eq!(bench.fired("a").await?.len(), 1, "no forged firing reached the actor");
    let ended = bench.call("a", "GetState", &json!({"key": "deactivated"})).await?;
    assert!(ended.is_null(), "no forged end reached the actor: {ended}");

    bench.host.app.process.stop().await?;
    for token in [TO_SIDECAR, TO_APP] {
        assert!(!bench.host.app.process.log_contains(token)?, "{token} is in the host's log");
        assert!(!bench.host.app.process.log_contains("forged")?);
    }
    Ok(())
}

#[tokio::test]
async fn a_host_with_a_wrong_token_is_not_ready_and_says_so() -> anyhow::Result<()> {
    let (stack, mut app, sidecar) = Bench::prepare(options()?).await?;
    app.tokens.dapr_api = Some("a-wrong-token".to_owned());
    let (app, _sidecar) = tokio::try_join!(App::start(app), Sidecar::start(sidecar))?;
    let client = client()?;
    support::eventually("the log names the token", async || {
        Ok(app.process.log_contains("does DAPR_API_TOKEN have the sidecar's token?")?.then_some(()))
    })
    .await?;
    let ready = Answer::of(client.get(app.url("/readyz"))).await?;
    assert_eq!(ready.status, 503, "{ready:?}");
    let message = json!({"role": "user", "content": "Hi"}).to_string();
    let answer = Answer::of(client.post(app.url("/chat/user1")).body(message)).await?;
    assert_eq!(answer.outcome(), (503, Some("backend-unavailable")), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    assert!(!app.process.log_contains("a-wrong-token")?);
    drop(stack);
    Ok(())
}

#[tokio::test]
async fn a_secret_comes_from_the_store_if_the_manifest_permits_it() -> anyhow::Result<()> {
    let secrets: serde_json::Value =
        serde_json::from_str(include_str!("../../../components/local/secrets.json"))?;
    let bench = Bench::start(support::exerciser("")).await?;
    let get = async |name: &str| bench.call("a", "GetSecret", &json!({"name": name})).await;
    let got = get("twilio-credentials").await?.to_string();
    for (key, value) in secrets["twilio-credentials"].as_object().into_iter().flatten() {
        assert!(got.contains(&json!(key).to_string()) && got.contains(&value.to_string()), "{key}: {got}");
    }
    assert_eq!(get("absent").await?["error"]["case"], "not-found");
    assert_eq!(get("not-permitted").await?["error"]["case"], "denied");
    let log = bench.host.app.process.log_lines()?.join("\n");
    assert!(!log.contains("not-a-real-token"), "a secret is in the log");
    Ok(())
}
