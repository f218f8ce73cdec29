//! What every measure is told on the command line.

use std::path::PathBuf;
use std::time::Duration;

/// What all measures are told.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// The ChatAgent's component
    #[arg(long)]
    pub(crate) component: PathBuf,
    /// How long to measure
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

impl Common {
    /// How long to measure.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
