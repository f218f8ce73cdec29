//! `cargo xtask languages`: the SDKs of other languages than Rust, tried with their own tools.
//!
//! What they need is installed into `target/languages`, in the versions that their own lists pin: packages of npm by
//! `guest/js/package-lock.json`, of PyPI by `guest/python/requirements-test.txt`. The languages themselves are the machine's:
//! where one is missing, its tests are left out aloud, and in CI that is an error.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::paths::{root, target};
use crate::steps::Warnings;

/// A language, with what it takes to try its SDK.
struct Language {
    name: &'static str,
    /// The program that must be there, and how it is asked for its version.
    program: [&'static str; 2],
    /// Where people get it.
    help: &'static str,
    try_out: fn() -> anyhow::Result<()>,
}

const LANGUAGES: [Language; 4] = [
    Language {
        name: "JAVASCRIPT",
        program: ["npm", "--version"],
        help: "Node 20 or later with npm, on Debian of the packages nodejs and npm",
        try_out: javascript,
    },
    Language {
        name: "PYTHON",
        program: ["python3", "--version"],
        help: "Python 3.11 or later, on Debian of the packages python3 and python3-venv",
        try_out: python,
    },
    Language {
        name: "GO",
        program: ["go", "version"],
        help: "Go 1.26 or later, from https://go.dev",
        try_out: go,
    },
    Language { name: "C", program: ["make", "--version"], help: "make and a C compiler", try_out: c },
];

/// Tries all of them. A language that is not on this machine is a warning, and in CI an error.
pub(crate) fn check() -> anyhow::Result<Warnings> {
    let mut warnings = Warnings::new();
    for Language { name, program: [program, version], help, try_out } in LANGUAGES {
        let found = Command::new(program).arg(version).output();
        if found.is_ok_and(|output| output.status.success()) {
            try_out().with_context(|| format!("the SDK for {name}"))?;
            continue;
        }
        let missing = format!("THE SDK FOR {name} WAS NOT TRIED: {program} is missing; it is part of {help}");
        if std::env::var_os("CI").is_some() {
            bail!(missing);
        }
        warnings.push(missing);
    }
    Ok(warnings)
}

/// The folder of the SDK for JavaScript and TypeScript, once the packages that it needs are installed.
pub(crate) fn javascript_sdk() -> anyhow::Result<PathBuf> {
    let package = root().join("guest/js");
    npm_packages(&package)?;
    Ok(package)
}

fn javascript() -> anyhow::Result<()> {
    let package = javascript_sdk()?;
    run(Command::new("npm").args(["test", "--silent"]).current_dir(package))
}

/// Installs the locked packages once, and links them to where Node looks for them.
fn npm_packages(package: &Path) -> anyhow::Result<()> {
    let installed = folder("js")?;
    let lists = ["package.json", "package-lock.json"];
    let modules = installed.join("node_modules");
    let is_known = lists.iter().all(|list| same(&package.join(list), &installed.join(list)));
    if !is_known || !modules.is_dir() {
        for list in lists {
            std::fs::copy(package.join(list), installed.join(list))?;
        }
        run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&installed))?;
    }
    let link = package.join("node_modules");
    match std::fs::symlink_metadata(&link) {
        // Somebody's own.
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) if std::fs::read_link(&link).is_ok_and(|to| to == modules) => Ok(()),
        Ok(_) => std::fs::remove_file(&link).and_then(|()| std::os::unix::fs::symlink(modules, link)),
        Err(_) => std::os::unix::fs::symlink(modules, link),
    }
    .context("guest/js/node_modules")
}

fn python() -> anyhow::Result<()> {
    let (package, installed) = (root().join("guest/python"), folder("python-sdk")?);
    let list = package.join("requirements-test.txt");
    let (environment, known) = (installed.join("env"), installed.join("requirements-test.txt"));
    let python = environment.join("bin/python");
    if !same(&list, &known) || !python.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(&python).args(pip).arg(&list))?;
        std::fs::copy(&list, &known)?;
    }
    let plugin = ["-m", "pytest", "-q", "-p", "daca.pytest_plugin", "-p", "no:cacheprovider"];
    run(Command::new(&python)
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

/// A folder of what is installed.
fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = target().join("languages").join(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn same(a: &Path, b: &Path) -> bool {
    let read = |path| std::fs::read(path).ok();
    read(a).is_some_and(|content| read(b) == Some(content))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = format!("{command:?}");
    let status = command.status().with_context(|| line.clone())?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}
