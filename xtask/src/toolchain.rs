//! Parts of the toolchain that a fresh one may lack: each is looked for, and added by rustup, where it can, when it is
//! missing.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo::Cargo;
use crate::paths::{root, sysroot};

/// A part of the toolchain.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The standard library for components.
    WasmTarget,
    /// The formatter.
    Rustfmt,
    /// The lints.
    Clippy,
    /// `make`, with which Kafka's client library is built.
    Make,
    /// The C library as an archive, which goes into a static program.
    StaticC,
}

impl Part {
    /// Makes sure that the part is there.
    pub(crate) fn provide(self) -> anyhow::Result<()> {
        if self.is_there()? {
            return Ok(());
        }
        let Some(command) = self.rustup_command() else {
            bail!(
                "{self} is missing\n  help: install it, on Debian with: apt-get install {}",
                self.package()
            );
        };
        eprintln!("{self} is missing; adding it: rustup {command}");
        match Command::new("rustup").args(command.split(' ')).current_dir(root()).status() {
            Ok(status) if status.success() => self.check_added(),
            Ok(status) => bail!(
                "{self} is missing, and adding it failed ({status})\n  help: rustup's message is above; it needs the network this once. Try it by hand: rustup {command}"
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "{self} is missing, and so is rustup, which could add it\n  help: install Rust from https://rustup.rs, or add {self} from where your Rust came from, such as your distribution's packages"
            ),
            Err(error) => Err(error).context("starting rustup"),
        }
    }

    /// rustup may have added the part to another toolchain than the one that is in use.
    fn check_added(self) -> anyhow::Result<()> {
        if self.is_there()? {
            return Ok(());
        }
        bail!(
            "rustup has added {self}, but not to the toolchain that is in use: {}\n  help: put rustup's own cargo and rustc first in PATH, most often with: . \"$HOME/.cargo/env\"",
            sysroot()?
        )
    }

    fn is_there(self) -> anyhow::Result<bool> {
        match self {
            Part::WasmTarget => {
                Ok(Path::new(&sysroot()?).join("lib/rustlib").join(self.name()).join("lib").is_dir())
            }
            Part::Rustfmt => Cargo::new("fmt --version").works(),
            Part::Clippy => Cargo::new("clippy --version").works(),
            Part::Make => Ok(Command::new("make").arg("--version").output().is_ok()),
            // The compiler answers with a path when it has found the file, and with its name alone otherwise.
            Part::StaticC => {
                let output = Command::new("cc").arg("-print-file-name=libc.a").output();
                Ok(output.is_ok_and(|output| output.stdout.starts_with(b"/")))
            }
        }
    }

    /// How rustup adds it, where it can.
    fn rustup_command(self) -> Option<String> {
        match self {
            Part::WasmTarget => Some(format!("target add {}", self.name())),
            Part::Rustfmt | Part::Clippy => Some(format!("component add {}", self.name())),
            Part::Make | Part::StaticC => None,
        }
    }

    /// Debian's package.
    fn package(self) -> &'static str {
        match self {
            Part::StaticC => "libc6-dev",
            other => other.name(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Part::WasmTarget => "wasm32-wasip2",
            Part::Rustfmt => "rustfmt",
            Part::Clippy => "clippy",
            Part::Make => "make",
            Part::StaticC => "libc.a",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::WasmTarget => write!(f, "the target {}", self.name()),
            Part::Rustfmt | Part::Clippy | Part::Make | Part::StaticC => f.write_str(self.name()),
        }
    }
}
