//! A version that fails is taken back by the host itself.

use std::collections::BTreeMap;

use daca_tests::Host;
use daca_tests::deploy::{component, refusal, swapped, version_of};
use serde_json::{Value, json};

const ACTORS: u64 = 40;
/// More than a run of the test needs, so that all failures are within it.
const RULES: &str = "[deploy]\nwindow = \"20s\"\nmargin = 5\nleast-turns = 8\n";
/// More rounds than any failing version may last.
const MAX_ROUNDS: u64 = 10_000;

/// Adds to each actor, and answers how many calls failed. Those that were answered well are noted in `expected`.
async fn round(host: &Host, number: u64, expected: &mut BTreeMap<u64, Vec<u64>>) -> anyhow::Result<u64> {
    let mut failed = 0;
    for actor in 0..ACTORS {
        let answer =
            host.invoke(&format!("Swapped/user{actor}"), "Add", &json!({ "number": number })).await?;
        match answer.status.as_u16() {
            200 => expected.entry(actor).or_default().push(number),
            _ => {
                assert_eq!(refusal(&answer), (500, "guest-trapped"), "{answer:?}");
                failed += 1;
            }
        }
    }
    Ok(failed)
}

#[tokio::test]
async fn a_version_that_traps_is_rolled_back_with_its_reason_and_no_state_is_lost() -> anyhow::Result<()> {
    let broken = version_of(&component("swapped_traps")?);
    for share in [50, 100] {
        let host = Host::start(&swapped(RULES)).await?;
        let mut expected = BTreeMap::new();
        assert_eq!(round(&host, 0, &mut expected).await?, 0);
        host.deploy_guest("swapped_traps", &format!("share={share}")).await?;
        let mut failed = 0;
        for number in 1..MAX_ROUNDS {
            failed += round(&host, number, &mut expected).await?;
            if host.last_event().await?["what"] == "rolled-back" {
                break;
            }
        }

        let event = host.last_event().await?;
        assert_eq!((&event["what"], &event["version"]), (&json!("rolled-back"), &json!(broken)), "{event}");
        assert_eq!(event["source"], "host");
        let text = event["text"].as_str().unwrap_or_default();
        assert!(text.contains("turns failed (100 %)"), "it says why: {text}");
        let line = host.wait_for_log("the rollback", |line| line["code"] == "rolled-back").await?;
        assert_eq!(line["level"], "WARN");

        let versions = host.versions().await?;
        let all = versions["versions"].as_array().cloned().unwrap_or_default();
        let counted = all.iter().find(|version| version["version"] == *broken).cloned().unwrap_or_default();
        let counts = ["turns", "failed_turns", "faults"].map(|name| counted[name].clone());
        assert_eq!(counts, [failed, failed, failed].map(Value::from), "{counted}");

        assert_eq!(round(&host, MAX_ROUNDS, &mut expected).await?, 0, "all actors answer again");
        for (actor, numbers) in expected {
            assert_eq!(host.entries(&format!("user{actor}")).await?, ("v1".to_owned(), numbers));
        }
    }
    Ok(())
}

#[tokio::test]
async fn neither_a_restart_nor_a_canary_beside_it_spares_a_version_that_fails() -> anyhow::Result<()> {
    let good = version_of(&component("swapped_v1")?);
    for is_restarted in [true, false] {
        let mut host = Host::start(&swapped(RULES)).await?;
        let mut expected = BTreeMap::new();
        assert_eq!(round(&host, 0, &mut expected).await?, 0);
        host.deploy_guest("swapped_traps", "").await?;
        if is_restarted {
            let folder = host.kill()?;
            host = Host::start_in(folder, &swapped(RULES)).await?;
        } else {
            host.deploy_guest("swapped_v2", "share=5").await?;
        }
        for number in 1..MAX_ROUNDS {
            round(&host, number, &mut expected).await?;
            if host.versions().await?["serving"] == *good {
                break;
            }
        }
        assert_eq!(host.versions().await?["serving"], *good);
        assert_eq!(host.versions().await?["canary"], Value::Null);
        assert_eq!(round(&host, MAX_ROUNDS, &mut expected).await?, 0, "all actors answer again");
    }
    Ok(())
}
