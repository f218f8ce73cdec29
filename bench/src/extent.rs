//! How long and how often is measured: in full, or quickly.

use std::time::Duration;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    quick: bool,
}

impl Extent {
    /// All of it, or enough to see that it works.
    pub(crate) fn new(quick: bool) -> Extent {
        Extent { quick }
    }

    /// How long a load runs that takes so many seconds in a full run.
    pub(crate) fn seconds(self, full: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { full / 4.0 } else { full })
    }

    /// How often something is done that is done so often in a full run.
    pub(crate) fn times(self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }
}
