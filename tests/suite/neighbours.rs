//! Agent types share the processors: one that takes all it can get neither stops the others nor slows them down much.

use std::num::NonZeroUsize;
use std::sync::Arc;

use daca_tests::{Answer, Host, eventually, exerciser, manifest_of, metrics};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Loops for each processor: more than there are threads for guests.
const FOR_EACH: usize = 4;

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// A type whose actors loop for so many seconds of a processor.
fn loops(agent_type: &str, seconds: &str, more: &str) -> String {
    let limits = format!("{more}\nlimits = {{ running-time = \"{seconds}\", turn-time = \"50s\" }}");
    manifest_of(agent_type, "loops", &limits)
}

/// The calls of actors that loop.
type Loops = Vec<JoinHandle<anyhow::Result<Answer>>>;

/// Has so many actors of a type loop.
fn begin(host: &Arc<Host>, agent_type: &str, actors: usize) -> Loops {
    (0..actors).map(|number| host.begin(&format!("{agent_type}/{number}"), "Loop", &Value::Null)).collect()
}

/// The processor seconds of a type.
async fn used(host: &Host, agent_type: &str) -> anyhow::Result<f64> {
    let page = host.get_admin("/metrics").await?.body;
    let is_of_type = |line: &str| line.contains(&format!("{{agent_type=\"{agent_type}\"}}"));
    Ok(metrics::sum(page.as_str().unwrap_or_default(), &["daca_processor_seconds_total"], is_of_type))
}

#[tokio::test]
async fn every_call_is_answered_while_actors_of_another_type_loop() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&(loops("Loops", "1s", "") + &exerciser(""))).await?);
    let actors = FOR_EACH * processors();
    let calls = begin(&host, "Loops", actors);
    let mut rounds = 0;
    while rounds < 10 || calls.iter().any(|call| !call.is_finished()) {
        let answer = host.invoke("Exerciser/a", "Echo", &json!(rounds)).await?;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!(rounds)), "{answer:?}");
        assert_eq!(host.get("/healthz").await?.status, 200);
        rounds += 1;
    }
    for call in calls {
        assert_eq!(call.await??.outcome(), (500, Some("running-time-exceeded")));
    }
    // Each loop has had its second.
    assert!(used(&host, "Loops").await? > 0.9 * actors as f64);
    let runnable = "daca_runnable_turns{agent_type=\"Loops\"} 0";
    let page = host.get_admin("/metrics").await?.body;
    assert!(page.as_str().is_some_and(|page| page.lines().any(|line| line == runnable)), "{page}");
    Ok(())
}

/// The processors are shared between types, and not between turns.
#[tokio::test]
async fn many_turns_of_a_light_type_get_less_time_than_a_few_of_a_heavy_one() -> anyhow::Result<()> {
    let types = loops("Light", "40s", "") + &loops("Heavy", "2s", "weight = 2");
    let host = Arc::new(Host::start(&types).await?);
    let many = begin(&host, "Light", FOR_EACH * processors());
    for number in 0..many.len() {
        host.until_busy(&format!("Light/{number}"), 0).await?;
    }
    let before = used(&host, "Light").await?;
    for call in begin(&host, "Heavy", processors()) {
        assert_eq!(call.await??.outcome(), (500, Some("running-time-exceeded")));
    }
    let [light, heavy] = [used(&host, "Light").await? - before, used(&host, "Heavy").await?];
    // By the turns it would be four times as much; by the weights it is half, and the rest are the moments in which the
    // light type was alone.
    assert!(light < heavy, "{light} and {heavy} processor seconds");
    assert!(light > 0.0 && many.iter().all(|call| !call.is_finished()), "{light} processor seconds");
    many.iter().for_each(JoinHandle::abort);
    Ok(())
}

/// The first of the actors that use most.
async fn first_actor(host: &Host, query: &str) -> anyhow::Result<Value> {
    Ok(host.get_admin(&format!("/top?{query}")).await?.body["actors"][0].clone())
}

#[tokio::test]
async fn the_actor_that_uses_most_is_the_first_of_all_actors() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&(loops("Loops", "45s", "") + &exerciser(""))).await?);
    for number in 0..20 {
        host.call(&format!("Exerciser/{}", number % 5), "Echo", &json!(number)).await?;
    }
    let spins = begin(&host, "Loops", 1);
    host.until_busy("Loops/0", 0).await?;
    let waits = host.begin("Loops/0", "Fine", &Value::Null);
    host.until_busy("Loops/0", 1).await?;
    eventually("it has used most", async || {
        let first = first_actor(&host, "").await?;
        // It has an instance, although that is with the turn.
        let uses = [&first["lately"]["processor_ms"], &first["memory"]];
        Ok((&first["agent_type"], &first["actor_id"]) == (&json!("Loops"), &json!("0"))
            && uses.iter().all(|used| used.as_u64() > Some(0)))
    })
    .await?;
    let queued = first_actor(&host, "by=queued").await?;
    assert_eq!((&queued["actor_id"], &queued["queued"]), (&json!("0"), &json!(1)), "{queued}");
    let line = json!({"level": "info", "message": "x".repeat(5_000)});
    host.call("Exerciser/logs", "Log", &line).await?;
    let logs = first_actor(&host, "type=Exerciser&by=log-bytes").await?;
    assert_eq!(logs["actor_id"], "logs", "{logs}");
    assert!(logs["total"]["log_bytes"].as_u64() > Some(5_000), "{logs}");
    for call in spins.iter().chain([&waits]) {
        call.abort();
    }
    Ok(())
}
