use tempfile::TempDir;

use super::*;

/// Else each build of a folder that is watched as a whole would begin the next one.
#[tokio::test]
async fn what_toolchains_write_is_no_source_and_neither_is_the_component() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("agent.py"), "1")?;
    let sources = Sources::new(vec![folder.path().to_owned()], &path("agent.wasm"));
    let sources = sources.map_err(|_| anyhow::anyhow!("it cannot be watched"))?;
    let due = async || difference(&sources.seen, &sources.look().await.files);
    for name in ["__pycache__", "build", "dist", "node_modules", "target", "venv", ".venv", ".daca", "src"] {
        std::fs::create_dir(path(name))?;
    }
    for name in [
        "__pycache__/agent.pyc",
        "build/a.o",
        "dist/agent.js",
        "node_modules/a.js",
        "target/a.rs",
        "venv/a.py",
        ".venv/a.py",
        ".daca/state.redb",
        "agent.wasm",
        "agent.wasm.sig",
    ] {
        std::fs::write(path(name), "x")?;
        assert_eq!(due().await, None, "{name}");
    }
    std::fs::write(path("src/a.py"), "x")?;
    assert_eq!(due().await, Some(path("src/a.py")));
    Ok(())
}

/// Without a folder there are no events, and a save is noticed up to a second later. Tests run in their package's
/// folder.
#[tokio::test]
async fn the_folder_of_a_bare_name_is_watched() -> anyhow::Result<()> {
    let sources = Sources::new(vec!["Cargo.toml".into()], Path::new("a.wasm"));
    let sources = sources.map_err(|_| anyhow::anyhow!("it cannot be watched"))?;
    assert_eq!(sources.look().await.folders, [PathBuf::from(".")]);
    Ok(())
}

/// What somebody saves during a build is built after it; what the build writes is not, whatever it writes.
#[tokio::test]
async fn what_a_build_writes_begins_no_build_for_ever() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    // Two writes may fall into one tick of the file system's clock.
    let clock = std::cell::Cell::new(std::time::SystemTime::UNIX_EPOCH);
    let write = |name: &str, text: &str| {
        clock.set(clock.get() + Duration::from_secs(1));
        std::fs::write(path(name), text)?;
        File::options().write(true).open(path(name))?.set_modified(clock.get())
    };
    write("a.rs", "1")?;
    write("made.rs", "same")?;
    let sources = Sources::new(vec![folder.path().to_owned()], &path("a.wasm"));
    let mut sources = sources.map_err(|_| anyhow::anyhow!("it cannot be watched"))?;
    let is_due = async |sources: &Sources| difference(&sources.seen, &sources.look().await.files);

    // The same text.
    write("made.rs", "same")?;
    assert_eq!((sources.built().await, is_due(&sources).await), (None, None));
    // Something new: it might be somebody's. When it has been so during three builds, it is the build's own.
    write("made.rs", "second")?;
    assert_eq!((sources.built().await, is_due(&sources).await), (None, Some(path("made.rs"))));
    sources.next().await;
    for text in ["third", "fourth"] {
        write("made.rs", text)?;
        assert_eq!((sources.built().await, is_due(&sources).await), (None, None), "{text}");
    }
    // Another file that is saved meanwhile is built, and so is the build's own when no build runs.
    write("made.rs", "fifth")?;
    write("a.rs", "2")?;
    assert_eq!((sources.built().await, sources.next().await.path), (None, path("a.rs")));
    assert_eq!((sources.built().await, is_due(&sources).await), (None, None));
    write("made.rs", "by hand")?;
    assert_eq!(sources.next().await.path, path("made.rs"));

    // A file of another name in each build, for ever.
    let mut ignored = None;
    for number in 0..=MAX_IN_A_ROW {
        assert_eq!(ignored, None, "{number}");
        write(&format!("{number}.rs"), "")?;
        ignored = sources.built().await;
        if ignored.is_none() {
            sources.next().await;
        }
    }
    assert_eq!((ignored, is_due(&sources).await), (Some(path("3.rs")), None));
    Ok(())
}

/// Some editors truncate a file, and write it later.
#[tokio::test(start_paused = true)]
async fn an_emptied_file_has_time_to_be_written() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("agent.ts");
    std::fs::write(&path, "1")?;
    let mut sources = Sources::of_file(&path);
    std::fs::write(&path, "")?;
    let early = tokio::time::timeout(EMPTIED_DEBOUNCE / 2, sources.next()).await;
    assert!(early.is_err(), "it is about to be written");
    std::fs::write(&path, "22")?;
    sources.next().await;
    std::fs::write(&path, "")?;
    sources.next().await;
    Ok(())
}
