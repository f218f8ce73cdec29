//! What the tests that swap components share: the admin API of deploying, and versions to deploy.

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::fixtures::{guest, manifest_of};
use crate::host::Host;

pub use crate::versions::{another, in_other_words, version_of, with_section};

/// The manifest of one agent type, `Swapped`, whose component is the guest `swapped_v1`; `more` as in [`manifest_of`].
pub fn swapped(more: &str) -> String {
    manifest_of("Swapped", "swapped_v1", more)
}

/// The bytes of a test guest's component.
pub fn component(guest_name: &str) -> anyhow::Result<Vec<u8>> {
    let path = guest(guest_name);
    std::fs::read(&path).with_context(|| path.display().to_string())
}

impl Host {
    /// Sends a request to the admin port.
    pub async fn send_admin(
        &self,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Answer> {
        self.send_admin_with(method, path, None, body).await
    }

    /// The same with a header.
    pub async fn send_admin_with(
        &self,
        method: Method,
        path: &str,
        header: Option<(&str, &str)>,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.client.request(method, format!("{}{path}", self.admin)).body(body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        Answer::of(request).await
    }

    /// Deploys a component to `Swapped`; `query` is what follows the `?`, such as `share=10`.
    pub async fn deploy(&self, component: &[u8], query: &str) -> anyhow::Result<Answer> {
        let path = format!("/agents/Swapped/component?{query}");
        self.send_admin(Method::PUT, &path, component.to_owned()).await
    }

    /// Deploys a test guest to `Swapped`, which must be answered 200, and answers what came of it.
    pub async fn deploy_guest(&self, guest_name: &str, query: &str) -> anyhow::Result<Value> {
        done(self.deploy(&component(guest_name)?, query).await?)
    }

    /// Deploys a version that the host has already to a share of `Swapped`, in percent.
    pub async fn deploy_kept(&self, version: &str, share: u8) -> anyhow::Result<Answer> {
        let body = json!({ "version": version, "share": share });
        self.send_admin(Method::POST, "/agents/Swapped/version", body.to_string()).await
    }

    /// Rolls `Swapped` back.
    pub async fn roll_back(&self, force: bool) -> anyhow::Result<Answer> {
        let body = json!({ "force": force });
        self.send_admin(Method::POST, "/agents/Swapped/rollback", body.to_string()).await
    }

    /// Holds an actor of `Swapped` on a version.
    pub async fn pin(&self, id: &str, version: &str) -> anyhow::Result<Answer> {
        let body = json!({ "version": version });
        self.send_admin(Method::PUT, &format!("/agents/Swapped/pins/{id}"), body.to_string()).await
    }

    /// Holds it no more.
    pub async fn unpin(&self, id: &str) -> anyhow::Result<Answer> {
        self.send_admin(Method::DELETE, &format!("/agents/Swapped/pins/{id}"), "").await
    }

    /// What `GET /versions` says of `Swapped`.
    pub async fn versions(&self) -> anyhow::Result<Value> {
        let mut versions = done(self.get_admin("/versions?type=Swapped").await?)?;
        Ok(versions["agents"][0].take())
    }

    /// What happened last to a version of `Swapped`.
    pub async fn last_event(&self) -> anyhow::Result<Value> {
        let versions = self.versions().await?;
        let last = versions["history"].as_array().and_then(|history| history.last());
        last.cloned().with_context(|| format!("no history in {versions}"))
    }

    /// The name of the version that answers an actor of `Swapped`, and its entries.
    pub async fn entries(&self, id: &str) -> anyhow::Result<(String, Vec<u64>)> {
        let answer = self.call(&format!("Swapped/{id}"), "Entries", &Value::Null).await?;
        let version = answer["version"].as_str().context("no version")?.to_owned();
        let entries = answer["entries"].as_array().context("no entries")?;
        Ok((version, entries.iter().filter_map(Value::as_u64).collect()))
    }

    /// The name of the version that answers an actor of `Swapped`.
    pub async fn serving(&self, id: &str) -> anyhow::Result<String> {
        Ok(self.entries(id).await?.0)
    }

    /// Notes a number in an actor of `Swapped`, and answers how many it has.
    pub async fn add(&self, id: &str, number: u64) -> anyhow::Result<u64> {
        let answer = self.call(&format!("Swapped/{id}"), "Add", &json!({ "number": number })).await?;
        answer["entries"].as_u64().with_context(|| format!("no number in {answer}"))
    }
}

/// The body of an answer that must be 200.
pub fn done(answer: Answer) -> anyhow::Result<Value> {
    if answer.status == StatusCode::OK { Ok(answer.body) } else { bail!("refused: {answer:?}") }
}

/// The status and the code of a refusal.
pub fn refusal(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.code.as_deref().unwrap_or_default())
}
