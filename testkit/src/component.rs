//! Finds the components that a test names, and the command that builds a missing one.

use std::path::{Path, PathBuf};

use daca_manifest::AgentType;

use crate::StartError;

/// A file that a test names: relative to the current folder, or to one above it. Cargo runs tests in the package's folder, and
/// builds in the workspace's.
pub(crate) fn find(path: &Path) -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    here.ancestors().map(|folder| folder.join(path)).find(|path| path.is_file())
}

/// The file of an agent type's component: where the test says, or else the manifest.
pub(crate) fn locate(agent: &AgentType, component: Option<&Path>) -> Result<PathBuf, StartError> {
    let component = component.unwrap_or(&agent.component.path);
    find(component).ok_or_else(|| StartError::ComponentMissing {
        agent: agent.name.to_string(),
        path: component.to_owned(),
        help: advice(agent, component),
    })
}

/// The help for a missing component.
fn advice(agent: &AgentType, component: &Path) -> String {
    match agent.dev.as_ref().map(|dev| dev.build.clone()).or_else(|| build_command(component)) {
        Some(command) => format!("build it: {command}"),
        None => "correct its path, or build it if it is not a script".to_owned(),
    }
}

/// The command that puts a component where cargo does, `target/wasm32-wasip2/PROFILE/NAME.wasm`.
fn build_command(component: &Path) -> Option<String> {
    let parts = component.iter().filter_map(|part| part.to_str()).collect::<Vec<_>>();
    let (profile, file) = match parts[..] {
        [.., "target", "wasm32-wasip2", profile, file] => (profile, file),
        _ => return None,
    };
    let package = file.strip_suffix(".wasm")?.replace('_', "-");
    let profile = match profile {
        "debug" => String::new(),
        "release" => " --release".to_owned(),
        profile => format!(" --profile {profile}"),
    };
    Some(format!("cargo build -p {package} --target wasm32-wasip2{profile}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_one_that_puts_the_component_there() {
        let command = |path: &str| build_command(Path::new(path));
        let expected = "cargo build -p chat-agent --target wasm32-wasip2 --profile guest";
        assert_eq!(command("../target/wasm32-wasip2/guest/chat_agent.wasm").as_deref(), Some(expected));
        let expected = "cargo build -p counter --target wasm32-wasip2";
        assert_eq!(command("target/wasm32-wasip2/debug/counter.wasm").as_deref(), Some(expected));
        assert_eq!(command("counter.wasm"), None);
    }
}
