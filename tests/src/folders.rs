//! Where the project and what it builds lie. The programs and tests may have been moved since they were compiled, so the
//! place of the running program goes before what was compiled in.

use std::path::{Path, PathBuf};

/// The workspace's folder.
pub fn root() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut candidates = program.ancestors().chain(compiled_in.ancestors());
    candidates
        .find(|folder| folder.join("tests/stack/dapr/go.mod").is_file())
        .unwrap_or(compiled_in)
        .to_owned()
}

/// The folder in which cargo builds: `target`, unless cargo is told another one.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    // Tests lie in `target/debug/deps`, programs in `target/debug` or `target/release`.
    let is_profile = |folder: &&Path| folder.ends_with("debug") || folder.ends_with("release");
    let profile = program.ancestors().find(is_profile);
    profile.and_then(Path::parent).map_or_else(|| root().join("target"), Path::to_owned)
}

/// The folder of the servers' programs.
pub fn programs() -> PathBuf {
    target().join("stack")
}

/// The host's program.
pub fn daca() -> PathBuf {
    target().join("debug/daca")
}

/// The id of the commit that is the release before.
const PREVIOUS: &str = include_str!("../stack/previous-release");

/// The host's program of the release before, which `cargo xtask previous` builds.
pub fn previous_daca() -> PathBuf {
    previous().join("out/debug/daca")
}

/// The file in which `cargo xtask previous` says why there can be no such program: a shallow clone has no commit of it.
pub fn no_previous_daca() -> PathBuf {
    previous().join("unavailable")
}

fn previous() -> PathBuf {
    target().join("previous").join(PREVIOUS.trim())
}

/// The host's program as it is measured, without what eases a debugger's work.
pub fn released_daca() -> PathBuf {
    target().join("release/daca")
}
