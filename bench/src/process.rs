//! What a process costs: its memory and its time on the processors, as the kernel counts them.

use std::time::Duration;

use anyhow::Context as _;

/// The costs of a process up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    /// Resident memory with the page tables that map it, in bytes.
    pub(crate) resident: u64,
    /// Time on the processors, in user and kernel.
    pub(crate) cpu: Duration,
}

impl Costs {
    /// Reads them from `/proc`.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Costs> {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
        };
        let status = read("status")?;
        let kibibytes = |name: &str| {
            let text = status.lines().find_map(|line| line.strip_prefix(name))?;
            text.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        let resident = kibibytes("VmRSS:").context("no VmRSS")? + kibibytes("VmPTE:").unwrap_or_default();
        let stat = read("stat")?;
        // The name of the program, in parentheses, may have spaces in it. Then: state is the first, utime the 12th, stime the 13th.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
        let ticks =
            |number: usize| fields.as_ref().and_then(|fields| fields.get(number)?.parse::<u64>().ok());
        let ticks = ticks(11).context("no utime")? + ticks(12).context("no stime")?;
        let a_second = rustix::param::clock_ticks_per_second();
        let cpu = Duration::from_secs_f64(ticks as f64 / a_second as f64);
        Ok(Costs { resident: resident * 1024, cpu })
    }
}
