//! The walk-through of docs/operate/kubernetes.md, from curl and from Kafka to the SMS.

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::cluster::{eventually, scratch};
use crate::deployment::{CREDENTIALS, Deployment};
use crate::load::produce_one;

/// Also what nobody applies here: the base alone, production, the components of kustomize, the examples.
pub(super) async fn overlays_are_valid(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    let everything = scratch()?.join("everything");
    std::fs::create_dir_all(&everything)?;
    let overlay = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../../k8s/production"],
        "components": ["../../../k8s/native-sidecar", "../../../k8s/turns-in-flight", "../../../k8s/volume"],
    });
    std::fs::write(everything.join("kustomization.yaml"), overlay.to_string())?;
    let everything = everything.display().to_string();
    for (line, part) in [
        (["-k", "k8s/"], "horizontalpodautoscaler"),
        (["-k", "k8s/production/"], "networkpolicy"),
        (["-k", &everything], "deployment"),
        (["-f", "k8s/production/services.yaml"], "service/kafka"),
        (["-f", "k8s/minikube/twilio-credentials.yaml"], "secret"),
        (["-f", "config/dapr-config.yaml"], "configuration"),
    ] {
        let line = [&["apply", "--dry-run=server", "--validate=strict"][..], &line].concat();
        let applied = deployment.cluster.kubectl(&line).await?;
        ensure!(applied.contains(part), "{applied}");
        println!("{}: {} objects", line.last().unwrap_or(&""), applied.lines().count());
    }
    let line = ["kustomize", &everything];
    let rendered = deployment.cluster.kubectl(&line).await?;
    for part in [
        "claimName: chat-agent-component",
        "name: daca_turns_in_flight",
        "dapr.io/enable-native-sidecar: \"true\"",
        "dapr.io/config: daca",
    ] {
        ensure!(rendered.contains(part), "{part}: {rendered}");
    }
    Ok(())
}

pub(super) async fn walk(deployment: &Deployment<'_>) -> anyhow::Result<()> {
    // Where Redis took its time to start, the sidecar was started again until it answered.
    let before = deployment.restarts().await?;
    let forward = deployment.cluster.forward("service/chat-agent", 8000).await?;
    let message = r#"{"role": "user", "content": "Hi"}"#;
    let request = deployment.client.post(forward.url("/chat/user1")).body(message);
    let answer = request.header("content-type", "application/json").send().await?.text().await?;
    ensure!(answer == r#"{"response":{"role":"assistant","content":"Got your message: Hi"}}"#, "{answer}");

    produce_one(deployment, "user1", "Hi from Kafka").await?;
    eventually("the message of Kafka is in the history", async || {
        let answer = deployment.client.get(forward.url("/chat/user1/history")).send().await?.text().await?;
        let expected = r#"{"history":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Got your message: Hi"},{"role":"user","content":"Hi from Kafka"},{"role":"assistant","content":"Got your message: Hi from Kafka"}]}"#;
        Ok((answer == expected).then_some(()))
    })
    .await?;

    eventually("both SMS are at Twilio's edge", async || Ok((deployment.twilio.count() >= 2).then_some(())))
        .await?;
    let [sid, token, from] = CREDENTIALS.map(|(_, value)| value);
    for (sms, content) in deployment.twilio.received().iter().zip(["Hi", "Hi from Kafka"]) {
        ensure!(sms.path == format!("/2010-04-01/Accounts/{sid}/Messages.json"), "{sms:?}");
        ensure!(
            sms.authorization == format!("Basic {}", STANDARD.encode(format!("{sid}:{token}"))),
            "{sms:?}"
        );
        ensure!((&*sms.to, &*sms.from) == ("+1987654321", from), "{sms:?}");
        let body = format!("New message from user1: {content} -> Got your message: {content}");
        ensure!(sms.body == body, "{sms:?}");
    }

    let line = "Received event: User user1 sent 'Hi from Kafka', got 'Got your message: Hi from Kafka'";
    let count = async || {
        let mut count = 0;
        for pod in deployment.pod_names().await? {
            count += deployment.cluster.log(&pod, "daca").await?.matches(line).count();
        }
        anyhow::Ok(count)
    };
    eventually("the event arrives", async || Ok((count().await? > 0).then_some(()))).await?;
    // An event that was not acknowledged would come again after redeliverInterval and processingTimeout at the latest; one that
    // is delivered twice by mistake comes at once.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let arrived = count().await?;
    ensure!(arrived == 1, "the event arrived {arrived} times");
    ensure!(deployment.twilio.count() == 2, "{} SMS", deployment.twilio.count());
    ensure!(deployment.restarts().await? == before, "a container was started again");
    println!("curl, Kafka, 2 SMS with the secret's credentials, the event once");
    Ok(())
}
