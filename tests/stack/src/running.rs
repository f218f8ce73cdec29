//! Where the servers of `daca-stack up` are, for other programs: a file that is there while they run.

use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{Host, Stack, folders};

/// The file, which goes away with this.
#[derive(Debug)]
pub struct Running {
    path: PathBuf,
}

impl Running {
    /// Writes the addresses down.
    pub fn write(stack: &Stack, hosts: &[Host]) -> anyhow::Result<Running> {
        let hosts = hosts.iter().map(|host| {
            json!({
                "app": host.app.url(""),
                "admin": host.app.admin_url(""),
                "sidecar": host.sidecar.url(""),
            })
        });
        let addresses = json!({
            "kafka": stack.kafka.as_ref().map(|kafka| kafka.address()),
            "redis": stack.redis.address(),
            "hosts": hosts.collect::<Vec<_>>(),
        });
        let running = Running { path: path() };
        std::fs::write(&running.path, format!("{addresses:#}\n")).context("writing the addresses down")?;
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have been removed with the folder.
        std::fs::remove_file(&self.path).ok();
    }
}

/// The address of the running Kafka. A file that was left behind by `kill -9` does not count.
pub fn kafka() -> Option<String> {
    let addresses = std::fs::read(path()).ok()?;
    let addresses: Value = serde_json::from_slice(&addresses).ok()?;
    let kafka = addresses["kafka"].as_str()?;
    TcpStream::connect(kafka).is_ok().then(|| kafka.to_owned())
}

fn path() -> PathBuf {
    folders::programs().join("running.json")
}
