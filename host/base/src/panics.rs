//! Panics that are expected: of a library that panics on damaged data. In the log they must not look like a defect of
//! the host.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use crate::ErrorCode;

thread_local! {
    /// The code of the work on this thread that may panic.
    static EXPECTED: Cell<Option<ErrorCode>> = const { Cell::new(None) };
}

/// Does work that panics on bad data. A panic is returned as its text; its line in the log has this code instead of
/// `internal`. The work stays on this thread.
pub fn caught<T>(code: ErrorCode, work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = EXPECTED.replace(Some(code));
    let done = std::panic::catch_unwind(AssertUnwindSafe(work));
    EXPECTED.set(outer);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        text.unwrap_or("its reader failed").to_owned()
    })
}

/// The code of a panic that happens now on this thread. `None` if nobody expects one.
pub(crate) fn expected() -> Option<ErrorCode> {
    EXPECTED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_expected_only_within_its_work() {
        let seen = caught(ErrorCode::DataDamaged, || {
            let page = 7;
            let inner = caught(ErrorCode::StateUnavailable, || assert_eq!(page, 8, "a bad page"));
            (inner.is_err_and(|text| text.contains("a bad page")), expected())
        });
        assert_eq!(seen, Ok((true, Some(ErrorCode::DataDamaged))));
        assert_eq!(expected(), None);
    }
}
