//! A build: a command of the manifest, with all the processes that it starts.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

/// A running build. If it is dropped before its end, it is killed with all processes that it has started.
pub(super) struct Build {
    /// The leader of a process group of its own.
    child: Child,
}

impl Build {
    /// Starts a command. It reads nothing, and writes to standard error.
    pub(super) fn start(command: &str, folder: &Path) -> std::io::Result<Build> {
        let child = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .process_group(0)
            .spawn()?;
        Ok(Build { child })
    }

    /// Waits for it to end.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        // It keeps its id until its end was waited for, so the id belongs to nobody else.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(Err(error)) = id.map(|group| kill_process_group(group, Signal::KILL)) {
            tracing::warn!("the build could not be ended: {error}");
        }
    }
}
