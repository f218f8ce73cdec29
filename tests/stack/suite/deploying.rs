//! Hosts that run the guest `swapped`, whose versions are deployed while it is called.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use daca_stack::App;
use daca_tests::{Answer, guest};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::support::{Chat, eventually, kafka_input, route};

/// The agent type.
pub(crate) const TYPE: &str = "Swapped";

/// A manifest with the guest `swapped_v1`; `more` are further lines at its beginning.
pub(crate) fn manifest(more: &str) -> String {
    manifest_of(&guest("swapped_v1"), more)
}

/// The same with another file: a number is noted by `POST /add/ID` and by Kafka, and read by `GET /entries/ID`.
pub(crate) fn manifest_of(component: &Path, more: &str) -> String {
    let component = component.display().to_string();
    [
        format!("\n{more}\n\n[agents.{TYPE}]\ncomponent = {component:?}\n"),
        route("POST", "/add/{actor_id}", TYPE, "Add", ""),
        route("GET", "/entries/{actor_id}", TYPE, "Entries", ""),
        route("POST", "/remind/{actor_id}", TYPE, "Remind", ""),
        route("GET", "/fired-by/{actor_id}", TYPE, "FiredBy", ""),
        kafka_input(TYPE, "Add", "", ""),
    ]
    .concat()
}

/// Longer than the host's own bounds: it gives a compilation 120 s by the clock, on whatever machine, and then tries the component.
const LONGEST_DEPLOYMENT: Duration = Duration::from_secs(300);

/// An operator of one host.
pub(crate) struct Operator<'a> {
    app: &'a App,
    client: &'a reqwest::Client,
}

impl Operator<'_> {
    /// Deploys a test guest to all actors.
    pub(crate) async fn deploy(&self, guest_name: &str) -> anyhow::Result<Answer> {
        self.deploy_as(guest_name, "").await
    }

    /// The same with a query, such as `?share=10`.
    pub(crate) async fn deploy_as(&self, guest_name: &str, query: &str) -> anyhow::Result<Answer> {
        let url = self.url(&format!("/agents/{TYPE}/component{query}"));
        let request = self.client.put(url).body(std::fs::read(guest(guest_name))?);
        Answer::of(request.timeout(LONGEST_DEPLOYMENT)).await
    }

    /// Deploys a test guest, which must be let in. Answers its digest.
    pub(crate) async fn deployed(&self, guest_name: &str) -> anyhow::Result<String> {
        self.changed(&self.deploy(guest_name).await?)
    }

    /// The digest of an answer that must be good.
    pub(crate) fn changed(&self, answer: &Answer) -> anyhow::Result<String> {
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body["version"].as_str().context("a version has a digest")?.to_owned())
    }

    /// Deploys a version that was deployed before.
    pub(crate) async fn deploy_kept(&self, version: &str) -> anyhow::Result<Answer> {
        let url = self.url(&format!("/agents/{TYPE}/version"));
        let request = self.client.post(url).body(json!({ "version": version }).to_string());
        Answer::of(request.timeout(LONGEST_DEPLOYMENT)).await
    }

    /// Goes back to the version before.
    pub(crate) async fn roll_back(&self) -> anyhow::Result<Answer> {
        let request = self.client.post(self.url(&format!("/agents/{TYPE}/rollback")));
        Answer::of(request.timeout(LONGEST_DEPLOYMENT)).await
    }

    /// Holds an actor on a version.
    pub(crate) async fn pin(&self, actor: &str, version: &str) -> anyhow::Result<Answer> {
        let url = self.url(&format!("/agents/{TYPE}/pins/{actor}"));
        Answer::of(self.client.put(url).body(json!({ "version": version }).to_string())).await
    }

    /// What `GET /versions` tells of the agent type, with all hosts under `hosts`.
    pub(crate) async fn versions(&self) -> anyhow::Result<Value> {
        let Answer { body, .. } = Answer::of(self.client.get(self.url("/versions"))).await?;
        let mut agent = body["agents"][0].clone();
        agent["hosts"] = body["hosts"].clone();
        Ok(agent)
    }

    fn url(&self, path: &str) -> String {
        self.app.admin_url(path)
    }
}

impl Chat {
    /// The operator of one of the hosts.
    pub(crate) fn operator(&self, host: usize) -> Operator<'_> {
        Operator { app: &self.hosts[host].app, client: &self.client }
    }

    /// The version that answers an actor over a host, and the numbers that the actor has.
    pub(crate) async fn noted(&self, host: usize, actor: &str) -> anyhow::Result<(String, Vec<u64>)> {
        let (status, body) = self.get_from(host, &format!("/entries/{actor}")).await?;
        anyhow::ensure!(status == 200, "entries of {actor}: {status} {body}");
        let version = body["version"].as_str().context("an answer names its version")?.to_owned();
        Ok((version, serde_json::from_value(body["entries"].clone())?))
    }

    /// Tells an actor a number over a host. Answers the version that noted it.
    pub(crate) async fn add(&self, host: usize, actor: &str, number: u64) -> anyhow::Result<String> {
        let answer = self.post_to(host, &format!("/add/{actor}"), &json!({ "number": number })).await?;
        anyhow::ensure!(answer.0 == 200, "{actor}: {answer:?}");
        Ok(answer.1["version"].as_str().context("an answer names its version")?.to_owned())
    }

    /// Waits until all hosts have the same record of what serves, and it is this version. Answers the record.
    pub(crate) async fn until_agreed(&self, version: &str) -> anyhow::Result<Value> {
        let start = Instant::now();
        let record = eventually("the hosts agree", async || {
            let records = try_join_all((0..self.hosts.len()).map(|host| self.record(host))).await?;
            let agree = records.iter().all(|one| *one == records[0] && one["serving"] == version);
            Ok(agree.then(|| records[0].clone()))
        })
        .await?;
        println!("all hosts agree after {:?}", start.elapsed());
        Ok(record)
    }

    /// The serving versions of a host, and what happened, without what is this host's own.
    async fn record(&self, host: usize) -> anyhow::Result<Value> {
        let mut record = self.operator(host).versions().await?;
        record["versions"].take();
        record["hosts"].take();
        Ok(record)
    }
}
