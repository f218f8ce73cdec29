//! Files and folders that a manifest is in, or names, and that cannot be used.

use daca_tests::{Ended, run_in};
use tempfile::TempDir;

use super::manifest;

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_named_once() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("latin1.toml"), b"# caf\xe9\n")?;
    // Nobody writes to it, so that opening it would wait for ever.
    daca_tests::make_pipe(&folder.path().join("pipe"))?;
    for (file, reason) in [
        ("missing.toml", "No such file"),
        ("latin1.toml", "UTF-8"),
        (".", "Is a directory"),
        ("pipe", "not a regular file"),
    ] {
        for command in ["check", "run"] {
            let Ended { code, stderr, .. } = run_in(folder.path(), [command, "--manifest", file]).await?;
            assert_eq!(code, Some(1), "{stderr}");
            assert!(stderr.starts_with(&format!("error[manifest-unreadable]: {file}: ")), "{stderr}");
            assert_eq!(stderr.matches(reason).count(), 1, "{stderr}");
            assert!(stderr.ends_with("\n  help: name a manifest with --manifest FILE\n"), "{stderr}");
        }
    }
    Ok(())
}

/// A folder that is mounted later is no reason not to start, and a mistyped one must not go unnoticed.
#[tokio::test]
async fn a_folder_of_versions_that_there_is_not_is_said() -> anyhow::Result<()> {
    let text = "[agents.A]\ncomponent = \"COMPONENT\"\n[deploy]\nversions = \"mounted\"\n";
    let folder = manifest(text)?;
    let Ended { code, stderr, .. } = run_in(folder.path(), ["check"]).await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("agents.toml:4: warning[versions-folder-missing]: "), "{stderr}");
    std::fs::create_dir(folder.path().join("mounted"))?;
    let Ended { stderr, .. } = run_in(folder.path(), ["check"]).await?;
    assert!(!stderr.contains("versions-folder-missing"), "{stderr}");
    // What can never be such a folder is no warning, and nothing waits for a pipe.
    daca_tests::make_pipe(&folder.path().join("pipe"))?;
    let file = folder.path().join("agents.toml");
    let text = std::fs::read_to_string(&file)?;
    for unusable in ["/dev", "pipe"] {
        std::fs::write(&file, text.replace("\"mounted\"", &format!("{unusable:?}")))?;
        for command in [&["check"][..], &["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]] {
            let Ended { code, stderr, .. } = run_in(folder.path(), command).await?;
            assert!(code == Some(1) && stderr.contains("error[versions-folder-unusable]: "), "{stderr}");
        }
    }
    Ok(())
}
