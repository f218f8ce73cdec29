//! `daca check --components`: a folder of Dapr's components against a manifest.
//!
//! Each case starts from the project's own folder, which is sound, and changes one thing.

mod bindings;
mod case;
mod resources;
mod topics;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::{Ended, chat_agent, default_manifest, replaced, run_in};
use tempfile::TempDir;

use case::Change::{self, Add, Manifest, Remove, Replace};
use case::STORE;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// A folder with the default manifest, and the project's components in `components`, changed.
fn folder(changes: &[Change]) -> anyhow::Result<TempDir> {
    let folder = TempDir::new()?;
    let components = folder.path().join("components");
    std::fs::create_dir(&components)?;
    for file in std::fs::read_dir(project().join("components"))? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), components.join(file.file_name()))?;
        }
    }
    let mut manifest = default_manifest();
    for change in changes {
        match change {
            Replace(file, part, by) => {
                let file = components.join(file);
                std::fs::write(&file, replaced(&std::fs::read_to_string(&file)?, part, by)?)?;
            }
            Add(file, text) => std::fs::write(components.join(file), text)?,
            Remove(file) => std::fs::remove_file(components.join(file))?,
            Manifest(part, by) => manifest = replaced(&manifest, part, by)?,
        }
    }
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    Ok(folder)
}

fn assert_found(what: &str, ended: &Ended, expected: &[(&str, &str, &str, &str)]) {
    let Ended { code, stdout, stderr } = ended;
    let fails = expected.iter().any(|(severity, ..)| *severity == "error");
    assert_eq!(*code, Some(i32::from(fails)), "{what}: {stderr}");
    assert_eq!(stdout.ends_with("agents.toml is valid.\n"), !fails, "{what}: {stdout}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    let lines = stderr.lines().collect::<Vec<_>>();
    // Each finding is one line and one line of help.
    assert_eq!(lines.len(), 2 * expected.len(), "{what}: {stderr}");
    assert!(lines.iter().skip(1).step_by(2).all(|line| line.starts_with("  help: ")), "{what}: {stderr}");
    for (severity, code, place, word) in expected {
        let beginning = format!("{severity}[components-{code}]: ");
        let found = lines.chunks(2).any(|two| {
            let rest = two[0].strip_prefix(&beginning).unwrap_or_default();
            rest.trim_start_matches("components/").starts_with(place) && two.concat().contains(word)
        });
        assert!(found, "{what}: {beginning}{place} … {word:?} is not in:\n{stderr}");
    }
}

#[tokio::test]
async fn each_defect_of_a_folder_is_found() -> anyhow::Result<()> {
    let mut failures = Vec::new();
    let cases = [bindings::CASES, topics::CASES, resources::CASES];
    for (what, changes, expected) in cases.into_iter().flatten() {
        let folder = folder(changes).with_context(|| what.to_string())?;
        let ended = run_in(folder.path(), ["check", "--components", "components"]).await?;
        // All cases run, so that one failure does not hide the next.
        if std::panic::catch_unwind(|| assert_found(what, &ended, expected)).is_err() {
            failures.push(what);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
    Ok(())
}

#[tokio::test]
async fn the_projects_own_components_are_sound() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let manifest = folder.path().join("agents.toml");
    std::fs::write(&manifest, default_manifest())?;
    let manifest = manifest.display().to_string();
    for (components, secrets) in
        [("components", "not used by the manifest"), ("components/local", "has secrets of twilio-binding")]
    {
        // From the project's folder, where the sidecar of a laptop starts as well.
        let arguments = ["check", "--manifest", &manifest, "--components", components];
        let Ended { code, stdout, stderr } = run_in(&project(), arguments).await?;
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{components}: {stdout}");
        for line in [
            format!("components in {components} for the app chat-agent\n"),
            "publishes to user-chat; delivers user-chat; publishes dead letters to user-messages-dead-letter\n".into(),
            "delivers to POST /receive-message\n".into(),
            "keeps the actors' state\n".into(),
            "may be asked to create\n".into(),
            "subscription to daca-pubsub/user-chat at /subscribe\n".into(),
            "resiliency of daca-pubsub\n".into(),
            format!("{secrets}\n"),
        ] {
            assert!(stdout.contains(&line), "{line:?} is not in:\n{stdout}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_named_once() -> anyhow::Result<()> {
    let folder = folder(&[])?;
    std::fs::create_dir(folder.path().join("empty"))?;
    std::fs::create_dir(folder.path().join("large"))?;
    std::fs::write(folder.path().join("large/a.yaml"), "#".repeat((1 << 20) + 1))?;
    std::fs::create_dir(folder.path().join("latin1"))?;
    std::fs::write(folder.path().join("latin1/a.yaml"), b"a: caf\xe9\n")?;
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("latin1/b.yaml"))?;
    for (components, words) in [
        ("nowhere", &["No such file"][..]),
        ("agents.toml", &["Not a directory"]),
        ("empty", &["no YAML files"]),
        ("large", &["more than 1 MiB"]),
        ("latin1", &["UTF-8", "not a regular file"]),
    ] {
        let ended = run_in(folder.path(), ["check", "--components", components]).await?;
        let Ended { code, stderr, .. } = ended;
        assert_eq!(code, Some(1), "{stderr}");
        assert_eq!(stderr.matches("error[components-unreadable]: ").count(), words.len(), "{stderr}");
        assert_eq!(stderr.matches("error[").count(), words.len(), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    }
    Ok(())
}

/// What would take for ever, or all memory, ends at once with a finding.
#[tokio::test]
async fn a_file_that_is_a_trap_is_refused() -> anyhow::Result<()> {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        laughs.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
    }
    for (what, text) in [
        ("aliases of aliases", laughs),
        ("depth", "[".repeat(500_000)),
        ("depth of blocks", "- ".repeat(100_000)),
        ("many documents", "---\na: b\n".repeat(50_000)),
        ("an endless key", "a".repeat(1_000_000)),
        ("an alias to itself", "a: &a [*a]\n".to_owned()),
        ("control characters", "a: \u{1}\u{0}\n".to_owned()),
    ] {
        let folder = folder(&[])?;
        std::fs::write(folder.path().join("components/trap.yaml"), text)?;
        let began = std::time::Instant::now();
        let Ended { code, stderr, .. } =
            run_in(folder.path(), ["check", "--components", "components"]).await?;
        assert_eq!(code, Some(1), "{what}: {stderr}");
        assert!(stderr.contains("components/trap.yaml:"), "{what}: {stderr}");
        assert!(!stderr.contains("panicked"), "{what}: {stderr}");
        assert!(stderr.len() < 10_000 && stderr.matches("error[").count() == 1, "{what}: {stderr}");
        assert!(began.elapsed().as_secs() < 30, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn the_app_decides_which_components_count() -> anyhow::Result<()> {
    let folder = folder(&[])?;
    let arguments = ["check", "--components", "components", "--app-id", "another"];
    let Ended { code, stderr, .. } = run_in(folder.path(), arguments).await?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error[components-out-of-scope]: agents.toml:13:12: "), "{stderr}");
    assert!(stderr.contains("\"another\""), "{stderr}");
    // Without components there is no app.
    let Ended { code, .. } = run_in(folder.path(), ["check", "--app-id", "another"]).await?;
    assert_eq!(code, Some(2));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_agents_and_with_components_is_said_at_once() -> anyhow::Result<()> {
    let component = chat_agent().display().to_string();
    let folder = folder(&[Remove(STORE)])?;
    let manifest = replaced(&default_manifest(), &component, "missing.wasm")?;
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    let Ended { code, stderr, .. } = run_in(folder.path(), ["check", "--components", "components"]).await?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("component-missing"), "{stderr}");
    assert!(stderr.contains("error[components-actor-store-missing]"), "{stderr}");
    Ok(())
}
