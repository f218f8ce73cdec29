use std::path::Path;
use std::sync::OnceLock;

use daca_model::backend::{StateWrite, WakeupKind};
use parking_lot::Mutex;
use tonic::Status;

use super::epoch::Epoch;
use super::*;

/// The backend behind a sidecar that answers in this way, for one agent type.
async fn behind(
    answer: impl Fn(&str, Bytes) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
) -> anyhow::Result<Sidecar> {
    let (grpc, http) = (fake::sidecar(answer).await?, fake::http("").await?);
    let manifest = Manifest::parse(Path::new("agents.toml"), "[agents.A]\ncomponent = \"agent.wasm\"\n")?;
    let options = SidecarOptions { grpc, http, api_token: None, restarts: false };
    Ok(Sidecar::new(&manifest, options, &MemoryBudget::unlimited())?)
}

/// A host that was stopped for a while does not notice it before it asks.
#[tokio::test]
async fn a_host_that_may_have_lost_the_actor_since_its_write_removes_no_reminder() -> anyhow::Result<()> {
    let (epoch, methods) = (Arc::<OnceLock<Epoch>>::default(), Arc::<Mutex<Vec<String>>>::default());
    let (lost, seen) = (epoch.clone(), methods.clone());
    let sidecar = behind(move |method, _| {
        seen.lock().push(method.to_owned());
        if method == "ExecuteActorStateTransaction"
            && let Some(epoch) = lost.get()
        {
            epoch.begin();
        }
        Ok(Vec::new())
    });
    let sidecar = sidecar.await?;
    let key = WakeupKey { kind: WakeupKind::Reminder, name: "r".to_owned() };
    let commit = TurnCommit {
        writes: [("k".to_owned(), StateWrite::Delete)].into(),
        wakeups: [(key, None)].into(),
        ..TurnCommit::default()
    };
    let actor = "A/a".parse()?;
    let requests = || std::mem::take(&mut *methods.lock());
    sidecar.commit(&actor, &commit).await?;
    assert_eq!(requests(), ["ExecuteActorStateTransaction", "UnregisterActorReminder"]);
    assert!(epoch.set(sidecar.watch.epoch.clone()).is_ok());
    let in_doubt = sidecar.commit(&actor, &commit).await;
    assert!(matches!(in_doubt, Err(Error::Unavailable(_))), "{in_doubt:?}");
    assert_eq!(requests(), ["ExecuteActorStateTransaction"]);
    Ok(())
}
