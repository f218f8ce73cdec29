//! The ChatAgent in the cluster, as `k8s/minikube` and `components/` make it, with a stand-in for Twilio on this machine.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use daca_stack::Twilio;
use daca_tests::deploy::{in_other_words, version_of};
use daca_tests::{client, folders};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Forward, eventually, scratch};

/// What the pods are called by.
const SELECTOR: &str = "app.kubernetes.io/name=chat-agent";
/// The example token of `k8s/minikube`.
const ADMIN_TOKEN: &str = "example-admin-token";
/// What the secret of Twilio holds.
pub(crate) const CREDENTIALS: [(&str, &str); 3] =
    [("accountSid", "AC-test"), ("authToken", "the-token"), ("fromNumber", "+15005550006")];

pub(crate) struct Deployment<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) twilio: Twilio,
    pub(crate) client: reqwest::Client,
    /// To the cluster's API server.
    proxy: Forward,
}

/// A component's bytes, and the version that they are.
#[derive(Clone)]
pub(crate) struct Logic {
    pub(crate) wasm: Vec<u8>,
    pub(crate) version: String,
}

impl<'a> Deployment<'a> {
    /// The steps of docs/operate/kubernetes.md: the secret, the components, the overlay, and the wait for it.
    pub(crate) async fn create(
        cluster: &'a Cluster,
        this_machine: IpAddr,
        image: &str,
    ) -> anyhow::Result<Deployment<'a>> {
        let twilio = Twilio::start_at(&scratch()?, this_machine).await?;
        let proxy = cluster.proxy().await?;
        let deployment = Deployment { cluster, twilio, client: client()?, proxy };
        deployment.apply_credentials(&CREDENTIALS).await?;
        cluster.kubectl(&["apply", "--validate=strict", "-f", "components/"]).await?;
        let overlay = deployment.overlay(image)?;
        cluster.kubectl(&["apply", "--validate=strict", "-k", &overlay]).await?;
        for name in ["deployment/redis", "deployment/kafka", "deployment/chat-agent"] {
            cluster.rolled_out(name).await?;
        }
        Ok(deployment)
    }

    /// The secret of Twilio.
    pub(crate) async fn apply_credentials(&self, entries: &[(&str, &str)]) -> anyhow::Result<()> {
        let entries = entries.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "twilio-credentials" },
            "stringData": Value::Object(entries),
        });
        // Not kubectl apply, which would keep keys that are gone.
        self.cluster.kubectl(&["delete", "secret", "twilio-credentials", "--ignore-not-found"]).await?;
        self.cluster.kubectl_with(&["create", "-f", "-"], &secret.to_string()).await.map(drop)
    }

    /// `k8s/minikube` in the namespace, with sidecars that take this machine for Twilio.
    fn overlay(&self, image: &str) -> anyhow::Result<String> {
        let folder = scratch()?.join("overlay");
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(&self.twilio.ca, folder.join("ca.pem"))?;
        let (name, tag) = image.rsplit_once(':').context("the image has no tag")?;
        let environment = format!(
            "HTTPS_PROXY={},NO_PROXY=.svc,.cluster.local,localhost,127.0.0.1,10.0.0.0/8,SSL_CERT_FILE=/twilio/ca.pem",
            self.twilio.proxy()
        );
        let patch = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "chat-agent" },
            "spec": { "template": {
                "metadata": { "annotations": {
                    "dapr.io/env": environment,
                    "dapr.io/volume-mounts": "twilio-ca:/twilio",
                }},
                "spec": { "volumes": [{ "name": "twilio-ca", "configMap": { "name": "twilio-ca" } }] },
            }},
        });
        let overlay = json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": self.cluster.namespace,
            "resources": ["../../../k8s/minikube"],
            "configMapGenerator": [{ "name": "twilio-ca", "files": ["ca.pem"] }],
            "images": [{ "name": "daca", "newName": name, "newTag": tag }],
            "patches": [{ "patch": patch.to_string() }],
        });
        std::fs::write(folder.join("kustomization.yaml"), overlay.to_string())?;
        Ok(folder.display().to_string())
    }

    /// A path of the service, by way of the API server, which takes one of the ready pods for each request.
    pub(crate) fn url(&self, path: &str) -> String {
        let namespace = &self.cluster.namespace;
        self.proxy.url(&format!("/api/v1/namespaces/{namespace}/services/chat-agent:http/proxy{path}"))
    }

    /// Sends a message to an actor. Answers the status and the body.
    pub(crate) async fn say(&self, actor: &str, content: &str) -> anyhow::Result<(u16, String)> {
        self.say_with(actor, content, None).await
    }

    /// The same, with a key that lets the hosts repeat the call.
    pub(crate) async fn say_with(
        &self,
        actor: &str,
        content: &str,
        key: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let message = json!({ "role": "user", "content": content });
        let mut request = self.client.post(self.url(&format!("/chat/{actor}"))).json(&message);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// What users have said to an actor, as it remembers.
    pub(crate) async fn heard(&self, actor: &str) -> anyhow::Result<Vec<String>> {
        let answer = self.client.get(self.url(&format!("/chat/{actor}/history"))).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{actor}: {status} {text}");
        let history = serde_json::from_str::<Value>(&text)?["history"].take();
        let entries =
            history.as_array().context("no history")?.iter().filter(|entry| entry["role"] == "user");
        Ok(entries.map(|entry| entry["content"].as_str().unwrap_or_default().to_owned()).collect())
    }

    /// The pods that are not about to go, by name.
    pub(crate) async fn pods(&self) -> anyhow::Result<Vec<Value>> {
        let pods = self.cluster.get(&["pods", "-l", SELECTOR]).await?;
        let pods = pods["items"].as_array().context("no list of pods")?.iter();
        Ok(pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).cloned().collect())
    }

    pub(crate) async fn pod_names(&self) -> anyhow::Result<Vec<String>> {
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(self.pods().await?.iter().map(name).collect())
    }

    /// How often containers of the pods were started again.
    pub(crate) async fn restarts(&self) -> anyhow::Result<u64> {
        let pods = self.pods().await?;
        let containers = pods.iter().flat_map(|pod| pod["status"]["containerStatuses"].as_array());
        Ok(containers.flatten().filter_map(|container| container["restartCount"].as_u64()).sum())
    }

    /// Scales, and waits until that many serve and nobody else is there.
    pub(crate) async fn scale(&self, replicas: usize) -> anyhow::Result<()> {
        let count = format!("--replicas={replicas}");
        self.cluster.kubectl(&["scale", "deployment/chat-agent", &count]).await?;
        self.cluster.rolled_out("deployment/chat-agent").await?;
        self.settled(replicas).await
    }

    /// Waits until there are so many pods, also among those that are about to go.
    pub(crate) async fn settled(&self, replicas: usize) -> anyhow::Result<()> {
        eventually(&format!("{replicas} pods"), async || {
            let pods = self.cluster.get(&["pods", "-l", SELECTOR]).await?;
            let pods = pods["items"].as_array().context("no list of pods")?;
            let is_ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
            };
            Ok((pods.len() == replicas && pods.iter().all(is_ready)).then_some(()))
        })
        .await
    }

    /// The admin port of each pod.
    pub(crate) async fn admins(&self) -> anyhow::Result<Vec<Forward>> {
        let mut admins = Vec::new();
        for pod in self.pod_names().await? {
            admins.push(self.cluster.forward(&format!("pod/{pod}"), 8001).await?);
        }
        Ok(admins)
    }

    /// The version that a pod serves.
    async fn serving(&self, admin: &Forward) -> anyhow::Result<String> {
        let answer = self.client.get(admin.url("/agents")).bearer_auth(ADMIN_TOKEN).send().await?;
        let agents = answer.error_for_status()?.text().await?;
        let agents = serde_json::from_str::<Value>(&agents)?;
        Ok(agents["agents"][0]["version"].as_str().context("no version")?.to_owned())
    }

    /// Waits until all pods serve a version. Answers how long the first and the last took.
    pub(crate) async fn all_serve(
        &self,
        admins: &[Forward],
        version: &str,
        since: Instant,
    ) -> anyhow::Result<(Duration, Duration)> {
        let served = admins.iter().map(async |admin| {
            eventually(&format!("{version} serves"), async || {
                Ok((self.serving(admin).await? == version).then(|| since.elapsed()))
            })
            .await
        });
        let served = futures::future::try_join_all(served).await?;
        let first = served.iter().min().copied().context("there is no pod")?;
        Ok((first, served.iter().max().copied().unwrap_or(first)))
    }

    /// Writes a component into the ConfigMap, as docs/operate/kubernetes.md does.
    pub(crate) async fn apply_component(&self, wasm: &[u8]) -> anyhow::Result<()> {
        let file = scratch()?.join("chat_agent.wasm");
        std::fs::write(&file, wasm)?;
        let from = format!("--from-file={}", file.display());
        let line = ["create", "configmap", "chat-agent-component", &from, "--dry-run=client", "-o", "yaml"];
        let map = self.cluster.kubectl(&line).await?;
        self.cluster.kubectl_with(&["apply", "-f", "-"], &map).await.map(drop)
    }

    /// Runs the image's own `daca` against an admin port. Answers its standard output.
    pub(crate) async fn daca(&self, admin: &Forward, arguments: &[&str]) -> anyhow::Result<String> {
        let program = folders::target().join("image/context/rootfs/daca");
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env("DACA_ADMIN", format!("127.0.0.1:{}", admin.port));
        let output = command.env("DACA_ADMIN_TOKEN", ADMIN_TOKEN).kill_on_drop(true).output().await?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "daca {}: {stderr}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Logic {
    /// The component that `cargo xtask image` has made.
    pub(crate) fn of_image() -> anyhow::Result<Logic> {
        let path = folders::root().join("k8s/base/chat_agent.wasm");
        let wasm = std::fs::read(&path).with_context(|| format!("{}: cargo xtask image", path.display()))?;
        Ok(Logic::new(wasm))
    }

    /// The same that answers in other words.
    pub(crate) fn in_other_words(&self) -> anyhow::Result<Logic> {
        Ok(Logic::new(in_other_words(&self.wasm)?))
    }

    fn new(wasm: Vec<u8>) -> Logic {
        let version = version_of(&wasm);
        Logic { wasm, version }
    }
}
