//! Which machine was measured, and when: without it a figure means nothing.

use std::process::Command;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The machine and the moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) cpu: String,
    /// Processors that this process may use.
    pub(crate) cores: usize,
    /// Memory in GiB.
    pub(crate) memory: u64,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// The day, as `2026-01-31`.
    pub(crate) date: String,
    /// The project's commit; with `+` when files differ from it.
    pub(crate) commit: String,
    /// The command that measured.
    pub(crate) command: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn read() -> anyhow::Result<Machine> {
        let of_file = |path: &str, name: &str| -> anyhow::Result<Option<String>> {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned()))
        };
        let memory = of_file("/proc/meminfo", "MemTotal")?.unwrap_or_default();
        let kibibytes = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        let arguments = std::env::args().skip(1).map(|argument| format!(" {argument}")).collect::<String>();
        let is_changed = !output("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
        Ok(Machine {
            cpu: of_file("/proc/cpuinfo", "model name")?.unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            memory: kibibytes.div_ceil(1 << 20),
            kernel: output("uname", &["-sr"])?,
            date: output("date", &["-u", "+%Y-%m-%d"])?,
            commit: output("git", &["rev-parse", "--short", "HEAD"])? + if is_changed { "+" } else { "" },
            command: format!("cargo xtask bench{arguments}"),
        })
    }
}

fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(daca_tests::folders::root())
        .output()
        .with_context(|| format!("starting {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
