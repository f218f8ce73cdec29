//! A host with one contender, and what is asked of it.

use std::path::Path;
use std::time::{Duration, Instant};

use daca_stack::manifests::route;
use daca_tests::chat_agent;

use super::contender::Contender;
use super::measured::{ActorCosts, Measured, Reading};
use crate::load::{self, Load, Order, Outcome};
use crate::server::{Server, Storage};

/// Only a host that hangs takes so long for a few calls.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Calls of an actor before its calls count.
const WARMING: u64 = 50;
/// The time in which further versions are deployed; the last one may take longer.
const DEPLOYING: Duration = Duration::from_secs(15);

/// A host that serves a contender.
pub(super) struct Running {
    contender: Contender,
    server: Server,
    file: Vec<u8>,
    /// The number of the next version.
    next: u64,
    /// Before there was an actor.
    before: Reading,
    measured: Measured,
}

impl Running {
    /// Starts a host with the agent in Rust, and deploys the contender in its place.
    pub(super) async fn start(contender: Contender) -> anyhow::Result<Running> {
        let file = contender.read()?;
        let manifest = manifest(&chat_agent(), contender.script()?.as_deref())?;
        let server = Server::host_of("run", &manifest, Storage::Memory, "warn").await?;
        let measured = Measured {
            contender,
            bytes: file.len(),
            first_deploy: Duration::ZERO,
            deploys: Vec::new(),
            fresh: Outcome::default(),
            warm: Outcome::default(),
            of_actor: ActorCosts::default(),
        };
        let mut running = Running { contender, server, file, next: 0, before: Reading::default(), measured };
        running.measured.first_deploy = running.deploy_another().await?;
        Ok(running)
    }

    pub(super) fn name(&self) -> &'static str {
        self.contender.name()
    }

    /// Reads what the host has without an actor.
    pub(super) async fn read_before(&mut self) -> anyhow::Result<()> {
        self.before = Reading::of(&self.server).await?;
        Ok(())
    }

    /// Calls so many actors for the first time.
    pub(super) async fn call_new_actors(&mut self, round: usize, actors: usize) -> anyhow::Result<()> {
        let load = Load {
            path: format!("/chat/new-{round}-{{actor}}"),
            order: Order::InTurn,
            most: actors as u64,
            ..Load::chat(self.server.listen, 1, actors, TIMEOUT)
        };
        self.measured.fresh.add(load::run(&load).await?.all_answered()?);
        Ok(())
    }

    /// Reads what the new actors cost.
    pub(super) async fn read_costs(&mut self) -> anyhow::Result<()> {
        let now = Reading::of(&self.server).await?;
        self.measured.of_actor = now.since(self.before, self.measured.fresh.answered)?;
        Ok(())
    }

    /// Calls one actor until it is as fast as it becomes.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        let load = Load { most: WARMING, ..self.to_one_actor(TIMEOUT) };
        load::run(&load).await?.all_answered()?;
        Ok(())
    }

    /// Calls it again and again.
    pub(super) async fn call(&mut self, time: Duration) -> anyhow::Result<()> {
        let outcome = load::run(&self.to_one_actor(time)).await?.all_answered()?;
        self.measured.warm.add(outcome);
        Ok(())
    }

    /// Deploys a further version, unless that has taken enough time already.
    pub(super) async fn deploy(&mut self) -> anyhow::Result<()> {
        if self.measured.deploys.iter().sum::<Duration>() < DEPLOYING {
            let took = self.deploy_another().await?;
            self.measured.deploys.push(took);
        }
        Ok(())
    }

    /// Ends the host.
    pub(super) async fn stop(self) -> anyhow::Result<Measured> {
        self.server.process.stop().await?;
        Ok(self.measured)
    }

    fn to_one_actor(&self, time: Duration) -> Load {
        Load { path: "/chat/warm".to_owned(), ..Load::chat(self.server.listen, 1, 1, time) }
    }

    async fn deploy_another(&mut self) -> anyhow::Result<Duration> {
        let version = self.contender.another(&self.file, self.next);
        self.next += 1;
        let start = Instant::now();
        self.server.deploy(version).await?;
        Ok(start.elapsed())
    }
}

/// A manifest with the ChatAgent and the routes for its messages and their history. `script` is a setting.
pub(super) fn manifest(component: &Path, script: Option<&str>) -> anyhow::Result<String> {
    // A text of JSON is one of TOML.
    let component = serde_json::to_string(&component.display().to_string())?;
    let script = match script {
        Some(script) => format!(", script = {}", serde_json::to_string(script)?),
        None => String::new(),
    };
    let agent = format!(
        r#"[deploy]
compile-memory = "2GiB"

[agents.ChatAgent]
component = {component}
settings = {{ to-number = "+1987654321"{script} }}
permissions = {{ publish = ["daca-pubsub/user-chat"], bindings = ["twilio-binding/create"] }}
limits = {{ memory = "64MiB" }}
"#
    );
    let reply = r#"reply = { response = "{reply}" }"#;
    let message = route("POST", "/chat/{actor_id}", "ChatAgent", "ProcessMessage", reply);
    let history = route("GET", "/chat/{actor_id}/history", "ChatAgent", "GetConversationHistory", "");
    Ok([agent, message, history].concat())
}
