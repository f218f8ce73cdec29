use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::pin::pin;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::*;

/// Long enough for whatever must happen.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Long enough for what must not happen to show on most machines. A test that waits for it cannot fail by its length.
const QUIET: Duration = Duration::from_millis(1_500);

/// A watched file with the content "old", which is known.
fn watched(path: &Path) -> anyhow::Result<ComponentFile> {
    if !path.exists() {
        std::fs::write(path, "old")?;
    }
    let content = ComponentFile::read(path)?;
    assert_eq!(content.wasm, "old");
    Ok(ComponentFile::new(path).knowing(&content))
}

/// What is reported of a change that is made while the file is watched.
async fn report(
    file: &mut ComponentFile,
    change: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Option<FileContent>> {
    let mut next = pin!(file.next());
    if let Ok(content) = tokio::time::timeout(QUIET / 3, &mut next).await {
        bail!("reported before the change: {content:?}");
    }
    change()?;
    // In the middle of a wait it may be dropped, which loses nothing.
    Ok(tokio::time::timeout(QUIET, &mut next).await.ok())
}

async fn reported(
    file: &mut ComponentFile,
    change: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<FileContent> {
    match report(file, change).await? {
        Some(content) => Ok(content),
        None => tokio::time::timeout(TIMEOUT, file.next()).await.context("the change was not reported"),
    }
}

#[tokio::test]
async fn a_file_that_is_written_over_is_reported_once() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.wasm");
    let mut file = watched(&path)?;
    let content = reported(&mut file, || Ok(std::fs::write(&path, "new")?)).await?;
    assert_eq!((&content.wasm[..], content.signature), (&b"new"[..], None));
    assert_eq!(content.digest, hex::encode(Sha256::digest("new")));
    assert!(report(&mut file, || Ok(std::fs::write(&path, "new")?)).await?.is_none(), "the same again");
    Ok(())
}

#[tokio::test]
async fn a_file_that_another_one_is_renamed_over_is_reported() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.wasm");
    let mut file = watched(&path)?;
    for text in ["new", "newer"] {
        let rename = || {
            std::fs::write(folder.path().join("unfinished"), text)?;
            Ok(std::fs::rename(folder.path().join("unfinished"), &path)?)
        };
        assert_eq!(reported(&mut file, rename).await?.wasm, text);
    }
    Ok(())
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_reported_when_it_swaps_its_data() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let volume = folder.path();
    let fill = |name: &str, text: &str| {
        std::fs::create_dir(volume.join(name))?;
        std::fs::write(volume.join(name).join("a.wasm"), text)
    };
    fill("..1", "old")?;
    symlink("..1", volume.join("..data"))?;
    symlink("..data/a.wasm", volume.join("a.wasm"))?;
    let mut file = watched(&volume.join("a.wasm"))?;
    for (before, after, text) in [("..1", "..2", "new"), ("..2", "..3", "newer")] {
        let swap = || {
            fill(after, text)?;
            symlink(after, volume.join("..data_tmp"))?;
            std::fs::rename(volume.join("..data_tmp"), volume.join("..data"))?;
            Ok(std::fs::remove_dir_all(volume.join(before))?)
        };
        assert_eq!(reported(&mut file, swap).await?.wasm, text);
    }
    Ok(())
}

#[tokio::test]
async fn a_link_on_the_way_that_leads_elsewhere_is_reported() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let root = folder.path();
    for (release, text) in [("6", "old"), ("7", "new")] {
        std::fs::create_dir_all(root.join("releases").join(release).join("bin"))?;
        std::fs::write(root.join("releases").join(release).join("bin/a.wasm"), text)?;
    }
    symlink("releases/6", root.join("current"))?;
    let mut file = watched(&root.join("current/bin/a.wasm"))?;
    let switch = || {
        std::fs::remove_file(root.join("current"))?;
        Ok(symlink("releases/7", root.join("current"))?)
    };
    assert_eq!(reported(&mut file, switch).await?.wasm, "new");
    // And from there on it is the new one that is watched.
    let rewrite = || Ok(std::fs::write(root.join("releases/7/bin/a.wasm"), "newer")?);
    assert_eq!(reported(&mut file, rewrite).await?.wasm, "newer");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_gone_for_a_while_is_reported_when_it_is_another() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let inner = folder.path().join("target");
    std::fs::create_dir(&inner)?;
    let path = inner.join("a.wasm");
    let mut file = watched(&path)?;
    assert!(report(&mut file, || Ok(std::fs::remove_dir_all(&inner)?)).await?.is_none(), "it is gone");
    let create = |text: &'static str| {
        let (inner, path) = (&inner, &path);
        move || {
            std::fs::create_dir_all(inner)?;
            Ok(std::fs::write(path, text)?)
        }
    };
    assert!(report(&mut file, create("old")).await?.is_none(), "it is the same again");
    std::fs::remove_dir_all(&inner)?;
    assert_eq!(reported(&mut file, create("new")).await?.wasm, "new");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_written_in_pieces_is_reported_as_a_whole() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    for attempt in 0..20 {
        let path = folder.path().join(format!("{attempt}.wasm"));
        let mut file = watched(&path)?;
        let target = path.clone();
        let writer = std::thread::spawn(move || -> io::Result<Duration> {
            let mut slowest = Duration::ZERO;
            let mut file = File::create(&target)?;
            let mut last = std::time::Instant::now();
            for _ in 0..20 {
                file.write_all(b"piece ")?;
                slowest = slowest.max(last.elapsed());
                last = std::time::Instant::now();
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(slowest)
        });
        let content = tokio::time::timeout(TIMEOUT, file.next()).await?;
        let Ok(slowest) = writer.join() else { bail!("the writer panicked") };
        // On a busy machine the writer may be so slow that half a file is what must be reported.
        if slowest? < SETTLED {
            assert_eq!(content.wasm, "piece ".repeat(20));
            return Ok(());
        }
    }
    bail!("this machine never wrote two pieces within {SETTLED:?}")
}

#[tokio::test]
async fn a_signature_that_comes_later_is_reported_with_its_component() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.wasm");
    let mut file = watched(&path)?;
    let sign = || Ok(std::fs::write(signature_path(&path), "signature\n")?);
    let content = reported(&mut file, sign).await?;
    assert_eq!((&content.wasm[..], content.signature.as_deref()), (&b"old"[..], Some("signature\n")));
    Ok(())
}

/// Editors of Windows write such a mark.
#[test]
fn a_signature_is_read_without_a_byte_order_mark() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.wasm");
    std::fs::write(&path, "old")?;
    std::fs::write(signature_path(&path), "\u{feff}signature\n")?;
    assert_eq!(ComponentFile::read(&path)?.signature.as_deref(), Some("signature\n"));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_hides_nothing_that_comes_after_it() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("a.wasm");
    let mut file = watched(&path)?;
    let replace = || {
        std::fs::remove_file(&path)?;
        Ok(std::fs::create_dir(&path)?)
    };
    assert!(report(&mut file, replace).await?.is_none(), "a folder is no component");
    let mend = || {
        std::fs::remove_dir(&path)?;
        Ok(std::fs::write(&path, "new")?)
    };
    assert_eq!(reported(&mut file, mend).await?.wasm, "new");
    Ok(())
}
