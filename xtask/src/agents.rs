//! `cargo xtask agents`: the agents in other languages than Rust that the tests run, which are the ChatAgent, that of the
//! conformance cases, and one with packages of npm; and what the benchmark measures beside them.
//!
//! They are built into `target/languages/agents`, each when it is missing or one of its sources is newer. Then they are compiled
//! into the folder for code beside the host's program: tests start many hosts at once, and one that compiles an agent in Python
//! would take ten seconds of the processor to be ready.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::language_tools::{self, C, GO, JAVASCRIPT, Language, PYTHON, folder, run};
use crate::paths::{root, target};
use crate::steps::{Step, Warnings};

/// What a language's agents are built with.
struct Kit {
    needs: &'static [&'static Language],
    /// What each of them is built from, beside its own source.
    sources: &'static [&'static str],
    /// Makes a component of a source.
    build: fn(&Path, &Path) -> anyhow::Result<()>,
}

const TYPESCRIPT: Kit = Kit {
    needs: &[&JAVASCRIPT],
    sources: &["guest/js/package-lock.json", "guest/js/src", "guest/js/tools", "guest/js/wit", "wit"],
    build: build_typescript,
};
/// The same sources, with another engine.
const STARLINGMONKEY: Kit = Kit { build: build_starlingmonkey, ..TYPESCRIPT };
const PYTHON_KIT: Kit = Kit {
    needs: &[&PYTHON],
    sources: &["guest/python/requirements-test.txt", "guest/python/src", "wit"],
    build: build_python,
};
const GO_KIT: Kit =
    Kit { needs: &[&GO, &PYTHON], sources: &["guest/go", "guest/tools.txt"], build: build_go };
const C_KIT: Kit = Kit {
    needs: &[&C, &PYTHON],
    sources: &[
        "guest/c/Makefile",
        "guest/c/daca.c",
        "guest/c/daca.h",
        "guest/c/daca_host.c",
        "guest/c/daca_json.c",
        "guest/go/cmd/daca-go/adapter.wasm",
        "guest/tools.txt",
        "wit",
    ],
    build: build_c,
};

/// What the host does not have: it is only measured.
const PYTHON_ENGINE: Kit = Kit {
    needs: &[&PYTHON],
    sources: &["guest/python/requirements-test.txt", "guest/python/src", "wit"],
    build: build_python_engine,
};

/// An agent: the name of the component, what it is built with, and its source.
type Agent = (&'static str, Kit, &'static str);

const AGENTS: [Agent; 10] = [
    ("chat-typescript", TYPESCRIPT, "guest/chat-agents/typescript/chat_agent.ts"),
    ("chat-python", PYTHON_KIT, "guest/chat-agents/python/chat_agent.py"),
    ("chat-go", GO_KIT, "guest/chat-agents/go"),
    ("chat-c", C_KIT, "guest/chat-agents/c"),
    ("conformance-typescript", TYPESCRIPT, "tests/conformance/agents/typescript/agent.ts"),
    ("conformance-starlingmonkey", STARLINGMONKEY, "tests/conformance/agents/typescript/agent.ts"),
    ("conformance-python", PYTHON_KIT, "tests/conformance/agents/python/agent.py"),
    ("conformance-go", GO_KIT, "tests/conformance/agents/go"),
    ("conformance-c", C_KIT, "tests/conformance/agents/c"),
    ("packages-typescript", TYPESCRIPT, "guest/js/test/build/packages.ts"),
];

/// What the benchmark measures beside them.
const MEASURED: [Agent; 2] = [
    ("chat-starlingmonkey", STARLINGMONKEY, "guest/chat-agents/typescript/chat_agent.ts"),
    ("engine-python", PYTHON_ENGINE, "bench/python-engine"),
];

/// The file in the folder of the agents that has the tests leave them out.
const LEFT_OUT: &str = "left-out";

/// The step that builds them.
pub(crate) fn step() -> Step {
    Step::check("agents: languages", "cargo xtask agents", build)
}

/// The step that also builds what the benchmark measures.
pub(crate) fn measured_step() -> Step {
    Step::check("agents: languages", "cargo xtask agents", build_all)
}

/// The step in place of [`step`] that has the tests leave them out.
pub(crate) fn left_out_step() -> Step {
    Step::check("agents: languages", "cargo xtask test --no-languages", leave_out)
}

/// The step that compiles them for the host of the tests, which must be there.
pub(crate) fn compiled_step() -> Step {
    Step::check("agents: compiled", "cargo xtask conformance", compile)
}

/// Builds those whose languages are there, and what the benchmark measures. In CI a missing one is an error.
pub(crate) fn build_all() -> anyhow::Result<Warnings> {
    let mut warnings = build()?;
    warnings.extend(build_those(&MEASURED)?);
    Ok(warnings)
}

fn build() -> anyhow::Result<Warnings> {
    remove(&folder("agents")?.join(LEFT_OUT))?;
    build_those(&AGENTS)
}

fn build_those(agents: &[Agent]) -> anyhow::Result<Warnings> {
    let mut warnings = Warnings::new();
    for (name, kit, source) in agents {
        let (component, source) = (component(name)?, root().join(source));
        if let Some(missing) = kit.needs.iter().find_map(|language| language.missing()) {
            // One of an earlier build would be of other sources.
            discard(&component)?;
            let warning = format!("THE AGENT {name} IS LEFT OUT: {missing}");
            warnings.push(language_tools::left_out(warning)?);
        } else if !is_current(&component, kit, &source)? {
            discard(&component)?;
            (kit.build)(&source, &component).with_context(|| format!("the agent {name}"))?;
        }
    }
    Ok(warnings)
}

fn leave_out() -> anyhow::Result<Warnings> {
    let mark = folder("agents")?.join(LEFT_OUT);
    std::fs::write(&mark, "--no-languages\n").with_context(|| mark.display().to_string())?;
    Ok(vec!["--no-languages: THE AGENTS IN OTHER LANGUAGES THAN RUST ARE LEFT OUT OF THE TESTS".to_owned()])
}

/// Compiles those whose code is missing, or may be of another wasmtime.
fn compile() -> anyhow::Result<Warnings> {
    let lock = modified(&root().join("Cargo.lock"))?;
    let mut manifest = String::new();
    for (number, (name, ..)) in AGENTS.into_iter().enumerate() {
        let component = component(name)?;
        // One that is left out is not there.
        let Some(code) = code_of(&component) else { continue };
        if !modified(&code).is_ok_and(|compiled| compiled > lock) {
            let component = component.display().to_string();
            writeln!(manifest, "[agents.Agent{number}]\ncomponent = {component:?}")?;
            writeln!(manifest, "limits = {{ memory = \"32MiB\" }}")?;
        }
    }
    if manifest.is_empty() {
        return Ok(Warnings::new());
    }
    let file = folder("agents")?.join("agents.toml");
    std::fs::write(&file, manifest).with_context(|| file.display().to_string())?;
    let mut command = Command::new(target().join("debug/daca"));
    run(command.arg("compile").arg("--manifest").arg(&file).arg("--out").arg(code_folder()))?;
    Ok(Warnings::new())
}

fn component(name: &str) -> anyhow::Result<PathBuf> {
    Ok(folder("agents")?.join(format!("{name}.wasm")))
}

/// The folder in which the host of the tests looks for code.
fn code_folder() -> PathBuf {
    target().join("debug/daca-compiled")
}

/// The file with the code of a component. `None` without the component.
fn code_of(component: &Path) -> Option<PathBuf> {
    let bytes = std::fs::read(component).ok()?;
    Some(code_folder().join(format!("{}.code", hex::encode(Sha256::digest(bytes)))))
}

/// Removes a component and its code.
fn discard(component: &Path) -> anyhow::Result<()> {
    if let Some(code) = code_of(component) {
        remove(&code)?;
    }
    remove(component)
}

fn remove(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| file.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Returns `true` if no source is newer than the component.
fn is_current(component: &Path, kit: &Kit, source: &Path) -> anyhow::Result<bool> {
    let Ok(built) = modified(component) else { return Ok(false) };
    let shared = kit.sources.iter().map(|source| root().join(source));
    for source in std::iter::once(source.to_owned()).chain(shared) {
        if newest(&source).with_context(|| source.display().to_string())? > built {
            return Ok(false);
        }
    }
    Ok(true)
}

fn modified(file: &Path) -> std::io::Result<SystemTime> {
    file.metadata()?.modified()
}

/// The time of the newest file at a path. What tools leave beside the sources does not count.
fn newest(path: &Path) -> std::io::Result<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    let mut time = SystemTime::UNIX_EPOCH;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let left_by_tools = ["__pycache__", "node_modules"].iter().any(|it| entry.file_name() == *it);
        if !left_by_tools {
            time = time.max(newest(&entry.path())?);
        }
    }
    Ok(time)
}

fn build_typescript(source: &Path, component: &Path) -> anyhow::Result<()> {
    build_with_engine("quickjs", source, component)
}

fn build_starlingmonkey(source: &Path, component: &Path) -> anyhow::Result<()> {
    build_with_engine("starlingmonkey", source, component)
}

fn build_with_engine(engine: &str, source: &Path, component: &Path) -> anyhow::Result<()> {
    let tool = language_tools::javascript_sdk()?.join("tools/daca-js.js");
    let mut command = Command::new("node");
    command.arg(tool).arg("build").arg(source).args(["--engine", engine]).arg("-o").arg(component);
    run(command.current_dir(root()))
}

fn build_python(source: &Path, component: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(language_tools::python()?);
    command.args(["-m", "daca.build.command", "build"]).arg(source).arg("-o").arg(component);
    command.env("PYTHONPATH", root().join("guest/python/src")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(command.current_dir(root()))
}

fn build_python_engine(source: &Path, component: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(language_tools::python()?);
    command.arg(source.join("build.py")).arg(component);
    command.env("PYTHONPATH", root().join("guest/python/src")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(command.current_dir(root()))
}

fn build_go(source: &Path, component: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("go");
    command.args(["run", "daca/cmd/daca-go", "build", "-o"]).arg(component).arg(".");
    run(command.envs(language_tools::programs()?).current_dir(source))
}

fn build_c(source: &Path, component: &Path) -> anyhow::Result<()> {
    let objects = component.with_extension("objects");
    if objects.exists() {
        std::fs::remove_dir_all(&objects).with_context(|| objects.display().to_string())?;
    }
    let mut command = Command::new("make");
    command.arg("--silent").arg("-C").arg(source);
    command.arg(format!("OUTPUT={}", component.display())).arg(format!("BUILD={}", objects.display()));
    run(command.envs(language_tools::programs()?).current_dir(root()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_agent_is_current_until_one_of_its_sources_is_newer() -> anyhow::Result<()> {
        let folder = tempfile::TempDir::new()?;
        let write = |name: &str, seconds: u64| -> anyhow::Result<()> {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            Ok(std::fs::File::create(&path)?.set_modified(time)?)
        };
        let kit = Kit { needs: &[], sources: &[], build: |_, _| Ok(()) };
        let (component, source) = (folder.path().join("agent.wasm"), folder.path().join("source"));
        write("source/inner/agent.go", 5)?;
        assert!(!is_current(&component, &kit, &source)?, "it is missing");
        write("agent.wasm", 5)?;
        assert!(is_current(&component, &kit, &source)?);
        write("source/__pycache__/agent.pyc", 9)?;
        assert!(is_current(&component, &kit, &source)?, "no source is newer");
        write("source/inner/agent.go", 6)?;
        assert!(!is_current(&component, &kit, &source)?);
        Ok(())
    }
}
