//! Tasks that run as long as the host.
//!
//! A panic ends only the task in which it happens. If a task runs forever (it fires reminders, follows the sidecar,
//! deactivates idle actors), that would be an unnoticed outage: such a task is restarted.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::ErrorCode;

/// The wait before a task that panicked is restarted. One that panics each time must not use up a processor.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a task until it ends by itself. After a panic it is restarted from the beginning; the log has the panic (code
/// `internal`).
pub async fn lasting<F: Future<Output = ()>>(name: &str, mut begin: impl FnMut() -> F) {
    while !ended_well(name, begin()).await {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a step of a task that continues afterwards, even if the step panics; the log has the panic.
pub async fn step(name: &str, step: impl Future<Output = ()>) {
    ended_well(name, step).await;
}

async fn ended_well(name: &str, step: impl Future<Output = ()>) -> bool {
    let ended = AssertUnwindSafe(step).catch_unwind().await;
    if ended.is_err() {
        tracing::error!(
            code = ErrorCode::Internal.as_str(),
            task = name,
            "a task of the host panicked, and continues"
        );
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
