//! Components whose compilation failed, so that the same bytes are not compiled again.
//!
//! Compiling may use up all of its limits, and anyone who may deploy may do so repeatedly. Only failures that would
//! occur again are remembered: exhausted processor time or memory of the compiler process, and bytes that are not a
//! component.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::component::refusal::Refusal;

/// The number of refusals that are remembered. The oldest is replaced.
const MAX_REFUSALS: usize = 64;
/// The time for which they are remembered: processor time depends a little on what else the machine did.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// The refusals of this process.
#[derive(Default)]
pub(super) struct RefusedComponents(Mutex<VecDeque<Entry>>);

struct Entry {
    digest: String,
    refusal: Refusal,
    at: Instant,
}

impl RefusedComponents {
    /// Why the component with this SHA-256 was refused recently.
    pub(super) fn get(&self, digest: &str) -> Option<Refusal> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.at.elapsed() < REMEMBERED_FOR);
        let entry = entries.iter().find(|entry| entry.digest == digest)?;
        let (code, message, help) = &entry.refusal;
        let seconds = entry.at.elapsed().as_secs();
        Some((*code, format!("{message} (compiled {seconds} s ago; not compiled again)"), help))
    }

    /// Remembers a refusal.
    pub(super) fn insert(&self, digest: &str, refusal: Refusal) {
        let mut entries = self.entries();
        entries.truncate(MAX_REFUSALS - 1);
        entries.push_front(Entry { digest: digest.to_owned(), refusal, at: Instant::now() });
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use daca_base::ErrorCode;

    use super::*;

    const REFUSAL: (ErrorCode, &str) = (ErrorCode::ComponentCompileLimit, "help");

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_remembered_for_an_hour_and_only_so_many_are() {
        let refused = RefusedComponents::default();
        let insert = |digest: &str| refused.insert(digest, (REFUSAL.0, "too long".into(), REFUSAL.1));
        insert("first");
        assert_eq!(refused.get("first").map(|refusal| refusal.0), Some(ErrorCode::ComponentCompileLimit));
        assert!(refused.get("another").is_none());
        for number in 0..MAX_REFUSALS {
            insert(&number.to_string());
        }
        assert!(refused.get("first").is_none() && refused.get("0").is_some());
        tokio::time::advance(REMEMBERED_FOR).await;
        assert!(refused.get("0").is_none() && refused.entries().is_empty());
    }
}
