//! The program: its command line, a run of it that ends by itself, and bytes on a connection to it.

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;

use crate::folders::daca;
use crate::wait::TIMEOUT;

/// Variables of whoever runs the tests that would lead a command to another host.
pub(crate) const OPERATORS: [&str; 2] = ["DACA_ADMIN", "DACA_ADMIN_TOKEN"];

/// The arguments of the program for a host: what each one that is started here is told.
pub fn run_arguments(backend: &str, manifest: &Path, data: &Path, listen: impl Display) -> Vec<OsString> {
    let listen = listen.to_string();
    let mut arguments = vec![OsString::from("run")];
    for (name, value) in [
        ("--backend", OsStr::new(backend)),
        ("--manifest", manifest.as_os_str()),
        ("--data", data.as_os_str()),
        ("--listen", OsStr::new(&listen)),
    ] {
        arguments.extend([OsString::from(name), value.to_owned()]);
    }
    arguments
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs the program in a folder until it ends by itself. `DAPR_GRPC_PORT`, `DACA_ADMIN` and the like are not passed on.
pub async fn run_in<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<Ended> {
    run_with(folder, arguments, &[]).await
}

/// The same with variables of the environment.
pub async fn run_with<A: AsRef<OsStr>>(
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
    variables: &[(&str, &str)],
) -> anyhow::Result<Ended> {
    let mut command = tokio::process::Command::new(daca());
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    for name in OPERATORS {
        command.env_remove(name);
    }
    command.env_remove("DAPR_GRPC_PORT").env_remove("DAPR_GRPC_ENDPOINT").envs(variables.iter().copied());
    let ended = tokio::time::timeout(TIMEOUT, command.output()).await;
    let output = ended.context("the program did not end by itself")??;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// Makes a named pipe, to which nobody writes.
pub fn make_pipe(path: &Path) -> anyhow::Result<()> {
    let made = std::process::Command::new("mkfifo").arg(path).status()?;
    anyhow::ensure!(made.success(), "mkfifo {}: {made}", path.display());
    Ok(())
}

/// Sends bytes as they are, on a connection of their own, and answers all that comes back until the peer closes it. No HTTP
/// client is in between that would mend them.
pub fn exchange(url: &str, request: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
