//! The rules of a deployment controller, without an engine, with a clock that the tests move.

pub(in crate::controller) mod support;

use anyhow::{Context as _, ensure};
use daca_base::ErrorCode;
use daca_base::digest::digest;
use daca_fakes::FakeStore;
use daca_model::FileName;
use daca_model::admin::Word;
use daca_model::backend::Error as StoreError;

use super::*;
use crate::record::Source;
use support::{Host, RECORD_KEY, deployment, eventually, origin};

/// Long enough for whatever would happen by itself.
const QUIET: Duration = Duration::from_secs(90);

#[tokio::test(start_paused = true)]
async fn a_deployment_changes_what_serves_and_a_rollback_brings_the_previous_version_back()
-> anyhow::Result<()> {
    let host = Host::start(None).await?;
    let applied = host.deploy("v2", 100).await?;
    assert_eq!((applied.outcome.outcome, applied.revision), (EventKind::Deployed, 2));
    ensure!(host.serves("v2"));
    let record = host.handle.record();
    assert_eq!(host.stored_record().await?.as_deref(), Some(&*record), "it is on disk before it is answered");
    let applied = host.roll_back().await?;
    assert_eq!(applied.outcome.outcome, EventKind::RolledBack);
    ensure!(host.serves("v1"));
    let error = host.roll_back().await.err().context("no version served before")?;
    assert_eq!(error.code, ErrorCode::NothingToRollBack);
    ensure!(host.serves("v1"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_changes_nothing() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2+", 100).await?;
    let before = host.handle.record();
    let error = host.deploy("v3", 100).await.err().context("it cannot read migrated state")?;
    assert_eq!(error.code, ErrorCode::ComponentLacksMigration);
    let overtaken = host.handle.change(deployment("v3+", 100, 1)).await;
    assert_eq!(overtaken.err().context("it is based on an earlier record")?.code, ErrorCode::DeployConflict);
    assert_eq!(host.handle.record(), before);
    assert_eq!(host.stored_record().await?.as_deref(), Some(&*before));
    ensure!(host.serves("v2+"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_in_the_history_and_the_previous_version_keeps_serving() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    let change = Change::Refuse {
        version: digest(b"v2"),
        code: ErrorCode::TrialFailed,
        text: "its activation failed".into(),
    };
    host.handle.change(ChangeRequest::new(change, origin())).await?;
    let record = host.handle.record();
    assert_eq!(record.history.back().map(|event| &event.kind), Some(&Word::Known(EventKind::Refused)));
    assert_eq!(record.revision, 1, "nothing that serves has changed");
    ensure!(host.serves("v1"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_file_is_the_same_on_all_hosts_and_stays() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    let (a, b) = (Host::start(Some(&store)).await?, Host::start(Some(&store)).await?);
    a.handle.synced().await;
    b.handle.synced().await;
    assert_eq!(b.file(), None);
    a.deploy("v2", 100).await?;
    eventually("b serves what a deployed", || b.serves("v2")).await?;
    let named = FileName::new("v2").ok();
    assert_eq!((a.file(), b.file()), (named.clone(), named.clone()));
    // The same bytes by another name, after others have served.
    b.deploy("v3", 100).await?;
    let Change::Deploy { version, label, bytes, migrates, share, .. } = deployment("v2", 100, 3).change
    else {
        anyhow::bail!("it is a deployment");
    };
    let file = FileName::new("other").ok();
    let change = Change::Deploy { version, label, bytes, migrates, share, file };
    b.handle.change(ChangeRequest::new(change, origin())).await?;
    eventually("a serves what b deployed", || a.serves("v2")).await?;
    assert_eq!((a.file(), b.file()), (named.clone(), named));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_hosts_converge_on_the_later_wish() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    let (a, b) = (Host::start(Some(&store)).await?, Host::start(Some(&store)).await?);
    a.handle.synced().await;
    b.handle.synced().await;
    a.deploy("v2", 100).await?;
    eventually("b serves what a deployed", || b.serves("v2")).await?;
    b.deploy("v3", 100).await?;
    let error = a.handle.change(deployment("v4", 100, 2)).await.err().context("b was faster")?;
    assert_eq!(error.code, ErrorCode::DeployConflict);
    eventually("a serves what b deployed", || a.serves("v3")).await?;
    tokio::time::sleep(QUIET).await;
    ensure!(a.serves("v3") && b.serves("v3"));
    assert_eq!(a.handle.record(), b.handle.record());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_a_state_store_a_host_serves_alone_and_reconciles_when_there_is_one() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    store.fail(StoreError::Other("there is no state store".into()));
    let a = Host::start(Some(&store)).await?;
    a.handle.synced().await;
    a.deploy("v2", 100).await?;
    ensure!(a.serves("v2"), "it decides alone");
    store.recover();
    eventually("the record is published", || store.get(RECORD_KEY).is_some()).await?;
    let b = Host::start(Some(&store)).await?;
    eventually("b serves what a has published", || b.serves("v2")).await?;
    b.deploy("v3", 100).await?;
    eventually("a follows b", || a.serves("v3")).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_a_host_keeps_serving_and_refuses_changes() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    let (a, b) = (Host::start(Some(&store)).await?, Host::start(Some(&store)).await?);
    a.handle.synced().await;
    b.handle.synced().await;
    store.fail(StoreError::Unavailable("it restarts".into()));
    tokio::time::sleep(QUIET).await;
    let error = a.deploy("v2", 100).await.err().context("the hosts cannot agree")?;
    assert_eq!(error.code, ErrorCode::SharedStateUnavailable);
    ensure!(a.serves("v1") && b.serves("v1"));
    store.recover();
    a.deploy("v2", 100).await?;
    eventually("b serves what a deployed", || b.serves("v2")).await?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_never_synced_makes_no_change() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    store.fail(StoreError::Unavailable("the sidecar starts".into()));
    let host = Host::start(Some(&store)).await?;
    tokio::time::sleep(QUIET).await;
    let error = host.deploy("v2", 100).await.err().context("what others serve is unknown")?;
    assert_eq!(error.code, ErrorCode::SharedStateUnavailable);
    store.recover();
    host.handle.synced().await;
    host.deploy("v2", 100).await?;
    ensure!(host.serves("v2"));
    Ok(())
}

/// Another host could not take it over.
#[tokio::test(start_paused = true)]
async fn a_record_is_published_only_with_its_versions() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    store.fail(StoreError::Unavailable("the sidecar starts".into()));
    let host = Host::start(Some(&store)).await?;
    let file = host.version_file("v1");
    // It cannot be read, whoever runs this.
    std::fs::remove_file(&file)?;
    std::fs::create_dir(&file)?;
    store.recover();
    host.handle.synced().await;
    let error = host.deploy("v2", 50).await.err().context("v1 would be in use, too")?;
    assert_eq!(error.code, ErrorCode::VersionsUnreadable);
    tokio::time::sleep(QUIET).await;
    assert_eq!(store.get(RECORD_KEY), None);
    ensure!(host.serves("v1") && !host.has_canary("v2"));

    host.deploy("v2", 100).await?;
    ensure!(store.get(RECORD_KEY).is_some(), "this one needs only what can be read");
    let other = Host::start(Some(&store)).await?;
    eventually("the other host serves it", || other.serves("v2")).await
}

#[tokio::test(start_paused = true)]
async fn a_version_that_only_the_shared_state_has_blocks_no_change() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    let host = Host::start(Some(&store)).await?;
    host.handle.synced().await;
    std::fs::remove_file(host.version_file("v1"))?;
    host.deploy("v2", 50).await?;
    ensure!(host.serves("v1") && host.has_canary("v2"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_fails_too_often_is_rolled_back() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2", 50).await?;
    ensure!(host.serves("v1") && host.has_canary("v2"));
    host.serving_turns(100, 5);
    host.canary_turns(50, 50);
    eventually("the canary ends", || !host.has_canary("v2")).await?;
    ensure!(host.serves("v1"));
    let record = host.handle.record();
    let event = record.history.back().context("it is in the history")?;
    assert_eq!(event.kind, Word::Known(EventKind::RolledBack));
    assert_eq!(event.source, Word::Known(Source::Host));
    ensure!(event.version == digest(b"v2") && record.canary.is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_canary_that_does_not_fail_stays_one_until_it_is_promoted_by_request() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2", 50).await?;
    // As often as the serving version.
    host.serving_turns(80, 20);
    host.canary_turns(80, 20);
    tokio::time::sleep(QUIET).await;
    ensure!(host.serves("v1") && host.has_canary("v2"));
    let applied = host.deploy("v2", 100).await?;
    assert_eq!(applied.outcome.outcome, EventKind::Promoted);
    ensure!(host.serves("v2") && !host.has_canary("v2"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_version_that_replaced_another_one_is_rolled_back_within_a_window_and_not_after_it()
-> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2", 100).await?;
    host.serving_turns(50, 50);
    eventually("it is rolled back", || host.serves("v1")).await?;
    host.deploy("v3", 100).await?;
    tokio::time::sleep(QUIET).await;
    host.serving_turns(50, 50);
    tokio::time::sleep(QUIET).await;
    ensure!(host.serves("v3"), "it has passed");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_record_from_a_newer_host_is_neither_served_nor_written_over() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    let host = Host::start(Some(&store)).await?;
    host.handle.synced().await;
    host.deploy("v2", 100).await?;
    let newer = bytes::Bytes::from_static(br#"{"format": 2, "serving": ["in another form"]}"#);
    store.put(RECORD_KEY, newer.clone());
    tokio::time::sleep(QUIET).await;
    ensure!(host.serves("v2"));
    for error in [host.deploy("v3", 100).await.err(), host.roll_back().await.err()] {
        assert_eq!(error.context("it is refused")?.code, ErrorCode::RecordTooNew);
    }
    ensure!(host.serves("v2"));
    let fresh = Host::start(Some(&store)).await?;
    fresh.handle.synced().await;
    let error = fresh.deploy("v3", 100).await.err().context("it is refused")?;
    assert_eq!(error.code, ErrorCode::RecordTooNew);
    ensure!(fresh.serves("v1"));
    assert_eq!(store.get(RECORD_KEY), Some(newer));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn while_its_record_is_gone_from_the_disk_a_host_says_so_and_refuses_changes() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2", 100).await?;
    let versions = host.data().join("versions");
    let elsewhere = host.data().join("elsewhere");
    std::fs::rename(&versions, &elsewhere)?;
    eventually("it is noticed", || !host.handle.is_kept()).await?;
    let error = host.deploy("v3", 100).await.err().context("the next start would not find it")?;
    assert_eq!(error.code, ErrorCode::VersionsUnwritable);
    ensure!(host.serves("v2"));
    std::fs::rename(&elsewhere, &versions)?;
    eventually("it is noticed", || host.handle.is_kept()).await?;
    host.deploy("v3", 100).await?;
    ensure!(host.serves("v3"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stored_version_that_becomes_another_one_of_its_size_is_noticed() -> anyhow::Result<()> {
    let host = Host::start(None).await?;
    host.deploy("v2", 100).await?;
    tokio::time::sleep(QUIET).await;
    ensure!(host.handle.is_kept());
    let file = host.version_file("v2");
    // Renamed over it: one that is written in place within a tick of the file system's clock looks the same.
    let replace = |content: &str| {
        let other = file.with_extension("other");
        std::fs::write(&other, content)?;
        std::fs::rename(&other, &file)
    };
    replace("v3")?;
    eventually("it is noticed", || !host.handle.is_kept()).await?;
    ensure!(host.serves("v2"), "it is in memory");
    replace("v2")?;
    eventually("it is noticed", || host.handle.is_kept()).await?;
    Ok(())
}

/// What lies in the shared state is that of the release before: its record, with a canary and a pin, and its components.
#[tokio::test(start_paused = true)]
async fn a_host_takes_over_what_the_release_before_has_shared() -> anyhow::Result<()> {
    let store = Arc::new(FakeStore::default());
    store.put(RECORD_KEY, include_str!("../../tests/stored/ec781bc/shared-record.json").trim_end().into());
    for (name, chunk) in [
        ("v2", include_str!("../../tests/stored/ec781bc/component-v2-0.json")),
        ("v3+", include_str!("../../tests/stored/ec781bc/component-v3-0.json")),
    ] {
        let key = format!("daca-component-Agent-{}", digest(name.as_bytes()));
        let head = include_str!("../../tests/stored/ec781bc/component-head.json");
        store.put(&key, head.trim_end().into());
        store.put(&format!("{key}-0"), chunk.trim_end().into());
    }
    let host = Host::start(Some(&store)).await?;
    eventually("the record's versions serve", || host.serves("v2") && host.has_canary("v3+")).await?;
    let record = host.handle.record();
    assert_eq!((record.revision, record.pins.get("user1")), (4, Some(&digest(b"v1"))));
    assert_eq!(host.deploy("v3+", 60).await?.revision, 5);
    Ok(())
}
