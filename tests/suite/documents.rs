//! What the documents tell a reader to type, typed: each page's console blocks run against a host of their own, in order.

use std::path::{Path, PathBuf};

use daca_tests::console::{Shell, commands};
use daca_tests::{Host, default_manifest, replaced, target};

/// Pages that would prove nothing if none of their blocks was run.
const STARTS: [&str; 7] = [
    "README.md",
    "docs/guide/first-conversation.md",
    "docs/guide/hot-swap.md",
    MAKES_A_PROJECT,
    "examples/counter/README.md",
    "examples/order-saga/README.md",
    "examples/weather/README.md",
];
/// On this page the reader makes a project, with an agent that replaces the one of the example `counter`.
const MAKES_A_PROJECT: &str = "docs/guide/write-an-agent.md";
/// The doc tests of these crates compile the Rust of the pages.
const DOC_TESTS: [&str; 2] = ["guest/sdk/src/lib.rs", "testkit/src/lib.rs"];

/// The host of a page is there before its first command, as if the reader had started it with `cargo xtask dev`.
#[tokio::test]
async fn the_pages_show_what_their_commands_print() -> anyhow::Result<()> {
    let mut faults = Vec::new();
    for page in pages()? {
        let name = name(&page);
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

#[test]
fn the_rust_of_every_page_is_compiled() -> anyhow::Result<()> {
    let mut crates = String::new();
    for file in DOC_TESTS {
        crates += &std::fs::read_to_string(root().join(file))?;
    }
    for page in pages()? {
        let has_rust = std::fs::read_to_string(&page)?.lines().any(|line| line.starts_with("```rust"));
        let name = name(&page);
        assert!(
            !has_rust || crates.contains(&format!("../{name}\")]")),
            "{name} has Rust that no doc test compiles; include it in one of {DOC_TESTS:?}"
        );
    }
    Ok(())
}

/// What differs from a page; none if it has nothing to run.
async fn faults_of(page: &Path) -> anyhow::Result<Option<Vec<String>>> {
    let commands = commands(&std::fs::read_to_string(page)?)?;
    if commands.is_empty() {
        return Ok(None);
    }
    let host = Host::start(&manifest_of(page)?).await?;
    let mut shell = Shell::new(&root(), &target(), &host.app, &host.admin)?;
    if name(page) == MAKES_A_PROJECT {
        shell = shell.in_an_empty_folder(&root(), &target())?;
    }
    let faults = commands.iter().map(|shown| shell.try_out(shown)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Some(faults.into_iter().flatten().collect()))
}

/// An example has a manifest of its own.
fn manifest_of(page: &Path) -> anyhow::Result<String> {
    let example = if name(page) == MAKES_A_PROJECT {
        root().join("examples/counter/agents.toml")
    } else if page.starts_with(root().join("examples")) {
        page.with_file_name("agents.toml")
    } else {
        return Ok(default_manifest());
    };
    let manifest = std::fs::read_to_string(example)?;
    replaced(&manifest, "../../target/", &format!("{}/", target().display()))
}

/// The page's path in the project.
fn name(page: &Path) -> String {
    page.strip_prefix(root()).unwrap_or(page).display().to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// The pages that a reader follows.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = ["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)).to_vec();
    let mut folders = ["docs", "examples"].map(|name| root().join(name)).to_vec();
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
