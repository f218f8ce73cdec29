//! What the documents tell a reader to type, typed: each page's console blocks run against a host of their own, in order.

use std::path::{Path, PathBuf};

use daca_tests::console::{Shell, commands};
use daca_tests::{Host, default_manifest, target};

/// Pages that would prove nothing if none of their blocks was run.
const STARTS: [&str; 2] = ["README.md", "docs/guide/first-conversation.md"];

/// The host of a page is there before its first command, as if the reader had started it with `cargo xtask dev`.
#[tokio::test]
async fn the_pages_show_what_their_commands_print() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for page in pages()? {
        let name = page.strip_prefix(root()).unwrap_or(&page).display().to_string();
        match faults_of(&page).await {
            Ok(Some(of_page)) => faults.extend(of_page.iter().map(|fault| format!("{name}, {fault}"))),
            Ok(None) if STARTS.contains(&&*name) => {
                faults.push(format!("{name}: none of its commands was run"))
            }
            Ok(None) => {}
            Err(error) => faults.push(format!("{name}, {error:#}")),
        }
    }
    assert!(
        faults.is_empty(),
        "{}\n\n  help: mend the page or the host; a block that no test can run has a comment with the reason before it: <!-- not run: needs a cluster -->",
        faults.join("\n\n")
    );
    Ok(())
}

/// What differs from a page; none if it has nothing to run.
async fn faults_of(page: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let commands = commands(&std::fs::read_to_string(page)?)?;
    if commands.is_empty() {
        return Ok(None);
    }
    let host = Host::start(&default_manifest()).await?;
    let shell = Shell::new(&root(), &target(), &host.app, &host.admin)?;
    let faults = commands.iter().map(|shown| shell.try_out(shown)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Some(faults.into_iter().flatten().collect()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The pages that a reader follows.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = ["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)).to_vec();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}
