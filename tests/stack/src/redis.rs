//! Redis: Dapr's state store and broker. Every write is on disk before it is answered, so that what a test loses was lost by
//! another.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use daca_tests::{Process, Program};

use crate::build;

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    /// Its port.
    pub port: u16,
    /// Its process.
    pub process: Process,
}

impl Redis {
    /// Starts a server whose data lie in `redis` in the folder.
    pub async fn start(folder: &Path, port: u16) -> anyhow::Result<Redis> {
        let data = folder.join("redis");
        std::fs::create_dir_all(&data)?;
        let program = Program::new("redis", &build::redis_server()?, folder)
            .option("--port", port)
            .option("--bind", "127.0.0.1")
            .option("--dir", data.display())
            .option("--appendonly", "yes")
            .option("--appendfsync", "always")
            .option("--save", "");
        let redis = Redis { port, process: Process::start(program)? };
        redis.wait_ready().await?;
        Ok(redis)
    }

    /// Starts it again on its port with its data, after it was stopped or killed.
    pub async fn start_again(&self) -> anyhow::Result<()> {
        self.process.start_again()?;
        self.wait_ready().await
    }

    /// Its address, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What `redis-cli` prints for a command, without the last line break.
    pub async fn cli(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(build::redis_cli()?);
        command.arg("-p").arg(self.port.to_string()).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("starting redis-cli")?;
        let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        if !output.status.success() {
            bail!("redis-cli {arguments:?}: {text} {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(text)
    }

    async fn wait_ready(&self) -> anyhow::Result<()> {
        let check = async || self.cli(&["ping"]).await.is_ok_and(|answer| answer == "PONG");
        self.process.wait_until("an answer to PING", check).await
    }
}
