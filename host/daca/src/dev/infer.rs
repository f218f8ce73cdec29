//! What builds an agent type whose table does not say it.

use std::path::Path;

use daca_manifest::DevBuild;

/// A script is its own source, and nothing builds it. Its name tells, so that a missing one is not taken for a component
/// that something has to build.
pub(super) fn script(component: &Path) -> Option<DevBuild> {
    let end = component.extension()?.to_str()?;
    let is_script = ["js", "mjs", "ts", "mts"].contains(&end);
    is_script.then(|| DevBuild { build: String::new(), watch: vec![component.to_owned()] })
}

/// Infers the cargo build of a component in cargo's output folder, `target/wasm32-wasip2/PROFILE/NAME.wasm` beside a
/// package's `Cargo.toml` and `src`.
pub(super) fn cargo(manifest: &Path, component: &Path) -> Option<DevBuild> {
    let folder = manifest.parent()?;
    let below = component.strip_prefix(folder).ok()?.to_str()?;
    let ["target", "wasm32-wasip2", profile, file] = below.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !file.ends_with(".wasm") || !profile.chars().all(is_name) {
        return None;
    }
    let watch = ["Cargo.toml", "src"].map(|name| folder.join(name));
    if !watch.iter().all(|path| path.exists()) {
        return None;
    }
    let build = match profile {
        "debug" => "cargo build --target wasm32-wasip2".to_owned(),
        "release" => "cargo build --target wasm32-wasip2 --release".to_owned(),
        _ => format!("cargo build --target wasm32-wasip2 --profile {profile}"),
    };
    Some(DevBuild { build, watch: watch.into() })
}
