//! Where things are: the workspace's folders, the toolchain's, and the variables that name programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The workspace's folder. `cargo run` and `cargo test` say where it is now; what was compiled in may be where it was before
/// it was moved or copied.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(variable("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map_or(xtask.clone(), Path::to_owned)
}

/// The folder in which everything is built.
pub(crate) fn target() -> PathBuf {
    root().join("target")
}

/// A program of the toolchain that is in use. Where it cannot be found there, PATH may have it.
pub(crate) fn program(name: &str) -> PathBuf {
    let beside = sysroot().map(|sysroot| Path::new(&sysroot).join("bin").join(name));
    beside.ok().filter(|program| program.is_file()).unwrap_or_else(|| name.into())
}

/// The folder of the toolchain that is in use.
pub(crate) fn sysroot() -> anyhow::Result<String> {
    let output = Command::new(variable("RUSTC", "rustc"))
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .context("rustc could not be started")?;
    if !output.status.success() {
        bail!("rustc --print sysroot: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let path = String::from_utf8(output.stdout).context("the path of the toolchain is not UTF-8")?;
    Ok(path.trim_end().to_owned())
}

/// A variable of the environment, or what stands for it when it is not set. Cargo sets `CARGO` to itself.
pub(crate) fn variable(name: &str, otherwise: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| otherwise.into())
}
