//! The servers that all contenders share.

use std::path::PathBuf;

use daca_stack::{Stack, StackOptions};
use daca_tests::{default_manifest, folders, replaced};
use tempfile::TempDir;

use super::contender::Job;
use crate::extent::Extent;
use crate::peers::Programs;

/// The servers that all share.
pub(super) struct SharedServers {
    pub(super) stack: Stack,
    pub(super) programs: Programs,
    manifests: TempDir,
    pub(super) extent: Extent,
}

impl SharedServers {
    pub(super) async fn start(extent: Extent) -> anyhow::Result<SharedServers> {
        let programs = Programs::make()?;
        let folder = folders::target().join("bench/stack");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        eprintln!(
            "starting Redis, Kafka, the edge of Twilio, placement and scheduler in {}",
            folder.display()
        );
        let stack = Stack::start(StackOptions { folder: Some(folder), ..StackOptions::default() }).await?;
        Ok(SharedServers { stack, programs, manifests: TempDir::new()?, extent })
    }

    /// Events that were ever published.
    pub(super) async fn events(&self) -> anyhow::Result<u64> {
        let stream = self.stack.redis.cli(&["xinfo", "stream", "user-chat"]).await;
        // There is no stream before the first event.
        let text = stream.unwrap_or_default();
        let mut lines = text.lines().skip_while(|line| *line != "entries-added");
        Ok(lines.nth(1).and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// The manifest of a host.
    pub(super) fn manifest(&self, direct: bool, job: Job) -> anyhow::Result<PathBuf> {
        let path = self.manifests.path().join("agents.toml");
        let text = match job {
            Job::Whole => default_manifest(),
            Job::WithoutSms => {
                replaced(&default_manifest(), "to-number = \"+1987654321\"", "to-number = \"\"")?
            }
        };
        let dapr = if direct { "\n[dapr]\ndirect-calls = true\n" } else { "" };
        std::fs::write(&path, text + dapr)?;
        Ok(path)
    }
}
