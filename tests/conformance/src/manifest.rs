//! The manifest that the cases expect.

use std::path::Path;

/// The template: `COMPONENT` and `MEMORY` are put in.
const TEMPLATE: &str = include_str!("../conformance.toml");

/// The file `secrets.json` beside the manifest, for the embedded backend. Behind Dapr, its secret store has them.
pub const SECRETS: &str =
    r#"{"conformance": {"user": "u", "password": "pä"}, "unlisted": "for the host alone"}"#;

/// The manifest for an agent whose instances may have this memory, such as `16MiB`.
pub fn manifest(component: &Path, memory: &str) -> String {
    // A path with quotes or backslashes is a string of TOML, too.
    let component = format!("{:?}", component.display().to_string());
    TEMPLATE.replace("\"COMPONENT\"", &component).replace("MEMORY", memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_manifest_has_the_component() {
        let manifest = manifest(Path::new("/a b/agent.wasm"), "32MiB");
        assert_eq!(manifest.matches("component = \"/a b/agent.wasm\"").count(), 5);
        assert_eq!(manifest.matches("memory = \"32MiB\"").count(), 5);
    }
}
