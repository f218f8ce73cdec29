//! The steps of a commit at which a test ends the process, as `kill -9` does: nothing is unwound, flushed or answered.
//!
//! `DACA_FAIL_POINT=NAME:N` ends it when it passes the step NAME for the Nth time. Builds without debug assertions, as
//! releases are, have nothing of this.

/// A step of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailPoint {
    /// Nothing of the batch is written.
    BeforeTransaction,
    /// Everything is written, and not committed.
    InTransaction,
    /// It is on disk, and nobody knows.
    AfterCommit,
    /// The callers are being answered.
    AfterAnswer,
}

/// The step at which the process ends, if any.
#[derive(Debug, Default)]
pub(super) struct FailPoints {
    /// The step, and how often it will still be passed, the last time included.
    #[cfg(debug_assertions)]
    armed: Option<(FailPoint, u64)>,
    /// The thread panics there, in place of the end of the process: for tests.
    #[cfg(debug_assertions)]
    panics: bool,
}

#[cfg(debug_assertions)]
impl FailPoints {
    pub(super) fn from_environment() -> FailPoints {
        let Ok(text) = std::env::var("DACA_FAIL_POINT") else { return FailPoints::default() };
        let armed = read(&text);
        if armed.is_none() {
            tracing::error!(
                "DACA_FAIL_POINT={text:?} ends nothing: it is STEP:N, with before-transaction, in-transaction, after-commit or after-answer as STEP, and N from 1"
            );
        }
        FailPoints { armed, panics: false }
    }

    /// Panics when the step is passed for the first time.
    #[cfg(test)]
    pub(super) fn panicking(point: FailPoint) -> FailPoints {
        FailPoints { armed: Some((point, 1)), panics: true }
    }

    /// Called at each step.
    pub(super) fn pass(&mut self, point: FailPoint) {
        if let Some((armed, left)) = &mut self.armed
            && *armed == point
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.armed = None;
                assert!(!self.panics, "a defect for a test");
                std::process::abort();
            }
        }
    }
}

/// The step, and how often it is passed, the last time included.
#[cfg(debug_assertions)]
fn read(text: &str) -> Option<(FailPoint, u64)> {
    let (name, number) = text.split_once(':')?;
    let point = match name {
        "before-transaction" => FailPoint::BeforeTransaction,
        "in-transaction" => FailPoint::InTransaction,
        "after-commit" => FailPoint::AfterCommit,
        "after-answer" => FailPoint::AfterAnswer,
        _ => return None,
    };
    let number = number.parse().ok().filter(|number| *number > 0)?;
    Some((point, number))
}

#[cfg(not(debug_assertions))]
impl FailPoints {
    pub(super) fn from_environment() -> FailPoints {
        FailPoints::default()
    }

    pub(super) fn pass(&mut self, _point: FailPoint) {}
}
