//! The log of a host, read through its admin port.

use std::process::Stdio;

use daca_tests::{Host, TIMEOUT, daca, eventually, manifest_of, message, run_in};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::shutdown::is_state_on_disk;

/// A host with agents of two types, each of which has logged.
async fn host_with_logs() -> anyhow::Result<Host> {
    let host =
        Host::start(&(manifest_of("Exerciser", "exerciser", "") + &manifest_of("Other", "exerciser", "")))
            .await?;
    for actor in ["Exerciser/a", "Exerciser/b", "Other/a"] {
        log(&host, actor, &format!("from {actor}")).await?;
    }
    Ok(host)
}

async fn log(host: &Host, actor: &str, text: &str) -> anyhow::Result<()> {
    host.call(actor, "Log", &json!({"level": "info", "message": text})).await.map(drop)
}

/// The lines of an answer of `GET /logs`.
async fn lines(host: &Host, query: &str) -> anyhow::Result<Vec<Value>> {
    let answer = host.get_admin(&format!("/logs{query}")).await?;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let text = answer.body.as_str().map_or_else(|| answer.body.to_string(), str::to_owned);
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// What agents themselves have logged.
async fn messages(host: &Host, query: &str) -> anyhow::Result<Vec<String>> {
    let lines = lines(host, query).await?;
    let of_agents = lines.iter().filter(|line| line["target"] == "agent");
    Ok(of_agents.map(|line| message(line).to_owned()).collect())
}

#[tokio::test]
async fn an_actor_s_lines_are_found_among_all() -> anyhow::Result<()> {
    let host = host_with_logs().await?;
    assert_eq!(messages(&host, "?type=Exerciser").await?, ["from Exerciser/a", "from Exerciser/b"]);
    assert_eq!(messages(&host, "?type=Other&id=a").await?, ["from Other/a"]);
    assert_eq!(messages(&host, "?type=Other&id=b").await?, [""; 0]);
    assert_eq!(messages(&host, "?type=Exerciser&limit=1").await?, ["from Exerciser/b"]);
    // All of it, in the form of the log on standard error.
    let all = lines(&host, "").await?;
    assert!(all.iter().any(|line| message(line).starts_with("ready:")), "{all:?}");
    eventually("standard error is read", async || Ok(host.log().len() >= all.len())).await?;
    assert_eq!(all, host.log()[..all.len()]);

    for (query, status, code) in [
        ("?type=Nobody", 404, "agent-type-unknown"),
        ("?id=a", 400, "query-invalid"),
        ("?limit=many", 400, "query-invalid"),
        ("?agent=Other", 400, "query-invalid"),
    ] {
        let answer = host.get_admin(&format!("/logs{query}")).await?;
        assert_eq!(answer.outcome(), (status, Some(code)), "{query}");
    }
    Ok(())
}

/// Reads what follows until a text is in it.
async fn read_until(response: reqwest::Response, text: &str) -> anyhow::Result<reqwest::Response> {
    let mut response = response;
    let mut all = String::new();
    while !all.contains(text) {
        match tokio::time::timeout(TIMEOUT, response.chunk()).await?? {
            Some(chunk) => all.push_str(&String::from_utf8_lossy(&chunk)),
            None => anyhow::bail!("{text:?} did not come, but: {all}"),
        }
    }
    Ok(response)
}

#[tokio::test]
async fn who_follows_sees_what_comes_and_holds_up_no_shutdown() -> anyhow::Result<()> {
    let host = host_with_logs().await?;
    let url = format!("{}/logs?type=Exerciser&id=a&follow=true", host.admin);
    let response = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?;
    let response = read_until(response, "from Exerciser/a").await?;
    log(&host, "Exerciser/b", "not wanted").await?;
    log(&host, "Exerciser/a", "wanted").await?;
    let mut response = read_until(response, "wanted").await?;

    // One that does not read must not hold it up either.
    let url = format!("{}/logs?follow=true", host.admin);
    let _deaf = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?;
    let before = host.log().len();
    host.signal("TERM")?;
    while tokio::time::timeout(TIMEOUT, response.chunk()).await??.is_some() {}
    let mut host = host;
    assert_eq!(host.wait().await?.code(), Some(0));
    assert!(is_state_on_disk(&host).await?);
    // The last answers have a tenth of a second, which a busy machine may not have.
    let is_late = |line: &Value| message(line).starts_with("some connections did not end");
    let lines = host.log().into_iter().skip(before);
    let warnings = lines.filter(|line| line["level"] != "INFO" && !is_late(line));
    assert_eq!(warnings.collect::<Vec<_>>(), Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn followers_are_bounded_and_one_that_leaves_makes_room() -> anyhow::Result<()> {
    let host = host_with_logs().await?;
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
    let follow =
        async || Ok::<_, anyhow::Error>(client.get(format!("{}/logs?follow=true", host.admin)).send().await?);
    let mut followers = futures::stream::iter(0..16).then(|_| follow()).collect::<Vec<_>>().await;
    for follower in &followers {
        assert_eq!(follower.as_ref().map(|response| response.status().as_u16()).unwrap_or(0), 200);
    }
    let refused = host.get_admin("/logs?follow=true").await?;
    assert_eq!(refused.outcome(), (429, Some("log-followers-exceeded")));
    // Who does not follow needs no place.
    assert_eq!(host.get_admin("/logs").await?.status, 200);
    followers.pop();
    eventually("a place is free", async || Ok(follow().await?.status() == 200)).await
}

#[tokio::test]
async fn the_command_tells_people_and_programs() -> anyhow::Result<()> {
    let host = host_with_logs().await?;
    let folder = host.folder();
    let admin = host.admin.trim_start_matches("http://").to_owned();
    let logs =
        async |rest: &[&str]| run_in(folder.path(), [&["logs", "--admin", &admin][..], rest].concat()).await;
    let text = logs(&["Exerciser/b"]).await?;
    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    let line = &lines(&host, "?type=Exerciser&id=b").await?[0];
    let field = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!(
        "{}  INFO Exerciser/b {} {} from Exerciser/b\n",
        field(&line["timestamp"]),
        field(&line["span"]["turn"]),
        field(&line["span"]["component"])
    );
    assert_eq!(text.stdout, expected);
    let json = logs(&["Exerciser", "--json", "--limit", "1"]).await?;
    assert_eq!(&serde_json::from_str::<Value>(&json.stdout)?, line);
    let unknown = logs(&["Nobody"]).await?;
    assert!(
        unknown.code == Some(1) && unknown.stderr.starts_with("error[agent-type-unknown]"),
        "{unknown:?}"
    );

    // It follows until the host ends, and says that it has.
    let mut child = tokio::process::Command::new(daca())
        .args(["logs", "Exerciser/a", "-f", "--admin", &admin])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or_else(|| anyhow::anyhow!("no stdout"))?;
    let mut output = BufReader::new(stdout).lines();
    let first = tokio::time::timeout(TIMEOUT, output.next_line()).await??;
    assert!(first.is_some_and(|line| line.ends_with("from Exerciser/a")));
    log(&host, "Exerciser/a", "later").await?;
    let second = tokio::time::timeout(TIMEOUT, output.next_line()).await??;
    assert!(second.is_some_and(|line| line.ends_with("later")));
    assert_eq!(host.stop().await?.code(), Some(0));
    let ended = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await??;
    assert_eq!(ended.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(stderr.starts_with("error[host-ended]: the host has shut down"), "{stderr}");
    Ok(())
}
