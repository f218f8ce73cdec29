//! The languages other than Rust: whether this machine has them, and what their SDKs need beside them.
//!
//! That is installed once into `target/languages`, in the versions that lists of this project pin: packages of npm by
//! `guest/js/package-lock.json`, of PyPI by `guest/python/requirements-test.txt` and `guest/tools.txt`. The languages themselves
//! are the machine's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::paths::{root, target};

/// A language.
pub(crate) struct Language {
    /// Its name, as warnings have it.
    pub(crate) name: &'static str,
    /// The program that must be there, and how it is asked for its version.
    program: [&'static str; 2],
    /// Where people get it.
    help: &'static str,
}

pub(crate) const JAVASCRIPT: Language = Language {
    name: "JAVASCRIPT",
    program: ["npm", "--version"],
    help: "Node 20 or later with npm, on Debian of the packages nodejs and npm",
};
pub(crate) const PYTHON: Language = Language {
    name: "PYTHON",
    program: ["python3", "--version"],
    help: "Python 3.11 or later, on Debian of the packages python3 and python3-venv",
};
pub(crate) const GO: Language =
    Language { name: "GO", program: ["go", "version"], help: "Go 1.26 or later, from https://go.dev" };
pub(crate) const C: Language =
    Language { name: "C", program: ["make", "--version"], help: "make and a C compiler" };

impl Language {
    /// Why nothing can be done with it on this machine. `None` if it is there.
    pub(crate) fn missing(&self) -> Option<String> {
        let [program, version] = self.program;
        let found = Command::new(program).arg(version).output();
        let is_there = found.is_ok_and(|output| output.status.success());
        (!is_there).then(|| format!("{program} is missing; it is part of {}", self.help))
    }
}

/// The warning of something that is left out since this machine cannot do it. In CI it is an error.
pub(crate) fn left_out(warning: String) -> anyhow::Result<String> {
    if std::env::var_os("CI").is_some() {
        bail!(warning);
    }
    Ok(warning)
}

/// The folder of the SDK for JavaScript and TypeScript, once the packages that it needs are installed.
pub(crate) fn javascript_sdk() -> anyhow::Result<PathBuf> {
    let package = root().join("guest/js");
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
    link(&package.join("node_modules"), &modules).context("guest/js/node_modules")?;
    Ok(package)
}

/// Links installed packages to where Node looks for them.
fn link(link: &Path, modules: &Path) -> std::io::Result<()> {
    match std::fs::symlink_metadata(link) {
        // Somebody's own.
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) if std::fs::read_link(link).is_ok_and(|to| to == modules) => Ok(()),
        Ok(_) => std::fs::remove_file(link).and_then(|()| std::os::unix::fs::symlink(modules, link)),
        Err(_) => std::os::unix::fs::symlink(modules, link),
    }
}

/// The Python that has the packages which the SDK for Python needs.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let list = root().join("guest/python/requirements-test.txt");
    let installed = folder("python-sdk")?;
    let (environment, known) = (installed.join("env"), installed.join("requirements-test.txt"));
    let python = environment.join("bin/python");
    if !same(&list, &known) || !python.is_file() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(&python).args(pip).arg(&list))?;
        std::fs::copy(&list, &known)?;
    }
    Ok(python)
}

/// The variables that name the programs of `guest/tools.txt`, which agents in Go and C are built with.
pub(crate) fn programs() -> anyhow::Result<Vec<(String, String)>> {
    let script = root().join("guest/install-tools.sh");
    let output = Command::new(&script)
        .env("PYTHON", python()?)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| script.display().to_string())?;
    ensure!(output.status.success(), "{}: {}", script.display(), output.status);
    let text = String::from_utf8(output.stdout)?;
    let variables = text.lines().filter_map(|line| line.split_once('='));
    Ok(variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// A folder of what is installed, or built.
pub(crate) fn folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = target().join("languages").join(name);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

fn same(a: &Path, b: &Path) -> bool {
    let read = |path| std::fs::read(path).ok();
    read(a).is_some_and(|content| read(b) == Some(content))
}

/// Runs a program to its good end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = format!("{command:?}");
    let status = command.status().with_context(|| line.clone())?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}
