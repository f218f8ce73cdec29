//! What the tests share.

use std::path::Path;

use daca_stack::{Stack, StackOptions};

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
