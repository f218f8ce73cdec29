//! The host with real components, spoken to over HTTP.

mod admin;
mod bad_input;
mod callbacks;
mod commands;
mod compiling;
mod components;
mod components_folder;
mod connections;
mod contract;
mod conversation;
mod dead_letters;
mod dev;
mod documents;
mod durability;
mod effects;
mod explain;
mod heads;
mod hostile_json;
mod limits;
mod logs;
mod manifests;
mod mapped;
mod memory;
mod mixed;
mod neighbours;
mod new;
mod openapi;
mod repeated;
mod scripts;
mod shares;
mod shutdown;
mod streams;
mod swap;
mod swapped;
mod told;
mod turns;
mod wakeups;

use std::path::Path;

/// The sources in a folder and those below.
fn sources(folder: &Path) -> std::io::Result<String> {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        all += &if path.is_dir() { sources(&path)? } else { std::fs::read_to_string(path)? };
    }
    Ok(all)
}

/// A guest that no test starts proves nothing.
#[test]
fn every_guest_is_used_by_a_test() -> anyhow::Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = ["suite", "stack/suite", "chaos/src"].map(|folder| sources(&tests.join(folder)));
    let sources = sources.into_iter().collect::<Result<String, _>>()?;
    let names = |name: &str| [format!("\"{name}\""), format!("{name}.wasm\"")];
    let is_unused = |name: &&&str| !names(name).iter().any(|name| sources.contains(name));
    let unused = test_guests::GUESTS.iter().filter(is_unused).collect::<Vec<_>>();
    assert!(unused.is_empty(), "no test starts {unused:?}");
    Ok(())
}
