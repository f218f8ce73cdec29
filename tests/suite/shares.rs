//! Neighbours: what one agent type may have of what all types use, and how often a caller may call.

use std::sync::Arc;

use daca_tests::{Ended, Host, eventually, exerciser, manifest_of, metrics, run_in, until_released};
use serde_json::json;
use tempfile::TempDir;

/// Two types with the same agent.
fn neighbours(more: &str) -> String {
    manifest_of("Hog", "exerciser", "") + &manifest_of("Neighbour", "exerciser", "") + more
}

#[tokio::test]
async fn a_type_with_all_that_it_may_have_is_told_so_and_its_neighbour_is_served() -> anyhow::Result<()> {
    let host = Arc::new(Host::start(&neighbours("[host]\nmax-turns-in-flight = 16\n")).await?);
    // The floor of each type is two turns: an eighth of all.
    let hog = (0..14).map(|number| format!("Hog/{number}")).collect::<Vec<_>>();
    let _slow =
        hog.iter().map(|actor| host.begin(actor, "Sleep", &json!({"ms": 25_000}))).collect::<Vec<_>>();
    for actor in &hog {
        host.until_busy(actor, 0).await?;
    }
    let refused = host.invoke("Hog/more", "Echo", &json!(1)).await?;
    assert_eq!(refused.outcome(), (503, Some("share-exceeded")), "{refused:?}");
    assert_eq!(host.call("Neighbour/a", "Echo", &json!(2)).await?, json!(2));
    let line = host.wait_for_log("the share", |line| line["code"] == "share-exceeded").await?;
    assert_eq!((&line["agent_type"], &line["pool"]), (&json!("Hog"), &json!("turns in flight")), "{line}");
    eventually("the type is shown as held back", async || {
        host.invoke("Hog/more", "Echo", &json!(1)).await?;
        let top = host.get_admin("/top?actors=1").await?.body;
        assert_eq!(top["actors"].as_array().map(Vec::len), Some(1), "{top}");
        Ok(top["types"][0]["held_back"] == json!(["turns in flight"])
            && top["types"][1]["held_back"] == json!([]))
    })
    .await?;
    let metrics = host.get_admin("/metrics").await?.body;
    let metrics = metrics.as_str().unwrap_or_default();
    for expected in [
        "daca_pool_share{agent_type=\"Hog\",pool=\"turns in flight\"} 8",
        "daca_pool_held_back_total{agent_type=\"Neighbour\",pool=\"turns in flight\"} 0",
        "daca_agent_active_actors{agent_type=\"Neighbour\"} 1",
    ] {
        assert!(metrics.contains(expected), "{expected} is not in {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn top_shows_one_page_if_nobody_sits_at_a_terminal() -> anyhow::Result<()> {
    let host = Host::start(&neighbours("")).await?;
    host.call("Hog/a", "Echo", &json!(1)).await?;
    let (folder, admin) = (TempDir::new()?, host.admin.trim_start_matches("http://").to_owned());
    let Ended { code, stdout, stderr } = run_in(folder.path(), ["top", "--admin", &admin]).await?;
    assert_eq!(code, Some(0), "{stderr}");
    let first = stdout.lines().map(|line| line.split_whitespace().next().unwrap_or_default());
    assert_eq!(first.collect::<Vec<_>>(), ["TYPE", "Hog", "Neighbour", "", "ACTOR", "Hog/a"], "{stdout}");
    Ok(())
}

#[tokio::test]
async fn the_requests_of_each_type_count_until_they_are_answered() -> anyhow::Result<()> {
    let route = r#"
[[routes]]
method = "POST"
path = "/wait/{id}"
agent = "Exerciser"
call = "WaitFor"
actor-id = { path = "id" }
"#;
    let types = manifest_of("Other", "plain", "") + &exerciser("limits = { turn-time = \"5m\" }");
    let host = Arc::new(Host::start(&(types + route)).await?);
    let in_flight = async |agent_type: &str| {
        let page = host.get_admin("/metrics").await?.body;
        let is_of_type = |line: &str| line.contains(&format!("{{agent_type=\"{agent_type}\"}}"));
        let names = ["daca_agent_requests_in_flight"];
        anyhow::Ok(metrics::sum(page.as_str().unwrap_or_default(), &names, is_of_type))
    };
    let waits = {
        let host = host.clone();
        tokio::spawn(async move { host.post("/wait/a", &until_released("Exerciser/a")).await })
    };
    eventually("the request is counted", async || Ok(in_flight("Exerciser").await? == 1.0)).await?;
    assert_eq!(in_flight("Other").await?, 0.0);
    host.release("Exerciser/a").await?;
    let answer = waits.await??;
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("no request is left", async || Ok(in_flight("Exerciser").await? == 0.0)).await
}

#[tokio::test]
async fn a_caller_beyond_its_rate_is_answered_429_and_others_are_served() -> anyhow::Result<()> {
    let route = r#"
[[routes]]
method = "POST"
path = "/echo/{id}"
agent = "Exerciser"
call = "Echo"
actor-id = { path = "id" }
rate = "3/h"
"#;
    let host = Host::start(&(exerciser("") + route)).await?;
    for left in [2, 1, 0] {
        let answer = host.post("/echo/a", &json!(left)).await?;
        assert_eq!(answer.outcome(), (200, None), "{answer:?}");
        assert_eq!(answer.headers["ratelimit-policy"], "\"actor\";q=3;w=3600");
        let limit = answer.headers["ratelimit"].to_str()?;
        assert!(limit.starts_with(&format!("\"actor\";r={left};t=")), "{limit}");
    }
    let refused = host.post("/echo/a", &json!(4)).await?;
    assert_eq!(refused.outcome(), (429, Some("rate-exceeded")), "{refused:?}");
    let wait = refused.headers["retry-after"].to_str()?.parse::<u64>()?;
    assert!((1_000..=1_200).contains(&wait), "a third of an hour, and not {wait} s");
    assert_eq!(host.post("/echo/b", &json!(1)).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_types_of_a_host_share_the_disk() -> anyhow::Result<()> {
    let host = Host::start(&neighbours("[host]\nstorage = \"200KiB\"\n")).await?;
    let set = async |actor: &str, bytes: usize| {
        host.invoke(actor, "SetState", &json!({"key": "k", "value": "x".repeat(bytes)})).await
    };
    for actor in ["Hog/a", "Hog/b"] {
        assert_eq!(set(actor, 60_000).await?.outcome(), (200, None));
    }
    // The floor of each type is 25 KiB: an eighth.
    let refused = set("Hog/c", 60_000).await?;
    assert_eq!(refused.outcome(), (507, Some("storage-exceeded")), "{refused:?}");
    assert_eq!(set("Neighbour/a", 20_000).await?.outcome(), (200, None));
    let metrics = host.get_admin("/metrics").await?.body;
    let expected = "daca_pool_held_back_total{agent_type=\"Hog\",pool=\"bytes on disk\"} 1";
    assert!(metrics.as_str().is_some_and(|metrics| metrics.contains(expected)), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn a_type_has_a_bound_on_disk_and_an_actor_one_of_registrations() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("storage = \"100KiB\"\nlimits = { registrations = 2 }")).await?;
    let set = async |id: &str, bytes: usize| {
        let value = json!({"key": "k", "value": "x".repeat(bytes)});
        Ok::<_, anyhow::Error>(
            host.invoke(&format!("Exerciser/{id}"), "SetState", &value).await?.status.as_u16(),
        )
    };
    assert_eq!((set("a", 60_000).await?, set("b", 60_000).await?), (200, 507), "all actors together");
    assert_eq!((set("a", 10).await?, set("b", 60_000).await?), (200, 200), "there is room again");
    let register = async |name: &str| {
        let hour = json!({"name": name, "due_ms": 3_600_000});
        host.invoke("Exerciser/c", "RegisterReminder", &hour).await
    };
    for name in ["1", "2", "2"] {
        assert_eq!(register(name).await?.status, 200);
    }
    assert_eq!(register("3").await?.outcome(), (507, Some("registrations-exceeded")));
    Ok(())
}
