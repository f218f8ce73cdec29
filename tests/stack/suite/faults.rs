//! Servers that stop, hang and come back in the middle of the work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use daca_stack::{App, Behaviour, Sidecar, Stack};
use daca_tests::{client, ports};
use serde_json::{Value, json};

use crate::support::{self, Chat, eventually, ledger_manifest, numbered};

const ACTORS: u64 = 50;
/// Messages for each actor in each of the parts between which something stops.
const EACH: u64 = 5;
/// The fields of the line about an effect that is given up.
const DROPPED: &[(&str, &str)] = &[("code", "effect-given-up")];

#[tokio::test]
async fn no_message_is_lost_and_none_counts_twice_while_servers_stop_and_start() -> anyhow::Result<()> {
    let chat = Chat::start_with(1, &ledger_manifest("event sms", "")).await?;
    let sidecar = &chat.hosts[0].sidecar;
    let kafka = chat.stack.kafka.as_ref().expect("the stack has Kafka");

    produce_part(&chat, 0).await?;
    tokio::try_join!(produce_part(&chat, 1), async {
        chat.until_entries("actor-0", 6).await?;
        chat.stack.redis.process.stop().await?;
        // A message that is to be redelivered; dead letters would be found below.
        chat.until_with(&[("level", "WARN"), ("binding", "kafka-binding")]).await?;
        chat.stack.redis.start_again().await
    })?;
    tokio::try_join!(produce_part(&chat, 2), async {
        chat.until_entries("actor-0", 11).await?;
        sidecar.process.kill()?;
        sidecar.start_again().await
    })?;
    tokio::try_join!(produce_part(&chat, 3), async {
        chat.until_entries("actor-0", 16).await?;
        kafka.process.stop().await?;
        kafka.start_again().await
    })?;

    let expected = (0..4 * EACH).collect::<Vec<_>>();
    let mut wrong = BTreeMap::new();
    for actor in 0..ACTORS {
        let actor = format!("actor-{actor}");
        let entries = chat.until_entries(&actor, expected.len()).await?;
        if entries != expected {
            wrong.insert(actor, entries);
        }
    }
    chat.until_committed().await?;
    assert_eq!(wrong, BTreeMap::new());
    every_sms_was_sent(&chat, 4 * EACH).await?;
    assert_eq!(chat.dead_letters().await?, Vec::<Value>::new());
    assert_eq!(chat.count_with(DROPPED)?, 0);
    Ok(())
}

async fn produce_part(chat: &Chat, part: u64) -> anyhow::Result<()> {
    for number in part * EACH..(part + 1) * EACH {
        let all = (0..ACTORS).map(|actor| async move {
            let actor = format!("actor-{actor}");
            chat.produce(Some(&actor), &numbered(&actor, number)).await
        });
        futures::future::try_join_all(all).await?;
    }
    Ok(())
}

/// An SMS whose answer was lost is sent again; none is missing.
async fn every_sms_was_sent(chat: &Chat, each: u64) -> anyhow::Result<()> {
    let expected =
        (0..ACTORS).flat_map(|actor| (0..each).map(move |number| format!("actor-{actor} {number}")));
    let expected = expected.collect::<BTreeSet<_>>();
    eventually("every SMS is sent", async || {
        let sent = chat.stack.twilio.received().into_iter().map(|sms| sms.body).collect::<BTreeSet<_>>();
        Ok(expected.is_subset(&sent).then_some(()))
    })
    .await?;
    println!("{} SMS were tried for {} that were needed", chat.stack.twilio.received().len(), expected.len());
    Ok(())
}

#[tokio::test]
async fn a_twilio_that_fails_or_hangs_holds_up_no_turn_and_gets_every_sms_later() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 1, &ledger_manifest("sms", "")).await?;
    let twilio = &chat.stack.twilio;
    let add = async |actor: &str, number: u64| {
        chat.post(&format!("/ledger/{actor}"), &json!({"number": number})).await
    };

    for (number, behaviour) in (0..).zip([Behaviour::Answer(500), Behaviour::Answer(429), Behaviour::Never]) {
        twilio.behave(behaviour);
        for actor in ["a", "b"] {
            // Twilio takes none of them: a turn that waited for its SMS would not be answered.
            assert_eq!(add(actor, number).await?.0, 200, "{behaviour:?}");
        }
        let tries = twilio.received().len();
        eventually("the SMS are tried again", async || {
            Ok((twilio.received().len() > tries + 2).then_some(()))
        })
        .await?;
    }
    twilio.behave(Behaviour::Accept);
    twilio.forget();
    // The first of each actor may have been under way when it changed.
    for actor in ["a", "b"] {
        eventually(&format!("the last SMS of {actor}"), async || {
            let sent = twilio.received();
            Ok(sent.iter().any(|sms| sms.body == format!("{actor} 2")).then_some(()))
        })
        .await?;
        let sent =
            twilio.received().iter().filter(|sms| sms.body.starts_with(actor)).cloned().collect::<Vec<_>>();
        let bodies = sent.iter().map(|sms| &*sms.body).collect::<Vec<_>>();
        assert!(bodies.is_sorted(), "{bodies:?}");
    }
    assert_eq!(chat.count_with(DROPPED)?, 0);

    // What is refused is given up at once, and logged.
    twilio.behave(Behaviour::Answer(400));
    assert_eq!(add("c", 0).await?.0, 200);
    chat.until_with(DROPPED).await
}

/// Nobody calls their actors again: the host's reminder wakes them on the host that is left.
#[tokio::test]
async fn sms_that_wait_when_their_host_is_killed_leave_from_another_one() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 2, &ledger_manifest("sms", "")).await?;
    let twilio = &chat.stack.twilio;
    twilio.behave(Behaviour::Never);
    for actor in 0..20 {
        let number = json!({"number": 7});
        assert_eq!(chat.post(&format!("/ledger/actor-{actor}"), &number).await?.0, 200);
    }
    assert!(!chat.active(1).await?.is_empty(), "the host that is killed has actors");
    chat.hosts[1].app.process.kill()?;
    chat.hosts[1].sidecar.process.kill()?;
    twilio.behave(Behaviour::Accept);
    twilio.forget();
    let expected = (0..20).map(|actor| format!("actor-{actor} 7")).collect::<BTreeSet<_>>();
    eventually("every SMS is sent", async || {
        let sent = twilio.received().into_iter().map(|sms| sms.body).collect::<BTreeSet<_>>();
        Ok(expected.is_subset(&sent).then_some(()))
    })
    .await?;
    assert_eq!(chat.count_with(DROPPED)?, 0);
    Ok(())
}

/// Tells the actor `x` a number. Answers the status, the code of an error, and how long it took.
async fn add_timed(
    client: &reqwest::Client,
    app: &App,
    number: u64,
) -> anyhow::Result<(u16, String, Duration)> {
    let start = Instant::now();
    let body = json!({"number": number}).to_string();
    let answer = client.post(app.url("/ledger/x")).body(body).send().await?;
    let code = answer.headers().get("daca-error").and_then(|code| code.to_str().ok()).unwrap_or_default();
    Ok((answer.status().as_u16(), code.to_owned(), start.elapsed()))
}

async fn until_unready(client: &reqwest::Client, app: &App) -> anyhow::Result<()> {
    eventually("the host is not ready", async || {
        Ok((client.get(app.url("/readyz")).send().await?.status() == 503).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_host_waits_for_its_sidecar_aloud_and_answers_at_once_while_it_is_away() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let stack = Stack::start(options).await?;
    let manifest = stack.folder.join("agents.toml");
    std::fs::write(&manifest, ledger_manifest("", ""))?;
    let sidecar = stack.sidecar_options("sidecar", ports::free()?)?;
    let app = App::start(stack.app_options("host", &manifest, &sidecar)?).await?;
    let client = client()?;
    let add = async |number: u64| add_timed(&client, &app, number).await;
    let refused = async |number| -> anyhow::Result<()> {
        // A first call may still be sent on the connection that was just lost, so that it is not known what became of it.
        eventually("calls are refused before they are sent", async || {
            let (status, code, time) = add(number).await?;
            anyhow::ensure!(status == 503, "{status} {code}");
            // Some five seconds are its timeout for a sidecar that hangs. On a busy machine a single one may take longer.
            Ok((code == "not-done" && time < Duration::from_secs(20)).then_some(()))
        })
        .await?;
        assert_eq!(client.get(app.url("/readyz")).send().await?.status(), 503);
        Ok(())
    };
    let accepted = async |number| {
        eventually("the host is ready", async || {
            Ok(client.get(app.url("/readyz")).send().await?.status().is_success().then_some(()))
        })
        .await?;
        eventually("calls are answered", async || Ok((add(number).await?.0 == 200).then_some(()))).await
    };

    refused(1).await?;
    let said = |level: &str| support::lines_with(&app, &[("level", level), ("code", "sidecar-unavailable")]);
    // At the start it is no reason for a warning.
    eventually("the log says so", async || Ok((said("INFO")? > 0).then_some(()))).await?;
    let sidecar = Sidecar::start(sidecar).await?;
    accepted(2).await?;
    for number in [3, 5] {
        let warnings = said("WARN")?;
        sidecar.process.kill()?;
        until_unready(&client, &app).await?;
        refused(number).await?;
        eventually("the log warns of it", async || Ok((said("WARN")? > warnings).then_some(()))).await?;
        sidecar.start_again().await?;
        let start = Instant::now();
        accepted(number + 1).await?;
        println!("calls are answered {:?} after the sidecar's API", start.elapsed());
    }
    // It hangs: its port takes connections, and nothing comes back. Then it counts as gone.
    sidecar.process.pause()?;
    until_unready(&client, &app).await?;
    refused(7).await?;
    sidecar.process.resume()?;
    accepted(8).await?;
    let entries: Value = client.get(app.url("/ledger/x")).send().await?.json().await?;
    assert_eq!(entries, json!({"entries": [2, 4, 6, 8]}));
    Ok(())
}

/// The variable makes the host believe that it runs in a pod, where the kubelet starts again what ends.
#[tokio::test]
async fn a_sidecar_without_a_state_store_keeps_the_host_unready_until_it_has_one() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let stack = Stack::start(options).await?;
    let manifest = stack.folder.join("agents.toml");
    std::fs::write(&manifest, ledger_manifest("", ""))?;
    let store = stack.resources.join("statestore.yaml");
    let away = stack.folder.join("statestore.yaml");
    std::fs::rename(&store, &away)?;
    let options = stack.sidecar_options("sidecar", ports::free()?)?;
    let mut app = stack.app_options("host", &manifest, &options)?;
    app.program = app.program.variable("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let (app, sidecar) = tokio::try_join!(App::start(app), Sidecar::start(options))?;
    eventually("the host says so", async || {
        let lines = support::lines_with(&app, &[("level", "WARN"), ("code", "sidecar-unavailable")])?;
        Ok((lines > 0).then_some(()))
    })
    .await?;
    let client = client()?;
    assert_eq!(client.get(app.url("/readyz")).send().await?.status(), 503);
    eventually("the sidecar is ended", async || Ok((!sidecar.process.is_running()).then_some(()))).await?;

    std::fs::rename(&away, &store)?;
    sidecar.start_again().await?;
    app.wait_ready().await?;
    eventually("calls are answered", async || {
        let call = client.post(app.url("/ledger/x")).body(json!({"number": 1}).to_string());
        Ok((call.send().await?.status() == 200).then_some(()))
    })
    .await
}
