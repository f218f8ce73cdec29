//! Where the servers of `daca-stack up` are, for other programs: a file that is there while they run.

use std::net::TcpStream;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::folders;
use serde_json::{Value, json};

use crate::{HostWithSidecar, Stack};

/// The file, which goes away with this unless another run has written its own since.
#[derive(Debug)]
pub struct AddressFile {
    path: PathBuf,
}

impl AddressFile {
    /// Writes the addresses down.
    pub fn write(stack: &Stack, hosts: &[HostWithSidecar]) -> anyhow::Result<AddressFile> {
        let hosts = hosts.iter().map(|host| {
            json!({
                "app": host.app.url(""),
                "admin": host.app.admin_url(""),
                "sidecar": host.sidecar.url(""),
            })
        });
        let addresses = json!({
            "pid": std::process::id(),
            "kafka": stack.kafka.as_ref().map(|kafka| kafka.address()),
            "redis": stack.redis.address(),
            "hosts": hosts.collect::<Vec<_>>(),
        });
        let file = AddressFile { path: path() };
        std::fs::write(&file.path, format!("{addresses:#}\n")).context("writing the addresses down")?;
        Ok(file)
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        if is_of(&self.path, std::process::id()) {
            // It may have been removed with the folder.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// The address of the running Kafka. A file that was left behind by `kill -9` does not count.
pub fn kafka() -> Option<String> {
    let addresses = read(&path())?;
    let kafka = addresses["kafka"].as_str()?;
    TcpStream::connect(kafka).is_ok().then(|| kafka.to_owned())
}

/// Did the process of this id write the file?
fn is_of(path: &Path, pid: u32) -> bool {
    read(path).is_some_and(|addresses| addresses["pid"] == pid)
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn path() -> PathBuf {
    folders::programs().join("running.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_away_with_the_run_that_wrote_it_last() -> anyhow::Result<()> {
        let own = std::process::id();
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("running.json");
        for (pid, stays) in [(own + 1, true), (own, false)] {
            std::fs::write(&path, json!({ "pid": pid }).to_string())?;
            drop(AddressFile { path: path.clone() });
            assert_eq!(path.exists(), stays, "{pid}");
        }
        Ok(())
    }
}
