//! Stacks of another form than that of the project.

use std::path::Path;

use daca_stack::{Stack, StackOptions};
use daca_tests::folders;

/// Component files as a test needs them, by name and content.
pub(crate) fn components(folder: &Path, files: &[(&str, &str)]) -> anyhow::Result<()> {
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// A stack without Kafka, with these component files.
pub(crate) async fn stack_with(files: &[(&str, &str)]) -> anyhow::Result<Stack> {
    let folder = tempfile::tempdir()?;
    components(folder.path(), files)?;
    let options =
        StackOptions { components: folder.path().to_owned(), kafka: false, ..StackOptions::default() };
    Stack::start(options).await
}

/// A stack whose sidecars read nothing from Kafka, and which has none.
pub(crate) fn without_kafka() -> anyhow::Result<(StackOptions, tempfile::TempDir)> {
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(folders::root().join("components/local"))? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|name| *name != "kafka-binding.yaml") {
            std::fs::copy(&path, folder.path().join(name))?;
        }
    }
    let components = folder.path().to_owned();
    Ok((StackOptions { kafka: false, components, ..StackOptions::default() }, folder))
}
