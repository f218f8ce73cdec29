//! SIGTERM and SIGINT: what runs ends well, nothing new begins, nothing is lost, and it does not take for ever.

use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::{Host, LONGER_AND_LONGER, exerciser, manifest_of, message};
use serde_json::{Value, json};

/// Waits until a host says that it shuts down, and accepts no new calls.
pub(crate) async fn until_draining(host: &Host) -> anyhow::Result<()> {
    host.wait_for_log("the shutdown", |line| line["phase"] == "draining").await.map(drop)
}

/// Waits for the last line of a host, which says whether its state is on disk.
pub(crate) async fn is_state_on_disk(host: &Host) -> anyhow::Result<bool> {
    let last = host.wait_for_log("the end", |line| line["phase"] == "stopped").await?;
    last["state_on_disk"].as_bool().with_context(|| last.to_string())
}

/// Waits until nothing else holds the host, so that its end can be awaited.
fn alone(host: Arc<Host>) -> anyhow::Result<Host> {
    Arc::try_unwrap(host).map_err(|_| anyhow::anyhow!("a call still holds the host"))
}

/// A manifest whose host waits for its turns for longer than any of them lasts.
fn patient(more: &str) -> String {
    format!("[host]\nshutdown-grace = \"50s\"\n{}{more}", exerciser(""))
}

/// Attempts it with longer and longer turns, until they run when the signal comes.
async fn until_in_time(attempt: impl AsyncFn(u64) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for ms in LONGER_AND_LONGER {
        if attempt(ms).await? {
            return Ok(());
        }
    }
    anyhow::bail!("each turn had ended before the host heard the signal")
}

#[tokio::test]
async fn running_turns_end_well_and_new_ones_are_refused() -> anyhow::Result<()> {
    for signal in ["TERM", "INT"] {
        until_in_time(async |ms| turns_end_well_after(signal, ms).await).await?;
    }
    Ok(())
}

/// Answers `false` if the turns ended too early to show anything.
async fn turns_end_well_after(signal: &str, ms: u64) -> anyhow::Result<bool> {
    let host = Arc::new(Host::start(&patient("")).await?);
    host.call("Exerciser/idle", "SetState", &json!({"key": "k", "value": 1})).await?;
    // The first turn of each: the hook's write to state commits with it.
    let slow = ["a", "b"].map(|id| host.begin(&format!("Exerciser/{id}"), "Sleep", &json!({"ms": ms})));
    for (id, slow) in ["a", "b"].into_iter().zip(&slow) {
        if !host.is_caught(&format!("Exerciser/{id}"), 0, slow).await? {
            return Ok(false);
        }
    }
    let queued = host.begin("Exerciser/a", "SetState", &json!({"key": "queued", "value": true}));
    if !host.is_caught("Exerciser/a", 1, &slow[0]).await? {
        return Ok(false);
    }
    host.signal(signal)?;
    until_draining(&host).await?;
    let late = host.invoke("Exerciser/late", "SetState", &json!({"key": "late", "value": true})).await;
    let ready = host.get("/readyz").await;
    if slow.iter().any(tokio::task::JoinHandle::is_finished) {
        return Ok(false);
    }
    assert_eq!(late?.outcome(), (503, Some("host-shutting-down")));
    // The application's port may be closed already.
    if let Ok(ready) = ready {
        assert_eq!(ready.status, 503);
    }
    for call in slow {
        assert_eq!(call.await??.status, 200, "{signal}");
    }
    // It had been accepted before the signal.
    assert_eq!(queued.await??.status, 200, "{signal}");
    let folder = host.folder();
    let mut host = alone(host)?;
    assert_eq!(host.wait().await?.code(), Some(0), "{signal}");
    assert!(is_state_on_disk(&host).await?, "{signal}");
    assert!(!host.log().iter().any(|line| line["code"] == "shutdown-incomplete"), "{signal}");
    drop(host);

    let host = Host::start_in(folder, &exerciser("")).await?;
    let hooks = json!({"keys": ["activations", "deactivated"]});
    for id in ["a", "b", "idle"] {
        let counts = host.call(&format!("Exerciser/{id}"), "GetMany", &hooks).await?;
        assert_eq!(counts, json!([2, 1]), "{id} was deactivated once, {signal}");
    }
    assert_eq!(host.call("Exerciser/idle", "GetState", &json!({"key": "k"})).await?, json!(1));
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "queued"})).await?, json!(true));
    assert_eq!(host.call("Exerciser/late", "GetState", &json!({"key": "late"})).await?, Value::Null);
    Ok(true)
}

#[tokio::test]
async fn turns_that_run_may_still_call_other_actors() -> anyhow::Result<()> {
    until_in_time(async |ms| {
        let host = Arc::new(Host::start(&patient("")).await?);
        let set = json!({"type": "Exerciser", "id": "c", "method": "SetState", "payload": {"key": "k", "value": 1}});
        // The call of b waits until b has slept; only then does b call c.
        let slow = host.begin("Exerciser/b", "Sleep", &json!({"ms": ms}));
        if !host.is_caught("Exerciser/b", 0, &slow).await? {
            return Ok(false);
        }
        let chain = json!({"type": "Exerciser", "id": "b", "method": "CallActor", "payload": set});
        let chain = host.begin("Exerciser/a", "CallActor", &chain);
        if !host.is_caught("Exerciser/b", 1, &slow).await? {
            return Ok(false);
        }
        host.signal("TERM")?;
        until_draining(&host).await?;
        if slow.is_finished() {
            return Ok(false);
        }
        let answer = chain.await??;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &Value::Null), "{answer:?}");
        assert_eq!(slow.await??.status, 200);
        let folder = host.folder();
        let mut host = alone(host)?;
        assert_eq!(host.wait().await?.code(), Some(0));
        drop(host);
        let host = Host::start_in(folder, &exerciser("")).await?;
        assert_eq!(host.call("Exerciser/c", "GetState", &json!({"key": "k"})).await?, json!(1));
        Ok(true)
    })
    .await
}

#[tokio::test]
async fn effects_are_delivered_before_the_end() -> anyhow::Result<()> {
    let subscription = "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"set\"
path = \"/set\"
agent = \"Sink\"
call = \"SetState\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";
    let sink = manifest_of("Sink", "exerciser", "limits = { queue = 1 }");
    let manifest = patient(&(sink + subscription));
    until_in_time(async |ms| effects_are_delivered_after(&manifest, ms).await).await
}

/// Answers `false` if the taker was free too early to show anything.
async fn effects_are_delivered_after(manifest: &str, ms: u64) -> anyhow::Result<bool> {
    let host = Arc::new(Host::start(manifest).await?);
    // The taker is busy and its queue is full, so that its events wait for another try when the last turn has ended.
    let slow = host.begin("Sink/s", "Sleep", &json!({"ms": ms}));
    if !host.is_caught("Sink/s", 0, &slow).await? {
        return Ok(false);
    }
    let queued = host.begin("Sink/s", "Echo", &json!(1));
    if !host.is_caught("Sink/s", 1, &slow).await? {
        return Ok(false);
    }
    for n in 0..3 {
        let payload = json!({"key": format!("k{n}"), "value": n});
        let event = json!({
            "pubsub": "daca-pubsub", "topic": "set", "event": {"to": "s", "payload": payload},
            "delivered": format!("k{n} is delivered"), "undeliverable": "lost",
        });
        host.call("Exerciser/a", "Publish", &event).await?;
    }
    host.signal("TERM")?;
    until_draining(&host).await?;
    if slow.is_finished() {
        return Ok(false);
    }
    assert_eq!((slow.await??.status.as_u16(), queued.await??.status.as_u16()), (200, 200));
    let folder = host.folder();
    let mut host = alone(host)?;
    assert_eq!(host.wait().await?.code(), Some(0));
    // By this host: the next one would deliver what is left.
    for n in 0..3 {
        host.wait_for_message(&format!("k{n} is delivered")).await?;
    }
    drop(host);
    let host = Host::start_in(folder, manifest).await?;
    let keys = json!({"keys": ["k0", "k1", "k2"]});
    assert_eq!(host.call("Sink/s", "GetMany", &keys).await?, json!([0, 1, 2]));
    Ok(true)
}

#[tokio::test]
async fn the_grace_is_an_end() -> anyhow::Result<()> {
    let limits = "limits = { turn-time = \"10m\", running-time = \"10m\" }";
    for (method, ms) in [("Sleep", 300_000), ("Spin", 300_000)] {
        let manifest = exerciser(limits) + "[host]\nshutdown-grace = \"300ms\"\n";
        let host = Arc::new(Host::start(&manifest).await?);
        host.call("Exerciser/a", "SetState", &json!({"key": "k", "value": 1})).await?;
        let endless = host.begin("Exerciser/b", method, &json!({"ms": ms}));
        host.until_busy("Exerciser/b", 0).await?;
        host.signal("TERM")?;
        host.wait_for_log("the warning", |line| line["code"] == "shutdown-incomplete").await?;
        assert!(!endless.await?.is_ok_and(|answer| answer.status == 200), "it cannot have ended well");
        let folder = host.folder();
        let mut host = alone(host)?;
        assert_eq!(host.wait().await?.code(), Some(0), "{method}");
        drop(host);
        let host = Host::start_in(folder, &manifest).await?;
        assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "k"})).await?, json!(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() -> anyhow::Result<()> {
    let manifest = exerciser("limits = { turn-time = \"10m\" }") + "[host]\nshutdown-grace = \"10m\"\n";
    let host = Arc::new(Host::start(&manifest).await?);
    let endless = host.begin("Exerciser/a", "Sleep", &json!({"ms": 300_000}));
    host.until_busy("Exerciser/a", 0).await?;
    host.signal("INT")?;
    until_draining(&host).await?;
    // One that comes with the first does not count.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    host.signal("INT")?;
    assert!(!endless.await?.is_ok_and(|answer| answer.status == 200));
    let mut host = alone(host)?;
    assert_eq!(host.wait().await?.code(), Some(130));
    Ok(())
}

#[tokio::test]
async fn a_hook_that_misbehaves_does_not_hold_up_the_end() -> anyhow::Result<()> {
    let limits = "limits = { running-time = \"200ms\" }";
    let manifest = [
        manifest_of("Loops", "loops", &format!("{limits}\nsettings = {{ loop-in-deactivate = \"yes\" }}")),
        manifest_of("Panics", "panics", "settings = { panic-in-deactivate = \"yes\" }"),
        patient(""),
    ];
    let host = Host::start(&manifest.concat()).await?;
    for actor in ["Loops/a", "Panics/a"] {
        assert_eq!(host.call(actor, "Fine", &Value::Null).await?, Value::Null);
    }
    host.call("Exerciser/a", "Echo", &json!(1)).await?;
    let folder = host.folder();
    host.signal("TERM")?;
    for code in ["running-time-exceeded", "guest-trapped"] {
        let is_it = |line: &Value| line["code"] == code && message(line).contains("deactivate");
        host.wait_for_log("the hook that failed", is_it).await?;
    }
    let mut host = host;
    assert_eq!(host.wait().await?.code(), Some(0));
    drop(host);
    let host = Host::start_in(folder, &exerciser("")).await?;
    assert_eq!(host.call("Exerciser/a", "GetState", &json!({"key": "deactivated"})).await?, json!(1));
    Ok(())
}
