//! The name of a turn: part of each line of its log, and the beginning of its effects' identities.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

/// The digits of the largest number of a turn.
const MAX_DIGITS: usize = 20;

/// The name of the next turn: sixteen digits of the host's run, then the number of the turn within it. It never repeats:
/// receivers know effects by it.
pub(super) fn next_turn_id() -> Arc<str> {
    static RUN: LazyLock<String> =
        LazyLock::new(|| format!("{:016x}-", uuid::Uuid::new_v4().as_u64_pair().0));
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = String::with_capacity(RUN.len() + MAX_DIGITS);
    id.push_str(&RUN);
    write!(id, "{}", NEXT.fetch_add(1, Ordering::Relaxed)).ok(); // a String takes everything
    id.into()
}
