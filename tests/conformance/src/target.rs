//! A host, spoken to over HTTP: its routes, and its admin API.

use anyhow::Context as _;
use daca_tests::Answer;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;

/// A host that runs, with the manifest of the cases.
pub struct Target {
    client: Client,
    app: String,
    admin: String,
    token: Option<String>,
}

impl Target {
    /// `app` and `admin` are the URLs of the two ports; `token` is that of the admin port, if it has one.
    pub fn new(app: &str, admin: &str, token: Option<String>) -> anyhow::Result<Target> {
        let url = |text: &str| text.trim_end_matches('/').to_owned();
        Ok(Target { client: daca_tests::client()?, app: url(app), admin: url(admin), token })
    }

    /// Fails if the admin port does not answer, or refuses the token: no case could be tried.
    pub async fn check(&self) -> anyhow::Result<()> {
        let asked = ok(self.admin(Method::GET, &["agents"], &[])?).await;
        asked
            .map(drop)
            .with_context(|| format!("the admin port {} does not answer as that of a host", self.admin))
    }

    /// Calls a method of an actor by the admin port.
    pub(crate) async fn call(
        &self,
        agent_type: &str,
        id: &str,
        method: &str,
        body: String,
    ) -> anyhow::Result<Answer> {
        let request = self.admin(Method::POST, &["actors", agent_type, id, "method", method], &[])?;
        Answer::of(request.body(body)).await
    }

    /// Sends a request to the application's port.
    pub(crate) async fn request(&self, line: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let (method, path) = line.split_once(' ').with_context(|| format!("{line:?} is not METHOD PATH"))?;
        let request = self.client.request(method.parse()?, format!("{}{path}", self.app));
        Answer::of(match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        })
        .await
    }

    /// The effects of an actor, oldest first.
    pub(crate) async fn effects(&self, actor: &str) -> anyhow::Result<Vec<Value>> {
        let request = self.admin(Method::GET, &["outbox"], &[("limit", "1000")])?;
        let entries = list(ok(request).await?, "entries");
        Ok(entries.into_iter().filter(|entry| entry["actor"] == actor).collect())
    }

    /// The lines of an actor's log.
    pub(crate) async fn logs(&self, agent_type: &str, id: &str) -> anyhow::Result<Vec<Value>> {
        let query = [("type", agent_type), ("id", id), ("limit", "1000")];
        let response = self.admin(Method::GET, &["logs"], &query)?.send().await?;
        let text = response.error_for_status()?.text().await?;
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("a line of the log: {line}")))
            .collect()
    }

    /// Returns `true` if an actor is active.
    pub(crate) async fn is_active(&self, agent_type: &str, id: &str) -> anyhow::Result<bool> {
        let request = self.admin(Method::GET, &["activations"], &[("limit", "1000")])?;
        let active = list(ok(request).await?, "activations");
        Ok(active.iter().any(|one| one["agent_type"] == agent_type && one["actor_id"] == id))
    }

    /// Deploys a component or a script to an agent type.
    pub(crate) async fn deploy(&self, agent_type: &str, component: Vec<u8>) -> anyhow::Result<Answer> {
        let request = self.admin(Method::PUT, &["agents", agent_type, "component"], &[])?;
        Answer::of(request.body(component)).await
    }

    fn admin(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.admin.parse::<Url>().with_context(|| self.admin.clone())?;
        let mut segments = url.path_segments_mut().ok().with_context(|| self.admin.clone())?;
        segments.pop_if_empty().extend(path);
        drop(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }
}

/// The body of an answer that must be 200.
async fn ok(request: RequestBuilder) -> anyhow::Result<Value> {
    let answer = Answer::of(request).await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

fn list(mut body: Value, field: &str) -> Vec<Value> {
    match body[field].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}
