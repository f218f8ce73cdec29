//! Tasks that last as long as the host.
//!
//! A panic ends the task that it happens in and nothing else. Where a task does something for ever (fires reminders, follows the
//! sidecar, deactivates idle actors), that would be an outage that nobody sees: such a task begins again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

/// The wait before a task that panicked begins again. One that panics each time must not use a processor up.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a task until it ends by itself. After a panic it begins again, from the start; the log has the panic (code `internal`).
pub async fn lasting<F: Future<Output = ()>>(name: &str, mut begin: impl FnMut() -> F) {
    while !ended_well(name, begin()).await {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a step of a task that goes on after it, also after a panic in it; the log has the panic.
pub async fn step(name: &str, step: impl Future<Output = ()>) {
    ended_well(name, step).await;
}

async fn ended_well(name: &str, step: impl Future<Output = ()>) -> bool {
    let ended = AssertUnwindSafe(step).catch_unwind().await;
    if ended.is_err() {
        tracing::error!(code = "internal", task = name, "a task of the host panicked, and goes on");
    }
    ended.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_again() {
        let mut begun = 0;
        lasting("test", || {
            begun += 1;
            let is_first = begun == 1;
            async move { assert!(!is_first, "the first time it panics") }
        })
        .await;
        assert_eq!(begun, 2);
    }
}
