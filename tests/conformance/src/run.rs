//! Tries a case on a host.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use daca_tests::{Answer, Patience, TIMEOUT};
use serde_json::Value;

use crate::agents::relabelled;
use crate::case::{Call, Case, Effects, ExpectedError, Logs, Request, Step};
use crate::matching::{Seen, difference, fields_differ, operator};
use crate::target::Target;

/// How often one looks for what must come.
const PATIENCE: Patience = Patience::new(TIMEOUT, std::time::Duration::from_millis(20));

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not, with the step and the reason.
    Failed(String),
    /// It could not be tried, with the reason.
    Skipped(&'static str),
}

/// Tries cases on one host. Each run has actors of its own, so that a host may be tried again.
pub struct Runner {
    target: Target,
    /// The bytes of the agent, if they are known.
    component: Option<Vec<u8>>,
    run: String,
}

/// One case while it is tried.
struct Trial<'a> {
    runner: &'a Runner,
    /// What makes the ids of its actors its own.
    suffix: String,
    seen: Seen,
}

impl Runner {
    /// `component` has the bytes of the agent that the host runs; without them, a case that deploys is left out.
    pub fn new(target: Target, component: Option<Vec<u8>>) -> Runner {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Runner { target, component, run: format!("{:x}", now.as_millis()) }
    }

    /// Tries a case. `number` differs from that of every other case of this run.
    pub async fn run(&self, number: usize, case: &Case) -> Outcome {
        if self.component.is_none() && case.steps.iter().any(|step| matches!(step, Step::Deploy(_))) {
            return Outcome::Skipped("the agent's file is not known: --component");
        }
        let suffix = format!("-{}-{number}", self.run);
        let mut trial = Trial { runner: self, suffix, seen: BTreeMap::new() };
        for (number, step) in (1..).zip(&case.steps) {
            if let Err(error) = trial.step(step).await {
                return Outcome::Failed(format!("step {number}: {error:#}"));
            }
        }
        Outcome::Passed
    }
}

impl Trial<'_> {
    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::Call(call) => self.call(call).await,
            Step::Request(request) => self.request(request).await,
            Step::Effects(effects) => self.effects(effects).await,
            Step::Logs(logs) => self.logs(logs).await,
            Step::Inactive(actor) => self.inactive(actor).await,
            Step::Deploy(agent_type) => self.deploy(agent_type).await,
        }
    }

    async fn call(&mut self, call: &Call) -> anyhow::Result<()> {
        let (agent_type, id) = self.actor(&call.actor)?;
        let payload = call.payload.as_ref().map(|payload| self.filled(payload).to_string());
        let body = call.raw.clone().or(payload).unwrap_or_default();
        let expected = call.reply.as_ref().map(|reply| self.filled(reply));
        let target = &self.runner.target;
        let send = async || target.call(agent_type, &id, &call.method, body.clone()).await;
        let mut answer = send().await?;
        if call.eventually {
            let right = PATIENCE.until("the answer", async || {
                let answer = send().await?;
                Ok(self.wrong(&answer, expected.as_ref(), call.error.as_ref()).is_none())
            });
            right.await.with_context(|| format!("{} {}: at first {answer:?}", call.actor, call.method))?;
            answer = send().await?;
        }
        if let Some(wrong) = self.wrong(&answer, expected.as_ref(), call.error.as_ref()) {
            bail!("{} {}: {wrong}", call.actor, call.method);
        }
        self.seen.extend(call.name.clone().map(|name| (name, answer.body)));
        Ok(())
    }

    async fn request(&self, request: &Request) -> anyhow::Result<()> {
        let line = self.text(&request.line);
        let body = request.body.as_ref().map(|body| self.filled(body).to_string());
        let answer = self.runner.target.request(&line, request.raw.clone().or(body)).await?;
        let expected = request.reply.as_ref().map(|reply| self.filled(reply));
        match self.wrong(&answer, expected.as_ref(), request.error.as_ref()) {
            Some(wrong) => bail!("{}: {wrong}", request.line),
            None => Ok(()),
        }
    }

    /// What is wrong with an answer. Without an expected error it must be 200.
    fn wrong(&self, answer: &Answer, reply: Option<&Value>, error: Option<&ExpectedError>) -> Option<String> {
        let status = error.map_or(200, |error| error.status);
        if answer.status != status {
            return Some(format!("the status is {}, not {status}: {}", answer.status, answer.body));
        }
        let code = Value::from(answer.code.clone().unwrap_or_default());
        let parts = [
            (reply, &answer.body, "the reply"),
            (error.and_then(|error| error.code.as_ref()), &code, "the code"),
            (error.and_then(|error| error.detail.as_ref()), &answer.body["detail"], "the detail"),
        ];
        parts.into_iter().find_map(|(expected, actual, what)| {
            difference(expected?, actual, &self.seen).map(|difference| format!("{what}: {difference}"))
        })
    }

    async fn effects(&self, Effects { actor, are }: &Effects) -> anyhow::Result<()> {
        let (agent_type, id) = self.actor(actor)?;
        let actor = format!("{agent_type}/{id}");
        let is_right = |found: &[Value]| {
            let differs = |(expected, found): (&Value, &Value)| match expected.as_object() {
                Some(fields) => fields_differ(fields, found, &self.seen).is_some(),
                None => true,
            };
            found.len() == are.len() && !are.iter().zip(found).any(differs)
        };
        let target = &self.runner.target;
        let waited = PATIENCE.until("the effects", async || Ok(is_right(&target.effects(&actor).await?)));
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("{:?}", target.effects(&actor).await?))),
        }
    }

    async fn logs(&self, Logs { actor, line }: &Logs) -> anyhow::Result<()> {
        let (agent_type, id) = self.actor(actor)?;
        let fields = line.as_object().context("a line has fields")?;
        let target = &self.runner.target;
        let waited = PATIENCE.until("the line", async || {
            let lines = target.logs(agent_type, &id).await?;
            Ok(lines.iter().any(|line| fields_differ(fields, line, &self.seen).is_none()))
        });
        match waited.await {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("{line}; {:?}", target.logs(agent_type, &id).await?))),
        }
    }

    async fn inactive(&self, actor: &str) -> anyhow::Result<()> {
        let (agent_type, id) = self.actor(actor)?;
        let target = &self.runner.target;
        PATIENCE
            .until("the end of the activation", async || Ok(!target.is_active(agent_type, &id).await?))
            .await
    }

    async fn deploy(&self, agent_type: &str) -> anyhow::Result<()> {
        let component = self.runner.component.as_deref().context("the agent's file is not known")?;
        let next = relabelled(component).context("the agent's file does not have the label of its schema")?;
        let answer = self.runner.target.deploy(agent_type, next).await?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// The type of an actor, and the id that it has in this run.
    fn actor<'t>(&self, actor: &'t str) -> anyhow::Result<(&'t str, String)> {
        let (agent_type, id) = actor.split_once('/').with_context(|| format!("{actor:?} is not TYPE/ID"))?;
        Ok((agent_type, self.id(id)))
    }

    fn id(&self, id: &str) -> String {
        format!("{id}{}", self.suffix)
    }

    /// A text with the ids of this run: `{id:NAME}`.
    fn text(&self, text: &str) -> String {
        let mut parts = text.split("{id:");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap_or((part, ""));
            filled.push_str(&self.id(name));
            filled.push_str(rest);
        }
        filled
    }

    /// A value with the ids of this run, and with long texts: `{"$text": LENGTH}`.
    fn filled(&self, value: &Value) -> Value {
        if let Some(("text", length)) = operator(value) {
            let length = length.as_u64().and_then(|length| usize::try_from(length).ok());
            return Value::from("x".repeat(length.unwrap_or_default()));
        }
        match value {
            Value::String(text) => Value::from(self.text(text)),
            Value::Array(list) => list.iter().map(|value| self.filled(value)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), self.filled(value)));
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }
}
