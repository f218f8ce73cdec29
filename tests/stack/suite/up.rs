//! `daca-stack up` leaves nothing running, however it ends.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::{Process, Program, eventually};

#[tokio::test]
async fn nothing_runs_on_when_it_is_stopped_and_when_it_is_killed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let up = Up::start(folder.path()).await?;
    let children = up.children()?;
    assert_eq!(children.len(), 6, "four servers, a host and its sidecar: {children:?}");
    let ended = up.process.stop().await?;
    assert_eq!(ended.code(), Some(0), "{:?}", up.process.log_lines()?);
    assert!(children.iter().all(|child| !is_alive(child)));
    let lines = up.process.log_lines()?;
    let end =
        ["stopping the hosts", "stopping the sidecars", "stopping the servers", "everything is stopped"];
    assert!(lines.ends_with(&end.map(str::to_owned)), "{lines:?}");

    let up = up.start_again().await?;
    let children = up.children()?;
    up.process.kill()?;
    eventually("all children end", async || Ok(!children.iter().any(|child| is_alive(child)))).await
}

/// A running `daca-stack up`.
struct Up {
    process: Process,
}

impl Up {
    async fn start(folder: &Path) -> anyhow::Result<Up> {
        let program = Program::new("up", Path::new(env!("CARGO_BIN_EXE_daca-stack")), folder);
        let up = Up {
            process: Process::start(program.argument("up").option("--keep", folder.join("kept").display()))?,
        };
        up.wait_ready().await
    }

    async fn start_again(self) -> anyhow::Result<Up> {
        std::fs::remove_file(self.process.program().log_file())?;
        self.process.start_again()?;
        self.wait_ready().await
    }

    async fn wait_ready(self) -> anyhow::Result<Up> {
        let check = async || self.process.log_contains("everything is up").unwrap_or(false);
        self.process.wait_until("everything is up", check).await?;
        Ok(self)
    }

    /// The processes that it has started, as folders of `/proc`.
    fn children(&self) -> anyhow::Result<Vec<PathBuf>> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.pid()))?;
        let mut children = Vec::new();
        for thread in threads {
            let pids =
                std::fs::read_to_string(thread?.path().join("children")).context("/proc/…/children")?;
            children.extend(pids.split_whitespace().map(|pid| Path::new("/proc").join(pid)));
        }
        Ok(children)
    }
}

/// A zombie is dead; its new parent has not looked yet.
fn is_alive(process: &Path) -> bool {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains("zombie"))
}
