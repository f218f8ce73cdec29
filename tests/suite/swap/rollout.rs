//! Who gets which version: a share, a pin, and the ways back.

use std::collections::BTreeSet;

use daca_tests::Host;
use daca_tests::deploy::{another, component, done, refusal, swapped, version_of};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

const ACTORS: u32 = 1_000;
/// Calls at the same time.
const CALLERS: usize = 16;

/// The actors that version `v2` answers.
async fn on_v2(host: &Host) -> anyhow::Result<BTreeSet<u32>> {
    let ask = async |actor: u32| anyhow::Ok((actor, host.serving(&format!("user{actor}")).await?));
    let asked = futures::stream::iter(0..ACTORS).map(ask).buffer_unordered(CALLERS);
    let of_v2 = asked.try_filter_map(async |(actor, version)| Ok((version == "v2").then_some(actor)));
    of_v2.try_collect().await
}

#[tokio::test]
async fn a_share_is_always_the_same_actors_and_grows_by_others_until_all_have_it() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    assert_eq!(host.deploy_guest("swapped_v2", "share=10").await?["outcome"], "canary");
    let tenth = on_v2(&host).await?;
    assert!((50..=150).contains(&tenth.len()), "{} of {ACTORS}", tenth.len());
    assert_eq!(on_v2(&host).await?, tenth, "asked again");
    let folder = host.folder();
    host.stop().await?;
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!(on_v2(&host).await?, tenth, "after a restart");

    assert_eq!(host.deploy_guest("swapped_v2", "share=50").await?["outcome"], "canary");
    let half = on_v2(&host).await?;
    assert!((400..=600).contains(&half.len()), "{} of {ACTORS}", half.len());
    assert!(half.is_superset(&tenth), "the share that grows keeps its actors");
    assert_eq!(host.deploy_guest("swapped_v2", "share=100").await?["outcome"], "promoted");
    assert_eq!(on_v2(&host).await?.len(), ACTORS as usize);
    Ok(())
}

#[tokio::test]
async fn a_rollback_ends_a_canary_alone_and_otherwise_goes_back_version_by_version() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let (first, second) = (component("swapped_v1")?, component("swapped_v2")?);
    let third = another(&first, 3);
    done(host.deploy(&second, "").await?)?;
    done(host.deploy(&third, "").await?)?;
    done(host.deploy(&another(&second, 4), "share=50").await?)?;
    for expected in [&third, &second, &first] {
        let rolled_back = done(host.roll_back(false).await?)?;
        assert_eq!(rolled_back["outcome"], "rolled-back");
        assert_eq!(rolled_back["version"], version_of(expected));
        let versions = host.versions().await?;
        assert_eq!((&versions["serving"], &versions["canary"]), (&rolled_back["version"], &Value::Null));
    }
    assert_eq!(host.serving("a").await?, "v1");
    assert_eq!(refusal(&host.roll_back(false).await?), (409, "nothing-to-roll-back"));
    Ok(())
}

#[tokio::test]
async fn a_kept_version_is_deployed_again_by_the_beginning_of_its_digest() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    host.deploy_guest("swapped_v2", "").await?;
    let version = version_of(&component("swapped_v1")?);
    let deployed = done(host.deploy_kept(&version[..12], 100).await?)?;
    assert_eq!((&deployed["outcome"], &deployed["version"]), (&json!("deployed"), &json!(version)));
    assert_eq!(host.serving("a").await?, "v1");
    Ok(())
}

#[tokio::test]
async fn a_pinned_actor_stays_on_its_version_through_deployments_and_a_restart() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let first = component("swapped_v1")?;
    host.deploy_guest("swapped_v2", "").await?;
    let version = version_of(&component("swapped_v2")?);
    assert_eq!(done(host.pin("held", &version[..12]).await?)?["version"], version);
    for component in [&first, &another(&first, 1)] {
        done(host.deploy(component, "").await?)?;
        assert_eq!((&*host.serving("held").await?, &*host.serving("other").await?), ("v2", "v1"));
    }
    assert_eq!(host.versions().await?["pins"], json!({ "held": version }));
    let folder = host.folder();
    host.stop().await?;
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!((&*host.serving("held").await?, &*host.serving("other").await?), ("v2", "v1"));
    done(host.unpin("held").await?)?;
    assert_eq!(host.serving("held").await?, "v1");
    Ok(())
}

#[tokio::test]
async fn a_pinned_version_that_is_lost_hinders_neither_a_start_nor_a_change() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let first = component("swapped_v1")?;
    host.deploy_guest("swapped_v2", "").await?;
    let version = version_of(&component("swapped_v2")?);
    for actor in ["held", "held2"] {
        done(host.pin(actor, &version).await?)?;
    }
    done(host.deploy(&first, "").await?)?;
    let folder = host.folder();
    host.stop().await?;
    let kept = folder.path().join("data/versions/Swapped");
    std::fs::remove_file(kept.join(format!("{version}.wasm")))?;
    // The manifest's file holds the version that serves.
    std::fs::remove_file(kept.join(format!("{}.wasm", version_of(&first))))?;
    let host = Host::start_in(folder, &swapped("")).await?;
    assert_eq!(host.serving("held").await?, "v1");
    assert_eq!(refusal(&host.pin("other", &version).await?), (404, "version-unknown"));
    done(host.unpin("held").await?)?;
    host.deploy_guest("swapped_v2", "").await?;
    done(host.deploy(&first, "").await?)?;
    assert_eq!((&*host.serving("held").await?, &*host.serving("held2").await?), ("v1", "v2"));
    Ok(())
}
