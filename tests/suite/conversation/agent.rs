//! The ChatAgent of one language on a host, under types that differ in their settings and permissions.

use std::path::Path;

use daca_tests::{Host, chat_agent, default_manifest, digest, eventually, message, replaced};
use serde_json::{Value, json};

/// How the ChatAgent's lines about a delivered event and SMS begin.
pub(super) const PUBLISHED: &str = "Published event for";
pub(super) const SENT: &str = "Sent SMS for";

/// The types beside `ChatAgent`, which is that of the default manifest: each has one thing that differs.
const TYPES: [(&str, &str); 4] = [
    ("Told", "settings = { to-number = \"+4930123456\" }"),
    ("Unset", ""),
    ("Quiet", "settings = { to-number = \"\" }"),
    ("Denied", "permissions = { publish = [], bindings = [] }"),
];
const PERMISSIONS: &str =
    "permissions = { publish = [\"daca-pubsub/user-chat\"], bindings = [\"twilio-binding/create\"] }";

/// The agent, and its host.
pub(super) struct Agent {
    pub(super) host: Host,
    /// The first digits of its digest, as the log has them.
    pub(super) version: String,
}

impl Agent {
    pub(super) async fn start(component: &Path) -> anyhow::Result<Agent> {
        let mut manifest = manifest(component)?;
        for (name, differs) in TYPES {
            let permissions = if differs.starts_with("permissions") { "" } else { PERMISSIONS };
            let lines = component_lines(component);
            manifest.push_str(&format!("\n[agents.{name}]\n{lines}\n{differs}\n{permissions}\n"));
        }
        let version = digest(component)?[..12].to_owned();
        Ok(Agent { host: Host::start(&manifest).await?, version })
    }

    /// The effects of an actor, as the outbox has them.
    pub(super) async fn effects(&self, actor: &str) -> anyhow::Result<Vec<Value>> {
        let mut outbox = self.host.get_admin("/outbox?limit=1000").await?.body;
        let entries = outbox["entries"].as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok(entries.into_iter().filter(|entry| entry["actor"] == actor).collect())
    }

    /// The same, once so many have left.
    pub(super) async fn sent(&self, actor: &str, number: usize) -> anyhow::Result<Vec<Value>> {
        eventually("the effects have left", async || {
            let found = self.effects(actor).await?;
            Ok(found.len() == number && found.iter().all(|effect| effect["status"] == "sent"))
        })
        .await?;
        self.effects(actor).await
    }

    /// The lines that an actor has logged so far.
    pub(super) fn lines(&self, actor: &str) -> Vec<Value> {
        self.host.log().into_iter().filter(|line| is_of(line, actor)).collect()
    }

    /// Waits for a line of an actor that begins like this.
    pub(super) async fn wait_for_line(&self, actor: &str, start: &str) -> anyhow::Result<Value> {
        let is_it = |line: &Value| is_of(line, actor) && message(line).starts_with(start);
        self.host.wait_for_log(&format!("{actor}: {start}"), is_it).await
    }
}

/// The default manifest with a component in place of the ChatAgent's.
pub(super) fn manifest(component: &Path) -> anyhow::Result<String> {
    let line = format!("component = {:?}", chat_agent().display().to_string());
    replaced(&default_manifest(), &line, &component_lines(component))
}

fn component_lines(component: &Path) -> String {
    format!("component = {:?}\nlimits = {{ memory = \"32MiB\" }}", component.display().to_string())
}

/// Returns `true` for a line that the agent has logged as this actor, `TYPE/ID`.
fn is_of(line: &Value, actor: &str) -> bool {
    let span = &line["span"];
    let is_actor = |(agent_type, id)| span["agent_type"] == agent_type && span["actor_id"] == id;
    line["target"] == "agent" && actor.split_once('/').is_some_and(is_actor)
}

pub(super) fn said(content: &str) -> Value {
    json!({"role": "user", "content": content})
}

pub(super) fn answered(content: &str) -> Value {
    json!({"role": "assistant", "content": format!("Got your message: {content}")})
}
