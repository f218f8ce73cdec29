//! Agents that are told of effects that failed for good (`on-effect-failed`).

use anyhow::Context as _;
use daca_tests::{Host, eventually, manifest_of, message};
use serde_json::{Value, json};

fn subscription(topic: &str, method: &str) -> String {
    format!(
        "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"{topic}\"
path = \"/events/{topic}\"
agent = \"Sink\"
call = \"{method}\"
actor-id = {{ field = \"to\" }}
payload = {{ field = \"payload\" }}
"
    )
}

/// The agent that is told, and a taker that fails at its events, and keeps what it says of them.
fn manifest() -> String {
    let permissions = "[agents.Told.permissions]\npublish = [\"daca-pubsub/*\"]";
    [
        "[host]\neffect-attempts = 1\n",
        &manifest_of("Told", "told", permissions),
        &manifest_of("Sink", "exerciser", ""),
        &subscription("asked", "Fail"),
        &subscription("failures", "SetState"),
    ]
    .concat()
}

/// An event at which its taker fails. `message` is for the agent that is told.
fn doomed(message: &str) -> Value {
    json!({"to": "s", "payload": {"fault": "failed", "message": message}})
}

async fn failures(host: &Host) -> anyhow::Result<Vec<Value>> {
    let failures = host.call("Told/a", "Failures", &Value::Null).await?;
    Ok(failures.as_array().context("a list")?.clone())
}

async fn until_told(host: &Host, times: usize) -> anyhow::Result<Vec<Value>> {
    eventually(&format!("it is told {times} times"), async || Ok(failures(host).await?.len() == times))
        .await?;
    failures(host).await
}

fn count(host: &Host, is_it: impl Fn(&Value) -> bool) -> usize {
    host.log().iter().filter(|line| is_it(line)).count()
}

#[tokio::test]
async fn an_agent_is_told_once_of_an_event_that_was_refused() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    host.call("Told/a", "Publish", &doomed("not today")).await?;
    let told = until_told(&host, 1).await?;
    let failure = &told[0];
    assert_eq!((&failure["target"], &failure["attempts"]), (&json!("daca-pubsub/asked"), &json!(1)));
    assert_eq!(failure["definite"], true, "{failure}");
    assert!(failure["reason"].as_str().is_some_and(|reason| reason.contains("not today")), "{failure}");
    assert!(failure["payload"].as_str().is_some_and(|payload| payload.contains("not today")), "{failure}");
    // Its own event leaves like that of any other turn.
    eventually("its event arrives", async || {
        Ok(host.call("Sink/s", "GetState", &json!({"key": "failure"})).await? == *failure)
    })
    .await?;
    host.call("Told/a", "Publish", &doomed("nor tomorrow")).await?;
    let told = until_told(&host, 2).await?;
    assert_ne!(told[0]["identity"], told[1]["identity"]);
    let told = |line: &Value| message(line).starts_with("told of ");
    eventually("both are logged", async || Ok(count(&host, told) >= 2)).await?;
    assert_eq!(count(&host, told), 2);
    Ok(())
}

/// The handler takes its time, so its host is killed before it is kept.
#[tokio::test]
async fn an_agent_whose_host_is_killed_before_it_was_told_is_told_by_the_next_one() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    host.call("Told/a", "Publish", &doomed("slow")).await?;
    host.wait_for_message("told of ").await?;
    let folder = host.kill()?;

    // Nobody calls the actor.
    let host = Host::start_in(folder, &manifest()).await?;
    eventually("its event arrives", async || {
        let failure = host.call("Sink/s", "GetState", &json!({"key": "failure"})).await?;
        Ok(failure["payload"].as_str().is_some_and(|payload| payload.contains("slow")))
    })
    .await?;
    assert_eq!(failures(&host).await?.len(), 1);
    Ok(())
}

/// A reminder of the host tries again, a minute later or when the host starts.
#[tokio::test]
async fn a_handler_that_traps_is_given_up_after_some_times() -> anyhow::Result<()> {
    const TRIES: usize = 5;
    let trapped = |line: &Value| {
        line["code"] == "guest-trapped" && message(line).starts_with("on-effect-failed failed")
    };
    let given_up = |line: &Value| line["code"] == "effect-handler-given-up";
    let mut host = Host::start(&manifest()).await?;
    host.call("Told/a", "Publish", &doomed("trap")).await?;
    for number in 1..=TRIES {
        // The line comes after the failure was counted.
        host.wait_for_log("the trap", trapped).await?;
        match number {
            TRIES => drop(host.wait_for_log("the end of the tries", given_up).await?),
            _ => assert_eq!(count(&host, given_up), 0, "try {number}"),
        }
        assert_eq!(failures(&host).await?.len(), 0, "nothing of it is kept");
        let folder = host.kill()?;
        host = Host::start_in(folder, &manifest()).await?;
    }
    // It is told of what fails from now on.
    host.call("Told/a", "Publish", &doomed("later")).await?;
    until_told(&host, 1).await?;
    assert_eq!(count(&host, trapped), 0);
    Ok(())
}
