//! A host that is swapped often stays as large as it was.

use anyhow::Context as _;
use daca_tests::Host;
use daca_tests::deploy::{another, component, done, swapped};

const DEPLOYMENTS: u8 = 200;
/// Deployments after which caches and pools have the size that they keep.
const SETTLED: u8 = 10;
/// Versions that are kept unless the manifest says otherwise.
const KEPT: u8 = 20;
/// Different versions. They displace each other, and the last ones are then deployed again and again, with their
/// compiled code: to compile each of 200 takes half an hour on a busy machine.
const VERSIONS: u8 = 2 * KEPT;
/// Bytes by which the memory may differ. The compiled code of one version has a few hundred thousand: if each of the 190 were
/// held, that would be several times as much, while what an allocator does not give back differs by less.
const TOLERANCE: u64 = 16 * 1024 * 1024;

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024)
}

/// The number and the bytes of the files in a folder whose name ends in this.
fn files(folder: &std::path::Path, end: &str) -> anyhow::Result<(usize, u64)> {
    let (mut number, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(end) {
            number += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((number, bytes))
}

#[tokio::test]
async fn two_hundred_deployments_take_no_more_memory_and_no_more_files_than_ten() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let wasm = component("swapped_v1")?;
    let mut settled = 0;
    for number in 1..=DEPLOYMENTS {
        let version = if number <= VERSIONS { number } else { VERSIONS - number % KEPT };
        assert_eq!(done(host.deploy(&another(&wasm, version), "").await?)?["outcome"], "deployed");
        for actor in 0..10 {
            host.add(&format!("user{actor}"), u64::from(number)).await?;
        }
        if number == SETTLED {
            settled = resident(host.pid())?;
        }
    }
    let after = resident(host.pid())?;
    println!("{} KiB after {SETTLED} deployments, {} KiB after {DEPLOYMENTS}", settled / 1024, after / 1024);
    assert!(after < settled + TOLERANCE, "{settled} bytes after {SETTLED}, {after} after {DEPLOYMENTS}");

    let versions = host.versions().await?;
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(usize::from(KEPT)));
    let data = host.folder().path().join("data");
    assert_eq!(files(&data.join("versions/Swapped"), ".wasm")?.0, usize::from(KEPT));
    let (number, bytes) = files(&data.join("code"), ".code")?;
    assert_eq!(number, usize::from(KEPT));
    let one = bytes / u64::from(KEPT);
    assert!(
        one * u64::from(DEPLOYMENTS - SETTLED) > 3 * TOLERANCE,
        "a leak of {one} bytes would not be seen"
    );
    assert_eq!(host.entries("user0").await?.1.len(), usize::from(DEPLOYMENTS));
    Ok(())
}
