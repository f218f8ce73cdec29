//! Dapr's component files for this stack: the project's own, with the addresses of the real servers in them.
//!
//! The tests must read the files that people use, so they are copied and not written a second time. The copying is by text:
//! a comment or an odd form of YAML comes through unchanged.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use daca_tests::folders;

/// Copies the YAML files of a folder into another, which is made. Each first text is replaced by its second, and the path of a
/// secrets file is made absolute.
pub fn copy(from: &Path, to: &Path, replacements: &[(String, String)]) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("reading the components of {}", from.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if let (true, Some(name)) = (is_yaml, path.file_name()) {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(to.join(name), adapted(&text, from, replacements))?;
        }
    }
    Ok(())
}

fn adapted(text: &str, folder: &Path, replacements: &[(String, String)]) -> String {
    let mut text = with_absolute_secrets_file(text, folder);
    for (part, by) in replacements {
        text = text.replace(part, by);
    }
    text
}

/// Dapr reads the path from the folder that it runs in.
fn with_absolute_secrets_file(text: &str, folder: &Path) -> String {
    let mut is_next = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.split_once("value:") {
            Some((indent, value)) if is_next => {
                let path = absolute(value.trim().trim_matches(['"', '\'']), folder);
                lines.push(format!("{indent}value: {:?}", path.display().to_string()));
                is_next = false;
            }
            _ => {
                is_next |= line.contains("name: secretsFile");
                lines.push(line.to_owned());
            }
        }
    }
    lines.join("\n") + "\n"
}

/// A path that starts at the components' folder or at the project's.
fn absolute(path: &str, folder: &Path) -> PathBuf {
    let beside = folder.join(path);
    let path = if beside.exists() { beside } else { folders::root().join(path) };
    path.canonicalize().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_the_secrets_file_are_those_of_the_stack() -> anyhow::Result<()> {
        let from = tempfile::tempdir()?;
        let to = tempfile::tempdir()?;
        std::fs::write(from.path().join("secrets.json"), "{}")?;
        let text = "metadata:\n  - name: secretsFile\n    value: secrets.json\n  - name: redisHost\n    value: localhost:6379\n";
        std::fs::write(from.path().join("a.yaml"), text)?;
        copy(from.path(), to.path(), &[("localhost:6379".into(), "127.0.0.1:1".into())])?;
        let copied = std::fs::read_to_string(to.path().join("a.yaml"))?;
        let secrets = from.path().canonicalize()?.join("secrets.json");
        let expected = format!(
            "metadata:\n  - name: secretsFile\n    value: {:?}\n  - name: redisHost\n    value: 127.0.0.1:1\n",
            secrets.display().to_string()
        );
        assert_eq!(copied, expected);
        assert!(!to.path().join("secrets.json").exists());
        Ok(())
    }
}
