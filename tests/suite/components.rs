//! Component files that cannot serve, and the cache of compiled code.

mod in_vain;
mod packages;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::{Ended, Host, chat_agent, guest, manifest_of, run_in};
use serde_json::json;
use tempfile::TempDir;

/// A component that has the required export by name and imports something besides.
fn importing(import: &str, version: &str) -> anyhow::Result<Vec<u8>> {
    Ok(wat::parse_str(format!(
        r#"(component
            (import "{import}" (instance (export "cast" (func))))
            (instance $empty)
            (export "daca:agent/actor@{version}" (instance $empty)))"#
    ))?)
}

/// What is wrong with a file, its bytes (`None`: there is no file), and the code and a word of its refusal.
type Unusable = (&'static str, Option<Vec<u8>>, &'static str, &'static str);

/// Files that are no components, or not whole.
fn broken_files() -> anyhow::Result<Vec<Unusable>> {
    const INVALID: &str = "component-invalid";
    let whole = std::fs::read(chat_agent())?;
    let mut altered = whole.clone();
    let middle = altered.len() / 2;
    altered[middle..middle + 64].fill(0xff);
    let utf16 = "import { agent } from \"@daca/sdk\";".encode_utf16().flat_map(u16::to_le_bytes).collect();
    Ok(vec![
        ("empty", Some(Vec::new()), INVALID, "it is empty"),
        ("text", Some(b"Hello".to_vec()), INVALID, "neither a WebAssembly component nor a script"),
        ("a script in UTF-16", Some(utf16), INVALID, "not UTF-8"),
        ("truncated at half", Some(whole[..whole.len() / 2].to_vec()), INVALID, "cut short"),
        ("truncated by a byte", Some(whole[..whole.len() - 1].to_vec()), INVALID, "cut short"),
        (
            "truncated after the head",
            Some(whole[..8].to_vec()),
            "component-lacks-export",
            "daca:agent/actor@0.1.0",
        ),
        ("altered", Some(altered), INVALID, "altered"),
        (
            "a core module",
            Some(wat::parse_str("(module (func (export \"run\")))")?),
            "component-is-module",
            "wasm32-wasip2",
        ),
        ("missing", None, "component-missing", "No such file"),
    ])
}

/// Components that the host has no use for.
fn unfit_components() -> anyhow::Result<Vec<Unusable>> {
    const IMPORT: &str = "component-unknown-import";
    const CONTRACT: &str = "component-contract-version";
    Ok(vec![
        ("no export", Some(wat::parse_str("(component)")?), "component-lacks-export", "SDK of its language"),
        (
            "the export in another form",
            Some(wat::parse_str(
                r#"(component (instance $empty) (export "daca:agent/actor@0.1.0" (instance $empty)))"#,
            )?),
            "component-lacks-export",
            "form of the contract",
        ),
        (
            "an import of WASI 0.3",
            Some(importing("wasi:clocks/monotonic-clock@0.3.0", "0.1.0")?),
            "component-needs-async",
            "wasi:clocks/monotonic-clock@0.3.0",
        ),
        (
            "a memory above the limit",
            Some(wat::parse_str(
                r#"(component (core module (memory 1000)) (instance $empty)
                    (export "daca:agent/actor@0.1.0" (instance $empty)))"#,
            )?),
            "component-memory",
            "memory = \"94MiB\"",
        ),
        (
            "an import of somebody's",
            Some(importing("acme:tools/magic@1.0.0", "0.1.0")?),
            IMPORT,
            "acme:tools/magic@1.0.0",
        ),
        (
            "an interface that the contract has not",
            Some(importing("daca:agent/magic@0.1.0", "0.1.0")?),
            IMPORT,
            "daca:agent/magic@0.1.0",
        ),
        (
            "the export of another version",
            Some(wat::parse_str(
                r#"(component (instance $empty) (export "daca:agent/actor@0.2.0" (instance $empty)))"#,
            )?),
            CONTRACT,
            "version 0.2.0",
        ),
        (
            "an import of another version",
            Some(importing("daca:agent/state@0.2.0", "0.1.0")?),
            CONTRACT,
            "daca:agent/state@0.2.0",
        ),
    ])
}

/// What a command says wrongly of the file in a folder that cannot serve.
async fn faults_of(
    folder: &Path,
    arguments: &[&str],
    (what, _, code, word): &Unusable,
) -> anyhow::Result<Vec<String>> {
    let Ended { code: exit, stderr, .. } = run_in(folder, arguments).await?;
    let said = format!("error[{code}]: agent.wasm: ");
    let rules = [
        (exit == Some(1), "it ends with code 1".to_owned()),
        (stderr.contains("agents.toml:3:"), "it names the line".to_owned()),
        (stderr.matches(&said).count() == 1, format!("{said:?} once")),
        (stderr.contains(word), format!("it says {word:?}")),
        (stderr.matches("\n  help: ").count() == 1, "one help".to_owned()),
        (!stderr.contains("panicked"), "no panic".to_owned()),
    ];
    let broken = rules.into_iter().filter(|(holds, _)| !holds);
    Ok(broken.map(|(_, rule)| format!("{what}, {}: {rule}, in: {stderr}", arguments[0])).collect())
}

#[tokio::test]
async fn a_file_that_cannot_serve_is_refused_in_its_own_terms() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("agent.wasm");
    std::fs::write(
        folder.path().join("agents.toml"),
        "# An agent\n[agents.A]\ncomponent = \"agent.wasm\"\n",
    )?;
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    let mut faults = Vec::new();
    for case in broken_files()?.into_iter().chain(unfit_components()?) {
        match &case.1 {
            Some(bytes) => std::fs::write(&file, bytes)?,
            None => std::fs::remove_file(&file)?,
        }
        for arguments in [&["check"][..], &run[..]] {
            faults.extend(faults_of(folder.path(), arguments, &case).await?);
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The compiled code of a data folder, by the digest of its component.
fn code_of(folder: &Path, component: &Path) -> anyhow::Result<PathBuf> {
    let digest = daca_tests::digest(component)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.join("data/code"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&digest) && name.ends_with(".code") {
            found.push(path);
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.pop().context("no compiled code")
}

/// A file that was written anew is another one, because it is written beside and renamed.
fn identity(file: &Path) -> anyhow::Result<(u64, i64, i64)> {
    let data = std::fs::metadata(file)?;
    Ok((data.ino(), data.mtime(), data.mtime_nsec()))
}

async fn assert_serves(host: &Host) -> anyhow::Result<()> {
    assert_eq!(host.call("Plain/a", "Hello", &json!("Ada")).await?, "Hello, Ada");
    Ok(())
}

fn compiled_again(host: &Host) -> bool {
    host.log().iter().any(|line| line["code"] == "compiled-code-unusable")
}

#[tokio::test]
async fn compiled_code_is_used_again_only_when_it_is_what_the_host_wrote() -> anyhow::Result<()> {
    let other = manifest_of("Other", "panics", "");
    let manifest = format!("{}{other}", manifest_of("Plain", "plain", ""));
    let host = Host::start(&manifest).await?;
    assert_serves(&host).await?;
    assert!(!compiled_again(&host));
    let folder = host.folder();
    host.stop().await?;
    let code = code_of(folder.path(), &guest("plain"))?;
    let foreign = std::fs::read(code_of(folder.path(), &guest("panics"))?)?;

    let first = identity(&code)?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    assert_serves(&host).await?;
    assert!(!compiled_again(&host));
    host.stop().await?;
    assert_eq!(identity(&code)?, first, "the second start did not use the file of the first");

    let whole = std::fs::read(&code)?;
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let longer = [&whole[..], b"more"].concat();
    for (what, bytes) in [
        ("a byte of its head was flipped", flipped(3)),
        ("a byte of its sum was flipped", flipped(20)),
        ("a byte in the middle was flipped", flipped(whole.len() / 2)),
        ("its last byte was flipped", flipped(whole.len() - 1)),
        ("it was cut short", whole[..whole.len() / 2].to_vec()),
        ("it was made longer", longer),
        ("it was emptied", Vec::new()),
        ("it was replaced by the code of another component", foreign.clone()),
        ("it was replaced by text", b"no code".to_vec()),
    ] {
        std::fs::write(&code, bytes)?;
        let host = Host::start_in(folder.clone(), &manifest).await?;
        assert_serves(&host).await?;
        host.wait_for_log(what, |line| line["code"] == "compiled-code-unusable").await?;
        host.stop().await?;
        // What was rebuilt is used by the next start.
        let rebuilt = identity(&code)?;
        let host = Host::start_in(folder.clone(), &manifest).await?;
        assert_serves(&host).await?;
        assert!(!compiled_again(&host), "{what}: {:#?}", host.log());
        host.stop().await?;
        assert_eq!(identity(&code)?, rebuilt, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_cannot_keep_compiled_code_says_so_and_serves() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    std::fs::create_dir(folder.path().join("data"))?;
    std::fs::write(folder.path().join("data/code"), "a file where a folder should be")?;
    let host = Host::start_in(folder, &manifest_of("Plain", "plain", "")).await?;
    let line = host.wait_for_log("the code", |line| line["code"] == "compiled-code-not-kept").await?;
    assert_eq!(line["level"], "WARN");
    assert_serves(&host).await
}

/// Who may write compiled code could as well replace the host.
#[tokio::test]
async fn compiled_code_is_for_its_owner_alone() -> anyhow::Result<()> {
    let host = Host::start(&manifest_of("Plain", "plain", "")).await?;
    let code = code_of(host.folder().path(), &guest("plain"))?;
    let mode = |path: &Path| anyhow::Ok(std::fs::metadata(path)?.mode() & 0o777);
    assert_eq!(mode(&code)?, 0o600);
    assert_eq!(mode(code.parent().context("no folder")?)?, 0o700);
    Ok(())
}

/// The file with the code of a manifest's one component, compiled ahead of time into `code` of the folder.
async fn compiled_ahead(folder: &Path) -> anyhow::Result<PathBuf> {
    let compiled = run_in(folder, ["compile", "--manifest", "agents.toml", "--out", "code"]).await?;
    assert_eq!(compiled.code, Some(0), "{}", compiled.stderr);
    Ok(folder.join(compiled.stdout.trim()))
}

async fn start_compiled(folder: &Arc<TempDir>, manifest: &str) -> anyhow::Result<Host> {
    let code = folder.path().join("code").display().to_string();
    Host::start_with_options(folder.clone(), manifest, &[], &["--compiled", &code]).await
}

#[tokio::test]
async fn code_that_was_compiled_ahead_spares_compiling_only_when_it_can_be_trusted() -> anyhow::Result<()> {
    let manifest = manifest_of("Plain", "plain", "");
    let folder = Arc::new(TempDir::new()?);
    std::fs::write(folder.path().join("agents.toml"), &manifest)?;
    let code = compiled_ahead(folder.path()).await?;
    // What a host has compiled itself it keeps there.
    let own = folder.path().join("data/code");

    let host = start_compiled(&folder, &manifest).await?;
    assert_serves(&host).await?;
    assert!(!own.exists(), "it was compiled all the same: {:#?}", host.log());
    host.stop().await?;

    let whole = std::fs::read(&code)?;
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (what, bytes, mode) in [
        ("a byte was flipped", &flipped[..], 0o644),
        ("it was cut short", &whole[..100], 0o644),
        ("others can write it", &whole[..], 0o666),
    ] {
        std::fs::write(&code, bytes)?;
        std::fs::set_permissions(&code, std::fs::Permissions::from_mode(mode))?;
        let host = start_compiled(&folder, &manifest).await?;
        assert_serves(&host).await?;
        host.wait_for_log(what, |line| line["code"] == "compiled-code-unusable").await?;
        assert!(own.exists(), "{what}");
        host.stop().await?;
        std::fs::remove_dir_all(&own)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_could_not_serve_is_not_compiled_ahead() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agents.toml"), "[agents.A]\ncomponent = \"a.wasm\"\n")?;
    std::fs::write(folder.path().join("a.wasm"), "text")?;
    for (what, code) in [("text", "component-invalid"), ("nothing", "component-missing")] {
        let ended = run_in(folder.path(), ["compile", "--out", "code"]).await?;
        assert_eq!(ended.code, Some(1), "{what}");
        assert!(ended.stderr.contains(&format!("error[{code}]")), "{what}: {}", ended.stderr);
        std::fs::remove_file(folder.path().join("a.wasm")).or_else(|error| match what {
            "nothing" => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(())
}
