//! `cargo xtask links`: every link between the documents leads somewhere, and the book's summary names every page.
//!
//! Nobody is told otherwise: GitHub shows a broken link only to whoever follows it, and mdBook leaves out a page that its
//! summary does not name. Links to other sites are not followed, so that the check needs no network and always says the same.

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::paths::root;
use crate::steps::Warnings;
use page::Page;

/// Documents outside of [`FOLDERS`].
const FILES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];
/// Every page in these, and in the folders within, is a document.
const FOLDERS: [&str; 3] = ["docs", "examples", "k8s"];
/// The book's pages, and what names them all.
const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Fails with all that is wrong, each with its place.
pub(crate) fn check() -> anyhow::Result<Warnings> {
    let faults = faults(&root())?;
    if !faults.is_empty() {
        bail!("the documents have faults: mend each where it is named\n{}", faults.join("\n"));
    }
    Ok(Warnings::default())
}

fn faults(root: &Path) -> anyhow::Result<Vec<String>> {
    let documents = Documents::read(root)?;
    let mut faults = Vec::new();
    for (path, page) in &documents.pages {
        for link in &page.links {
            if let Some(fault) = documents.fault(path, &link.target)? {
                faults.push(format!("{}:{}: the link {} {fault}", path.display(), link.line, link.target));
            }
        }
    }
    faults.extend(documents.unnamed().map(|path| format!("{}: {SUMMARY} does not name it", path.display())));
    Ok(faults)
}

/// All documents, by their paths from the root.
struct Documents {
    root: PathBuf,
    pages: BTreeMap<PathBuf, Page>,
}

impl Documents {
    fn read(root: &Path) -> anyhow::Result<Documents> {
        let mut paths = FILES.map(PathBuf::from).to_vec();
        for folder in FOLDERS {
            collect(root, Path::new(folder), &mut paths)?;
        }
        let read = |path: PathBuf| read(root, &path).map(|page| (path, page));
        let pages = paths.into_iter().map(read).collect::<anyhow::Result<_>>()?;
        Ok(Documents { root: root.to_owned(), pages })
    }

    /// What is wrong with a link of a page.
    fn fault(&self, from: &Path, target: &str) -> anyhow::Result<Option<String>> {
        if is_of_another_site(target) {
            return Ok(None);
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, it)| (path, Some(it)));
        if path.is_empty() && anchor.is_none() {
            return Ok(Some("is empty".to_owned()));
        }
        let Some(to) = resolve(from, path) else {
            return Ok(Some("leads out of the project".to_owned()));
        };
        if !self.root.join(&to).exists() {
            return Ok(Some(format!("leads to no file: there is no {}", to.display())));
        }
        match anchor {
            Some(anchor) if is_page(&to) && !self.has_anchor(&to, anchor)? => {
                Ok(Some(format!("leads to no heading of {}", to.display())))
            }
            _ => Ok(None),
        }
    }

    /// The page need not be a document.
    fn has_anchor(&self, path: &Path, anchor: &str) -> anyhow::Result<bool> {
        match self.pages.get(path) {
            Some(page) => Ok(page.anchors.contains(anchor)),
            None => Ok(read(&self.root, path)?.anchors.contains(anchor)),
        }
    }

    /// The book's pages that its summary does not name.
    fn unnamed(&self) -> impl Iterator<Item = &Path> {
        let summary = Path::new(SUMMARY);
        let links = self.pages.get(summary).into_iter().flat_map(|page| &page.links);
        let named = links.filter_map(|link| resolve(summary, &link.target)).collect::<BTreeSet<_>>();
        let pages = self.pages.keys().filter(move |path| path.starts_with(BOOK) && *path != summary);
        pages.filter(move |path| !named.contains(*path)).map(PathBuf::as_path)
    }
}

/// Finds the pages in a folder, and in those within.
fn collect(root: &Path, folder: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(root.join(folder)).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, paths)?;
        } else if is_page(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> anyhow::Result<Page> {
    let text = std::fs::read_to_string(root.join(path)).with_context(|| path.display().to_string())?;
    Ok(Page::read(&text))
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

/// Does a link begin with a scheme, such as `https:`, or with another host?
fn is_of_another_site(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    target.starts_with("//") || scheme.is_some_and(|it| it.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The path from the root to which a link of a page leads; none if that is outside of the root. A link that begins with `/`
/// leads from the root, as on GitHub.
fn resolve(from: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut to = if path.starts_with('/') { PathBuf::new() } else { from.parent()?.to_owned() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if !to.pop() {
                    return None;
                }
            }
            part => to.push(part),
        }
    }
    Some(to)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A project whose documents are sound, but for what a test writes into them.
    fn project(pages: &[(&str, &str)]) -> anyhow::Result<TempDir> {
        let folder = TempDir::new()?;
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
            std::fs::write(path, text)
        };
        for file in FILES {
            write(file, "# A page\n")?;
        }
        write("k8s/base.yaml", "")?;
        write("examples/counter/README.md", "# Counter\n")?;
        write(SUMMARY, "[Guide](guide/first.md)\n")?;
        write("docs/guide/first.md", "# First page\n## Run it\n")?;
        for (path, text) in pages {
            write(path, text)?;
        }
        Ok(folder)
    }

    #[test]
    fn sound_links_pass() -> anyhow::Result<()> {
        let text = "# Top\n[a](docs/guide/first.md#run-it) [b](#top) [c](docs) [d](https://x.org/y#z) [e](mailto:a@b.c)\n[f](/k8s/base.yaml#L1) [g](./docs/guide/../SUMMARY.md)";
        assert_eq!(faults(project(&[("README.md", text)])?.path())?, [""; 0]);
        Ok(())
    }

    #[test]
    fn every_fault_is_found_with_its_place() -> anyhow::Result<()> {
        let readme = "# Top\n\n[a](docs/none.md)\n[b](docs/guide/first.md#run)\n[c](#no) [d](../x.md) []()\n";
        let folder = project(&[
            ("README.md", readme),
            ("docs/guide/second.md", "![picture](images/none.svg)\n"),
            (SUMMARY, "[Guide](guide/first.md)\n[Gone](guide/gone.md)\n"),
        ])?;
        let expected = [
            "README.md:3: the link docs/none.md leads to no file: there is no docs/none.md",
            "README.md:4: the link docs/guide/first.md#run leads to no heading of docs/guide/first.md",
            "README.md:5: the link #no leads to no heading of README.md",
            "README.md:5: the link ../x.md leads out of the project",
            "README.md:5: the link  is empty",
            "docs/SUMMARY.md:2: the link guide/gone.md leads to no file: there is no docs/guide/gone.md",
            "docs/guide/second.md:1: the link images/none.svg leads to no file: there is no docs/guide/images/none.svg",
            "docs/guide/second.md: docs/SUMMARY.md does not name it",
        ];
        assert_eq!(faults(folder.path())?, expected);
        Ok(())
    }
}
