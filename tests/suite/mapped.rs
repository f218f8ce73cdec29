//! Components with much data: their instances map it, and are swapped, interrupted and kept apart like all others.

use daca_tests::Host;
use daca_tests::deploy::{component, done, swapped, version_of};
use serde_json::{Value, json};

/// A byte in the middle of the data of `swapped_large`, and its value in the file.
const AT: usize = 500_000;
const FIRST: u64 = 90;

/// Returns `true` if the host has an image of memories.
fn has_image(host: &Host) -> anyhow::Result<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", host.pid()))?;
    Ok(maps.contains("memfd:wasm-memory-image"))
}

/// The files with compiled code.
fn compiled(host: &Host) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(host.folder().path().join("data/code"))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

async fn count(host: &Host, actor: &str) -> anyhow::Result<Value> {
    host.call(&format!("Swapped/{actor}"), "Count", &json!({"at": AT})).await
}

#[tokio::test]
async fn a_small_component_is_swapped_for_a_large_one_and_back_and_keeps_its_state() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    assert_eq!(host.add("a", 1).await?, 1);
    assert!(!has_image(&host)?, "a small one is copied");

    host.deploy_guest("swapped_large", "").await?;
    assert_eq!(host.add("a", 2).await?, 2);
    assert!(has_image(&host)?, "a large one is mapped");
    assert_eq!((count(&host, "a").await?, count(&host, "a").await?), (json!(FIRST), json!(FIRST + 1)));
    assert_eq!(count(&host, "b").await?, json!(FIRST), "another instance has its own data");
    // A restart finds the code of both where it left it.
    let files = compiled(&host)?;
    assert_eq!(files.len(), 2, "{files:?}");
    let host = Host::start_in(host.kill()?, &swapped("")).await?;
    assert_eq!(host.entries("a").await?, ("large".to_owned(), vec![1, 2]));
    assert_eq!(count(&host, "a").await?, json!(FIRST));
    assert_eq!(compiled(&host)?, files);

    host.deploy_guest("swapped_v2", "").await?;
    assert_eq!(host.add("a", 3).await?, 3);
    done(host.roll_back(false).await?)?;
    assert_eq!(host.add("a", 4).await?, 4);
    assert_eq!(host.entries("a").await?, ("large".to_owned(), vec![1, 2, 3, 4]));
    Ok(())
}

#[tokio::test]
async fn both_kinds_serve_at_once_and_a_loop_ends_at_its_limit_in_a_large_one_too() -> anyhow::Result<()> {
    // The failures are meant, and no reason to roll back.
    let rules = "limits = { running-time = \"300ms\" }\n[deploy]\nleast-turns = 1000\n";
    let host = Host::start(&swapped(rules)).await?;
    host.deploy_guest("swapped_large", "").await?;
    done(host.pin("small", &version_of(&component("swapped_v1")?)).await?)?;
    assert_eq!(count(&host, "large").await?, json!(FIRST));
    for number in 1..=3 {
        let answer = host.invoke("Swapped/large", "Loop", &Value::Null).await?;
        assert_eq!(answer.outcome(), (500, Some("running-time-exceeded")), "{answer:?}");
        // What the loop's instance had written is gone with it.
        assert_eq!(count(&host, "large").await?, json!(FIRST));
        assert_eq!((host.add("large", number).await?, host.add("small", number).await?), (number, number));
        assert_eq!(
            (host.serving("large").await?, host.serving("small").await?),
            ("large".into(), "v1".into())
        );
    }
    Ok(())
}
