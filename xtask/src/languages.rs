//! `cargo xtask languages`: the SDKs of other languages than Rust, tried with their own tools.
//!
//! Where a language is missing on this machine, its tests are left out aloud, and in CI that is an error.

use std::process::Command;

use anyhow::Context as _;

use crate::language_tools::{self, C, GO, JAVASCRIPT, Language, PYTHON, run};
use crate::paths::root;
use crate::steps::Warnings;

type TryOut = fn() -> anyhow::Result<()>;

const SDKS: [(Language, TryOut); 4] = [(JAVASCRIPT, javascript), (PYTHON, python), (GO, go), (C, c)];

/// Tries all of them. A language that is not on this machine is a warning, and in CI an error.
pub(crate) fn check() -> anyhow::Result<Warnings> {
    let mut warnings = Warnings::new();
    for (language, try_out) in SDKS {
        let name = language.name;
        match language.missing() {
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
    run(Command::new("make").args(["--silent", "-C", "guest/c", "test"]).current_dir(root()))
}
