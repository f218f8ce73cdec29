//! Tasks and threads that run as long as the host.
//!
//! A panic ends only the task or thread in which it happens. If that runs forever (it fires reminders, follows the
//! sidecar, deactivates idle actors, writes the state), its end would be an unnoticed outage: it is restarted.

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

/// The same for the work of a thread.
pub fn lasting_thread(name: &str, mut work: impl FnMut()) {
    while std::panic::catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        log_panic(name);
        std::thread::sleep(PAUSE);
    }
}

/// Runs a step of a task that continues afterwards, even if the step panics; the log has the panic.
pub async fn step(name: &str, step: impl Future<Output = ()>) {
    if !ended_well(name, step).await {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs work whose caller does something else if it panics; the log has the panic. Returns `false` then.
pub async fn ended_well(name: &str, work: impl Future<Output = ()>) -> bool {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    if ended.is_err() {
        log_panic(name);
    }
    ended.is_ok()
}

fn log_panic(name: &str) {
    tracing::error!(
        code = ErrorCode::Internal.as_str(),
        task = name,
        "a task of the host panicked, and continues"
    );
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

    #[test]
    fn the_work_of_a_thread_begins_again_as_well() {
        let mut begun = 0;
        lasting_thread("test", || {
            begun += 1;
            assert!(begun > 1, "the first time it panics");
        });
        assert_eq!(begun, 2);
    }
}
