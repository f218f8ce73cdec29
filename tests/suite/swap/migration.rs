//! State that changes its schema with the version: forwards, back, and not at all when it fails.
//!
//! `swapped_migrates` answers as `v3` and keeps its numbers under another key (label `2`); `swapped_back`, `v4`, keeps them as `v1`
//! does (label `1`) and can migrate back.

use std::sync::Arc;

use daca_tests::deploy::{another, component, done, refusal, swapped};
use daca_tests::{Host, LONGER_AND_LONGER, eventually};
use serde_json::{Value, json};

/// Notes 1, 2, 3 in each actor.
async fn fill(host: &Host, actors: &[&str]) -> anyhow::Result<()> {
    for actor in actors {
        for number in 1..=3 {
            host.add(actor, number).await?;
        }
    }
    Ok(())
}

fn answered(version: &str, entries: &[u64]) -> (String, Vec<u64>) {
    (version.to_owned(), entries.to_owned())
}

#[tokio::test]
async fn each_actors_state_is_migrated_once_and_nothing_of_it_is_lost() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    fill(&host, &["read", "written", "late"]).await?;
    host.deploy_guest("swapped_migrates", "").await?;
    // A turn that only reads migrates for good, too.
    assert_eq!(host.entries("read").await?, answered("v3", &[1, 2, 3]));
    assert_eq!(host.add("written", 4).await?, 4);
    assert_eq!(host.add("new", 1).await?, 1);

    // A second migration would find nothing under the old key, and leave nothing: so it must not happen on another version of
    // the same label, nor after a restart.
    let same_label = another(&component("swapped_migrates")?, 1);
    assert_eq!(done(host.deploy(&same_label, "").await?)?["label"], "2");
    let as_migrated = async |host: &Host| -> anyhow::Result<()> {
        assert_eq!(host.entries("read").await?, answered("v3", &[1, 2, 3]));
        assert_eq!(host.entries("written").await?, answered("v3", &[1, 2, 3, 4]));
        assert_eq!(host.entries("new").await?, answered("v3", &[1]));
        Ok(())
    };
    as_migrated(&host).await?;
    let folder = host.kill()?;
    let host = Host::start_in(folder, &swapped("")).await?;
    as_migrated(&host).await?;
    assert_eq!(host.entries("late").await?, answered("v3", &[1, 2, 3]));
    Ok(())
}

/// The hook of an older instance would write state in the old schema, under the new one's label.
#[tokio::test]
async fn an_activation_that_an_older_version_began_ends_on_the_one_that_serves() -> anyhow::Result<()> {
    // On a busy machine the turn may be over before the version is swapped: then once more, with more time.
    for ms in LONGER_AND_LONGER {
        let host = Arc::new(Host::start(&swapped("idle-timeout = \"500ms\"")).await?);
        // Its code is compiled before the turn begins, so that the swap is quick.
        host.deploy_guest("swapped_migrates", "").await?;
        done(host.roll_back(true).await?)?;
        fill(&host, &["a"]).await?;
        host.until_idle("Swapped/a").await?;
        let slow = host.begin("Swapped/a", "Sleep", &json!({"ms": ms}));
        if !host.is_caught("Swapped/a", 0, &slow).await? {
            continue;
        }
        host.deploy_guest("swapped_migrates", "").await?;
        if slow.is_finished() {
            continue;
        }
        assert_eq!(slow.await??.body["version"], "v1");
        eventually("the actor is deactivated", async || Ok(host.activation("Swapped/a").await?.is_none()))
            .await?;
        assert_eq!(host.call("Swapped/a", "DeactivatedBy", &Value::Null).await?, "v3");
        assert_eq!(host.entries("a").await?, answered("v3", &[1, 2, 3]));
        return Ok(());
    }
    anyhow::bail!("each turn had ended before the version was swapped")
}

#[tokio::test]
async fn a_migration_that_fails_fails_its_turn_and_leaves_the_state_as_it_was() -> anyhow::Result<()> {
    for (setting, code) in [("fail-migration", "failed"), ("trap-migration", "guest-trapped")] {
        let host = Host::start(&swapped(&format!("settings = {{ {setting} = \"yes\" }}"))).await?;
        fill(&host, &["a"]).await?;
        host.deploy_guest("swapped_migrates", "").await?;
        for _ in 0..2 {
            let answer = host.invoke("Swapped/a", "Add", &json!({"number": 4})).await?;
            assert_eq!(refusal(&answer), (500, code), "{answer:?}");
        }
        done(host.roll_back(true).await?)?;
        assert_eq!(host.entries("a").await?, answered("v1", &[1, 2, 3]), "{setting}");
    }
    Ok(())
}

#[tokio::test]
async fn going_back_after_a_migration_is_refused_or_forced_and_a_version_that_can_migrate_back_loses_nothing()
-> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    fill(&host, &["migrated", "untouched"]).await?;
    host.deploy_guest("swapped_migrates", "").await?;
    assert_eq!(host.add("migrated", 4).await?, 4);
    let answer = host.roll_back(false).await?;
    assert_eq!(refusal(&answer), (409, "rollback-loses-shape"), "{answer:?}");
    assert_eq!(host.serving("migrated").await?, "v3");

    done(host.roll_back(true).await?)?;
    for (method, payload) in [("Entries", Value::Null), ("Add", json!({"number": 5}))] {
        let answer = host.invoke("Swapped/migrated", method, &payload).await?;
        assert_eq!(refusal(&answer), (503, "state-shape-unknown"), "{method}: {answer:?}");
    }
    assert_eq!(host.entries("untouched").await?, answered("v1", &[1, 2, 3]));
    assert_eq!(host.add("new", 1).await?, 1);

    host.deploy_guest("swapped_back", "").await?;
    assert_eq!(host.entries("migrated").await?, answered("v4", &[1, 2, 3, 4]));
    assert_eq!(host.entries("untouched").await?, answered("v4", &[1, 2, 3]));
    assert_eq!(host.entries("new").await?, answered("v4", &[1]));
    Ok(())
}

#[tokio::test]
async fn a_version_that_could_not_read_migrated_state_serves_only_under_a_label_that_says_it_can()
-> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    fill(&host, &["a"]).await?;
    host.deploy_guest("swapped_migrates", "").await?;
    assert_eq!(host.entries("a").await?, answered("v3", &[1, 2, 3]));
    let refused_while = async |version: &str| -> anyhow::Result<()> {
        let refused = component("swapped_v2")?;
        let answer = host.deploy(&refused, "").await?;
        assert_eq!(refusal(&answer), (409, "component-lacks-migration"), "{answer:?}");
        assert_eq!(host.serving("a").await?, version);
        let event = host.last_event().await?;
        assert_eq!(
            (&event["what"], &event["code"]),
            (&json!("refused"), &json!("component-lacks-migration"))
        );
        Ok(())
    };
    refused_while("v3").await?;
    done(host.deploy(&another(&component("swapped_v2")?, 1), "label=2").await?)?;
    assert_eq!(host.serving("a").await?, "v2");
    // The version that has migrated serves no more, and what it left is there.
    refused_while("v2").await
}

#[tokio::test]
async fn a_version_that_serves_is_given_another_label() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    fill(&host, &["a"]).await?;
    host.deploy_guest("swapped_migrates", "").await?;
    host.add("a", 4).await?;
    done(host.roll_back(true).await?)?;
    let stranded = host.invoke("Swapped/a", "Add", &json!({"number": 5})).await?;
    assert_eq!(refusal(&stranded), (503, "state-shape-unknown"));
    // Somebody who knows that the old version reads the new shape says so; this one does not, and starts anew.
    assert_eq!(host.deploy_guest("swapped_v1", "label=2").await?["label"], "2");
    assert_eq!(host.entries("a").await?, answered("v1", &[]));
    assert_eq!(host.deploy_guest("swapped_v1", "").await?["outcome"], "unchanged", "the label stays");
    Ok(())
}
