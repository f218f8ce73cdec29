//! `cargo xtask languages`: the SDKs of other languages than Rust, tried with their own tools.
//!
//! Where a language is missing on this machine, its tests are left out aloud, and in CI that is an error.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::language_tools::{self, C, GO, JAVASCRIPT, Language, PYTHON, run};
use crate::paths::root;
use crate::steps::Warnings;

/// A language, the others that its tools need, and how its SDK is tried.
type Sdk = (&'static Language, &'static [&'static Language], fn() -> anyhow::Result<()>);

const SDKS: [Sdk; 4] =
    [(&JAVASCRIPT, &[], javascript), (&PYTHON, &[], python), (&GO, &[], go), (&C, &[&PYTHON], c)];

/// What is built with the header for C and C++, by folder and source: every hook in both, and the example.
const BUILT_OF_C: [(&str, &str); 3] =
    [("guest/c", "test/hooks.c"), ("guest/c", "test/hooks.cpp"), ("guest/c/examples", "counter.cpp")];

/// Tries all of them. A language that is not on this machine is a warning, and in CI an error.
pub(crate) fn check() -> anyhow::Result<Warnings> {
    let mut warnings = Warnings::new();
    for (language, others, try_out) in SDKS {
        let name = language.name;
        match language.missing().or_else(|| others.iter().find_map(|other| other.missing())) {
            None => try_out().with_context(|| format!("the SDK for {name}"))?,
            Some(missing) => {
                let warning = format!("THE SDK FOR {name} WAS NOT TRIED: {missing}");
                warnings.push(language_tools::left_out(warning)?);
            }
        }
    }
    Ok(warnings)
}

fn javascript() -> anyhow::Result<()> {
    let package = language_tools::javascript_sdk()?;
    run(Command::new("npm").args(["test", "--silent"]).current_dir(package))
}

fn python() -> anyhow::Result<()> {
    let package = root().join("guest/python");
    let plugin = ["-m", "pytest", "-q", "-p", "daca.pytest_plugin", "-p", "no:cacheprovider"];
    run(Command::new(language_tools::python()?)
        .args(plugin)
        .current_dir(&package)
        .env("PYTHONPATH", package.join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn go() -> anyhow::Result<()> {
    for module in ["guest/go", "guest/chat-agents/go"] {
        run(Command::new("go").args(["test", "./..."]).current_dir(root().join(module)))?;
    }
    Ok(())
}

fn c() -> anyhow::Result<()> {
    let made = language_tools::folder("c")?;
    let make = |folder: &str, build: &Path| {
        let mut command = Command::new("make");
        command.args(["--silent", "-C", folder]).arg(format!("BUILD={}", build.display()));
        command.current_dir(root());
        command
    };
    run(make("guest/c", &made.join("test")).arg("test"))?;
    let programs = language_tools::programs()?;
    for (folder, source) in BUILT_OF_C {
        let build = made.join(source.replace('/', "-"));
        // Anew each time: make does not know of the contract and of the tools that have changed.
        if build.exists() {
            std::fs::remove_dir_all(&build).with_context(|| build.display().to_string())?;
        }
        let mut command = make(folder, &build);
        command
            .arg(format!("SOURCES={source}"))
            .arg(format!("OUTPUT={}", build.join("agent.wasm").display()));
        run(command.envs(programs.clone())).with_context(|| format!("{folder}/{source}"))?;
    }
    Ok(())
}
