//! `cargo xtask dev`: from a fresh checkout to a host that answers.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::cargo::{self, Cargo};
use crate::guests;
use crate::paths;
use crate::steps::{self, Step};
use crate::toolchain::Part;

/// What `dev` is asked to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build the host with all optimisation
    #[arg(long)]
    release: bool,
    /// Further arguments of `daca run`, such as --listen 127.0.0.1:9000
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds the ChatAgent and the host, and becomes the host: Ctrl-C goes to it alone, and nothing stays behind.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let profile = if arguments.release { "release" } else { "dev" };
    steps::run(&[
        Step::toolchain(&[Part::WasmTarget]),
        guests::chat_agent(),
        host(profile),
        engine(profile),
    ])?;
    eprintln!("{}\n", hint(&arguments.arguments));
    let program = folder(profile).join("daca");
    // The manifest is the one that `daca dev` takes by default, so that ARGS can name another.
    let mut command = Command::new(&program);
    cargo::prepare(&mut command);
    let error = command.arg("dev").args(&arguments.arguments).exec();
    Err(error).with_context(|| format!("starting {}", program.display()))
}

/// The step that builds the host.
pub(crate) fn host(profile: &str) -> Step {
    Step::cargo("host", Cargo::new(&format!("build -p daca-host --profile {profile}")))
}

/// The step that compiles the engine of scripts ahead of time: the first script of a host does not wait for it. The host looks
/// for it beside its program.
pub(crate) fn engine(profile: &str) -> Step {
    let folder = folder(profile);
    let words = [folder.join("daca"), "compile-engine".into(), "--out".into(), folder.join("daca-compiled")];
    Step::program("engine of scripts", words.map(|word| word.display().to_string()).into())
}

/// Where cargo puts the program of a profile.
fn folder(profile: &str) -> PathBuf {
    paths::target().join(if profile == "release" { "release" } else { "debug" })
}

/// What to try once the host is ready.
fn hint(arguments: &[String]) -> String {
    let app = option(arguments, "--listen").unwrap_or("127.0.0.1:8000");
    let admin = option(arguments, "--admin").unwrap_or("127.0.0.1:8001");
    format!(
        "When the host is ready, try in another terminal:

  curl -X POST {app}/chat/user1 -H 'Content-Type: application/json' -d '{{\"role\": \"user\", \"content\": \"Hi\"}}'
  curl {app}/chat/user1/history
  curl {admin}/outbox

Ctrl-C ends the host."
    )
}

/// The value of an option, written `--name value` or `--name=value`.
fn option<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix(name) {
            Some("") => return arguments.next().map(String::as_str),
            Some(rest) if rest.starts_with('=') => return Some(&rest[1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_address_that_the_host_listens_on() {
        let arguments = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(hint(&[]).contains("curl 127.0.0.1:8000/chat/user1/history"));
        for line in ["--listen 127.0.0.1:9000", "--data /tmp/x --listen=127.0.0.1:9000"] {
            assert!(hint(&arguments(line)).contains("curl 127.0.0.1:9000/chat/user1/history"), "{line}");
        }
        assert!(hint(&arguments("--admin [::1]:9001")).contains("curl [::1]:9001/outbox"));
    }
}
