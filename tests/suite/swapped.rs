//! The versions of one agent that are there to be swapped, each by itself: what they have in common, and what they are for.

use daca_tests::{Host, eventually, manifest_of};
use serde_json::{Value, json};

#[tokio::test]
async fn each_version_answers_as_itself_and_fails_where_it_must() -> anyhow::Result<()> {
    let sound =
        [("swapped_v1", "v1"), ("swapped_v2", "v2"), ("swapped_migrates", "v3"), ("swapped_back", "v4")];
    let broken = ["swapped_traps", "swapped_fails_activate"];
    let guests = sound.iter().map(|(guest, _)| *guest).chain(broken);
    let host = Host::start(&guests.map(|guest| manifest_of(guest, guest, "")).collect::<String>()).await?;

    for (guest, version) in sound {
        let actor = format!("{guest}/a");
        let call = async |method: &str, payload: Value| host.call(&actor, method, &payload).await;
        let noted = |entries: usize| json!({"version": version, "entries": entries, "check": version});
        assert_eq!(call("Add", json!({"number": 7})).await?, noted(1));
        assert_eq!(call("Add", json!({"number": 8})).await?, noted(2));
        assert_eq!(call("Sleep", json!({"ms": 1})).await?, noted(2));
        assert_eq!(call("Activations", Value::Null).await?, json!(1));
        call("Remind", json!({"name": "r", "due_ms": 0, "number": 9})).await?;
        eventually("the reminder fires", async || Ok(call("FiredBy", Value::Null).await? == version)).await?;
        let entries = call("Entries", Value::Null).await?;
        assert_eq!(entries, json!({"version": version, "entries": [7, 8, 9]}));
    }
    for guest in broken {
        let answer = host.invoke(&format!("{guest}/a"), "Activations", &Value::Null).await?;
        assert_eq!(answer.outcome(), (500, Some("guest-trapped")), "{guest}: {answer:?}");
    }
    Ok(())
}
