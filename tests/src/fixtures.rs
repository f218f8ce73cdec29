//! What tests are given: built components, and manifests.

use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::folders::target;
use crate::versions::version_of;

/// The path of a test guest's component.
pub fn guest(name: &str) -> PathBuf {
    target().join(format!("wasm32-wasip2/guest/examples/{name}.wasm"))
}

/// The path of the ChatAgent's component.
pub fn chat_agent() -> PathBuf {
    target().join("wasm32-wasip2/guest/chat_agent.wasm")
}

/// The component of an agent in another language than Rust, such as `chat-go`. `None` if it is left out, which the test says: by
/// `--no-languages`, or because this machine lacks the language. In CI the latter is an error.
pub fn foreign_agent(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let folder = target().join("languages/agents");
    if folder.join("left-out").is_file() {
        eprintln!("SKIPPED: the agent {name}: --no-languages");
        return Ok(None);
    }
    let component = folder.join(format!("{name}.wasm"));
    if component.is_file() {
        return Ok(Some(component));
    }
    let missing = format!("{} is missing; build it: cargo xtask agents", component.display());
    if std::env::var_os("CI").is_some() {
        bail!(missing);
    }
    eprintln!("SKIPPED: {missing}");
    Ok(None)
}

/// The default manifest of the project, with the path of its component made absolute.
pub fn default_manifest() -> String {
    include_str!("../../agents.toml")
        .replace("target/wasm32-wasip2/guest/chat_agent.wasm", &chat_agent().display().to_string())
}

/// A manifest with one agent type whose component is a test guest; `more` are further lines, which start inside the agent's
/// table, and may open others.
pub fn manifest_of(agent_type: &str, guest_name: &str, more: &str) -> String {
    let component = guest(guest_name);
    format!("[agents.{agent_type}]\ncomponent = {:?}\n{more}\n", component.display().to_string())
}

/// A manifest with the agent type `Exerciser`, which may do what tests ask of it; `more` are further lines, which start inside
/// the agent's table, and may open others.
pub fn exerciser(more: &str) -> String {
    exerciser_with(&["twilio-binding/create", "weather/get"], &["single", "several", "absent"], more)
}

/// The same with these bindings and secrets.
pub fn exerciser_with(bindings: &[&str], secrets: &[&str], more: &str) -> String {
    let permissions = format!(
        "[agents.Exerciser.permissions]
publish = [\"daca-pubsub/*\"]
bindings = {bindings:?}
actors = [\"Exerciser\", \"Nowhere\"]
secrets = {secrets:?}"
    );
    manifest_of("Exerciser", "exerciser", &format!("{more}\n{permissions}"))
}

/// A text with one part replaced, which must be there: a test on a manifest that was not changed would prove nothing.
pub fn replaced(text: &str, part: &str, by: &str) -> anyhow::Result<String> {
    if text.contains(part) { Ok(text.replace(part, by)) } else { bail!("{part:?} is not in:\n{text}") }
}

/// The SHA-256 of a file, in hexadecimal: what names a component version.
pub fn digest(file: &Path) -> anyhow::Result<String> {
    Ok(version_of(&std::fs::read(file)?))
}
