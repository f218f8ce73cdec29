//! Components that are made to use a compiler up: they are refused, nobody is touched, and nothing of them is left.

use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::deploy::{component, refusal, swapped};
use daca_tests::{Host, TIMEOUT, eventually, run_in};
use tempfile::TempDir;

/// A small component that takes minutes to compile: functions of many variables that depend on each other across many branches.
fn bomb(import: &str) -> anyhow::Result<Vec<u8>> {
    const FUNCTIONS: usize = 16;
    const VARIABLES: usize = 4_000;
    const STEPS: usize = 6_000;
    let mut text = format!("(component {import} (core module");
    for _ in 0..FUNCTIONS {
        write!(text, "(func (param i32) (local {})", "i64 ".repeat(VARIABLES))?;
        text.push_str("(loop $again");
        for step in 0..STEPS {
            let [a, b, c] = [step * 7 + 1, step * 13 + 5, step * 29 + 11].map(|n| 1 + n % VARIABLES);
            write!(
                text,
                "(block (br_if 0 (local.get 0)) (local.set {a} (i64.add (local.get {b}) (local.get {c}))))"
            )?;
        }
        text.push_str("(br_if $again (local.get 0))))");
    }
    text.push_str(r#") (instance $e) (export "daca:agent/actor@0.1.0" (instance $e)))"#);
    Ok(wat::parse_str(text)?)
}

/// The processes that compile for a process, by their ids.
fn compilers(parent: u32) -> Vec<u32> {
    let of_parent = |pid: &u32| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let stat = read("stat");
        let ppid = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        ppid == Some(&parent.to_string()) && read("cmdline").contains("compile-component")
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(of_parent).collect()
}

/// The processor time of all processes that a process has started and that have ended: `cutime` and `cstime` of
/// `proc_pid_stat(5)`, in ticks.
fn time_of_children(parent: u32) -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{parent}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("no name")?;
    let fields = after_name.split_whitespace().collect::<Vec<_>>();
    Ok(fields[13].parse::<u64>()? + fields[14].parse::<u64>()?)
}

async fn until_it_compiles(parent: u32) -> anyhow::Result<u32> {
    eventually("a process compiles", async || Ok(!compilers(parent).is_empty())).await?;
    compilers(parent).first().copied().context("it has ended already")
}

/// Waits until a process is gone, also from the table of processes.
async fn until_gone(pid: u32) -> anyhow::Result<()> {
    let path = format!("/proc/{pid}");
    eventually("the process that compiles is gone", async || Ok(!std::path::Path::new(&path).exists())).await
}

#[tokio::test]
async fn a_component_that_takes_too_long_or_too_much_to_compile_is_refused() -> anyhow::Result<()> {
    for (limits, text) in [
        ("compile-time = \"3s\"\ncompile-memory = \"8GiB\"", "longer than"),
        ("compile-memory = \"64MiB\"", "more memory than 64.0 MiB"),
    ] {
        let host = Host::start(&format!("{}\n[deploy]\n{limits}\n", swapped(""))).await?;
        let answer = host.deploy(&bomb("")?, "").await?;
        assert_eq!(refusal(&answer), (422, "component-compile-limit"), "{limits}: {answer:?}");
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(text), "{limits}: {detail}");
        assert_eq!(host.last_event().await?["code"], "component-compile-limit", "{limits}");
        assert_eq!(compilers(host.pid()), Vec::<u32>::new(), "{limits}");
        // The same bytes are not compiled a second time.
        let spent = time_of_children(host.pid())?;
        assert!(spent > 0, "{limits}");
        let again = host.deploy(&bomb("")?, "").await?;
        assert_eq!(refusal(&again), (422, "component-compile-limit"), "{limits}: {again:?}");
        assert_eq!(time_of_children(host.pid())?, spent, "{limits}");
        // What is no bomb compiles within the same limits.
        host.deploy_guest("swapped_v2", "").await?;
        assert_eq!(host.serving("a").await?, "v2", "{limits}");
    }
    Ok(())
}

#[tokio::test]
async fn what_could_not_serve_is_refused_before_it_is_compiled() -> anyhow::Result<()> {
    let host = Host::start(&swapped("limits = { memory = \"2MiB\" }")).await?;
    let module = |inside: &str| {
        wat::parse_str(format!(
            r#"(component (core module {inside}) (instance $e) (export "daca:agent/actor@0.1.0" (instance $e)))"#
        ))
    };
    let cases = [
        ("a large memory", module("(memory 33)")?, "component-memory"),
        ("a large table", module("(table 20001 funcref)")?, "component-too-complex"),
        (
            "many local variables",
            module(&format!("(func (local {}))", "i32 ".repeat(20_001)))?,
            "component-too-complex",
        ),
        (
            "a large function",
            module(&format!("(func {})", "nop ".repeat(1_050_000)))?,
            "component-too-complex",
        ),
    ];
    let spent = time_of_children(host.pid())?;
    for (what, wasm, code) in cases {
        let answer = host.deploy(&wasm, "").await?;
        assert_eq!(refusal(&answer), (422, code), "{what}: {answer:?}");
    }
    assert_eq!(time_of_children(host.pid())?, spent, "something was compiled");
    // It could as well be the start that meets it.
    let folder = TempDir::new()?;
    std::fs::write(
        folder.path().join("locals.wasm"),
        module(&format!("(func (local {}))", "i32 ".repeat(20_001)))?,
    )?;
    std::fs::write(folder.path().join("agents.toml"), "[agents.Many]\ncomponent = \"locals.wasm\"\n")?;
    let ended = run_in(folder.path(), ["check"]).await?;
    assert!(ended.code == Some(1) && ended.stderr.contains("error[component-too-complex]"), "{ended:?}");
    Ok(())
}

/// Without this, a check and a start pass, and then every call fails.
#[tokio::test]
async fn a_limit_below_the_initial_memory_is_found_by_a_check_and_by_a_start() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("agent.wasm"), component("swapped_v1")?)?;
    std::fs::write(
        folder.path().join("agents.toml"),
        "[agents.A]\ncomponent = \"agent.wasm\"\nlimits = { memory = \"128KiB\" }\n",
    )?;
    let run = ["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", "data"];
    for arguments in [&["check"][..], &["compile", "--out", "code"], &run[..]] {
        let ended = run_in(folder.path(), arguments).await?;
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("error[component-memory]: agent.wasm: "), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("agents.A.limits.memory is 128.0 KiB"), "{arguments:?}: {ended:?}");
    }
    assert!(!folder.path().join("code").exists(), "it was compiled");
    Ok(())
}

/// Their files are whole: who copies or builds them again gets the same.
#[tokio::test]
async fn a_component_that_needs_more_than_the_engine_has_is_not_called_damaged() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let module = |inside: &str| {
        wat::parse_str(format!(
            r#"(component (core module $m {inside}) (core instance (instantiate $m))
               (instance $e) (export "daca:agent/actor@0.1.0" (instance $e)))"#
        ))
    };
    for (what, wasm, code) in [
        ("pages of a byte", module("(memory 1 (pagesize 1))")?, "component-needs-feature"),
        ("a large table", module("(table 9000000 funcref)")?, "component-too-complex"),
    ] {
        let answer = host.deploy(&wasm, "").await?;
        assert_eq!(refusal(&answer), (422, code), "{what}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_ends_ends_what_compiles_for_it() -> anyhow::Result<()> {
    let manifest = format!("{}\n[deploy]\ncompile-time = \"1h\"\n", swapped(""));
    for signal in ["TERM", "KILL"] {
        let host = Arc::new(Host::start(&manifest).await?);
        let deploying = tokio::spawn({
            let (host, bomb) = (host.clone(), bomb("")?);
            async move { host.deploy(&bomb, "").await }
        });
        let compiler = until_it_compiles(host.pid()).await?;
        assert_eq!(host.serving("a").await?, "v1", "it serves meanwhile");
        host.signal(signal)?;
        if let Ok(answer) = deploying.await? {
            assert_eq!(refusal(&answer), (503, "host-shutting-down"), "{answer:?}");
        }
        let mut host = Arc::try_unwrap(host).map_err(|_| anyhow::anyhow!("a deployment holds the host"))?;
        let code = host.wait().await?.code();
        assert_eq!(code, (signal == "TERM").then_some(0), "{signal}");
        until_gone(compiler).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_host_that_compiles_before_it_serves_can_be_stopped() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("bomb.wasm"), bomb("")?)?;
    let manifest = "[agents.Bomb]\ncomponent = \"bomb.wasm\"\n[deploy]\ncompile-time = \"1h\"\n";
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    let mut command = tokio::process::Command::from(Host::command(folder.path()));
    let mut host =
        command.args(["--admin", "127.0.0.1:0"]).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let pid = host.id().context("it has ended already")?;
    let compiler = until_it_compiles(pid).await?;
    anyhow::ensure!(std::process::Command::new("kill").arg(pid.to_string()).status()?.success());
    let ended = tokio::time::timeout(TIMEOUT, host.wait()).await.context("it does not end")??;
    assert_eq!(ended.code(), Some(0));
    until_gone(compiler).await
}

/// The type and the version of an import are found out before the code is compiled: that alone would take longer than it may.
#[tokio::test]
async fn an_import_that_the_host_does_not_offer_costs_no_compiling() -> anyhow::Result<()> {
    let host = Host::start(&format!("{}\n[deploy]\ncompile-time = \"3s\"\n", swapped(""))).await?;
    for import in [
        r#"(import "wasi:random/random@0.2.0" (instance (export "get-random-u64" (func))))"#,
        r#"(import "wasi:random/random@0.9.0" (instance (export "get-random-u64" (func (result u64)))))"#,
    ] {
        let answer = host.deploy(&bomb(import)?, "").await?;
        assert_eq!(refusal(&answer), (422, "component-unknown-import"), "{import}: {answer:?}");
    }
    Ok(())
}

/// Types of a few bytes that take any depth of the stack, or hundreds of megabytes, take them in the compiler's process.
#[tokio::test]
async fn types_that_are_made_to_use_a_reader_up_do_not_touch_the_host() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let export = r#"(instance $e) (export "daca:agent/actor@0.1.0" (instance $e))"#;
    // One instance type in another, as bytes: the text's own reader would not survive it.
    let mut deep = b"\0asm\x0d\0\x01\0".to_vec();
    let types = [&[0x42, 1, 1].repeat(1_000)[..], &[0x42, 0]].concat();
    deep.push(7);
    deep.extend(leb(types.len() + 1));
    deep.push(1);
    deep.extend(types);
    deep.extend(&wat::parse_str(format!("(component {export})"))?[8..]);
    let resources =
        (0..1_000).fold(String::new(), |text, n| text + &format!("(export \"r{n}\" (type (sub resource)))"));
    let uses =
        "(type (instance (alias outer 1 0 (type $t)) (export \"i\" (instance (type $t)))))".repeat(1_000);
    let wide = wat::parse_str(format!("(component (type (instance {resources})) {uses} {export})"))?;
    for (what, wasm) in [("deep", deep), ("wide", wide)] {
        let answer = host.deploy(&wasm, "").await?;
        assert_eq!(answer.status, 422, "{what}: {answer:?}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kibibytes = most.trim().trim_end_matches(" kB").parse::<u64>()?;
    assert!(kibibytes < 400 * 1024, "{kibibytes} KiB");
    host.deploy_guest("swapped_v2", "").await?;
    Ok(())
}

/// A number as WebAssembly writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
    bytes
}
