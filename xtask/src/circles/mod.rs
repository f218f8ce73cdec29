//! The files of a package need each other in one direction: there is no circle, so that each can be read, and changed,
//! with those below it alone. The compiler keeps the order of the packages, and nothing else keeps this one.
//!
//! A package is looked at wherever it has a folder `src` or `suite`, which is one of tests with a `main.rs`.
//!
//! A file needs another one if it imports a name that is defined there, or names it by a path. Reexports are followed
//! to the file that defines the name: a `lib.rs`, a `mod.rs`, or an `x.rs` beside a folder `x`, counts for what it
//! defines itself. It needs what it reexports only if it uses the name, too. Tests do not count.
//!
//! This is read from paths, so some of what the compiler sees is missed:
//!
//! - methods and fields: a file that calls a method, whose `impl` is in another file, does not need that file;
//! - paths within macros, also within those of `tracing` and `tokio`, and in attributes such as `serde(default = "…")`;
//! - names from a `use …::*`: they count for the module, not for the file that defines them;
//! - inline modules: a `super` in them is taken for that of their file.
//!
//! The root of the modules is `lib.rs`, or `main.rs` where there is none. A `main.rs` beside a `lib.rs` shares its modules,
//! and nothing needs it.

mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use source::{SourceFile, Written, joined};

/// The names that tie one file to another: what the first needs of the second, by their paths.
type Needs = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The number of imports that are followed from a name to its definition. A name that leads in a circle has none.
const MAX_FOLLOWED: usize = 16;

/// A package's files by their modules: `a/b.rs` and `a/b/mod.rs` are `a::b`.
struct Sources(BTreeMap<Written, (String, SourceFile)>);

impl Sources {
    /// Reads the files in a folder `src` or `suite`.
    fn read(src: &Path) -> anyhow::Result<Sources> {
        let root = if src.join("lib.rs").is_file() { "lib" } else { "main" };
        let mut files = BTreeMap::new();
        for path in rust_files(src)? {
            let source = SourceFile::read(&path)?;
            let path = path.strip_prefix(src)?;
            files.insert(module_of(path, root), (path.display().to_string(), source));
        }
        let mut tests = Vec::new();
        for (module, (_, source)) in &files {
            tests.extend(source.tests.iter().map(|name| joined(module, name)));
        }
        files.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Ok(Sources(files))
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::new();
        for (module, (path, source)) in &self.0 {
            let imported = source.imports.iter().filter(|it| !it.is_reexport || source.names(&it.name));
            let paths = imported.map(|import| &import.path).chain(&source.named);
            for (file, name) in paths.filter_map(|written| self.definition(module, written, 0)) {
                if file != path {
                    let names = needs.entry(path.clone()).or_default().entry(file.to_owned()).or_default();
                    names.insert(name);
                }
            }
        }
        needs
    }

    /// The file that defines what a path in a module names, and the name. `None` for what is not in a file of this
    /// crate, and for a module itself.
    fn definition(&self, module: &[String], written: &[String], followed: usize) -> Option<(&str, String)> {
        let (first, rest) = written.split_first()?;
        match first.as_str() {
            "crate" => self.item(&[], rest, followed),
            "self" => self.item(module, rest, followed),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => self.definition(parent, rest, followed),
                    _ => self.item(parent, rest, followed),
                }
            }
            _ if self.is_module(&joined(module, first)) => self.item(module, written, followed),
            _ => self.imported(module, written, followed),
        }
    }

    /// The same for a path of which it is known that it begins within the module.
    fn item(&self, module: &[String], rest: &[String], followed: usize) -> Option<(&str, String)> {
        let (name, within) = rest.split_first()?;
        let child = joined(module, name);
        if self.is_module(&child) {
            return self.item(&child, within, followed);
        }
        let (path, source) = self.0.get(module)?;
        if source.imports.iter().any(|import| import.name == *name) {
            return self.imported(module, rest, followed);
        }
        Some((path.as_str(), name.clone()))
    }

    /// The same for a path that begins with a name that the module imports.
    fn imported(&self, module: &[String], written: &[String], followed: usize) -> Option<(&str, String)> {
        let (name, within) = written.split_first()?;
        let (_, source) = self.0.get(module)?;
        let import = source.imports.iter().find(|import| import.name == *name)?;
        if followed == MAX_FOLLOWED {
            return None;
        }
        self.definition(module, &[&import.path[..], within].concat(), followed + 1)
    }

    fn is_module(&self, module: &Written) -> bool {
        self.0.contains_key(module)
    }
}

fn module_of(path: &Path, root: &str) -> Written {
    let path = path.with_extension("");
    let mut module = path.iter().map(|part| part.to_string_lossy().into_owned()).collect::<Written>();
    if module == [root] || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// The shortest circle, with one line for each of its files; empty if there is none.
fn shortest_circle(needs: &Needs) -> Vec<String> {
    let Some(circle) = needs.keys().filter_map(|start| way_back(needs, start)).min_by_key(Vec::len) else {
        return Vec::new();
    };
    let next = circle.iter().cycle().skip(1);
    let line = |(from, to): (&&str, &&str)| {
        let names = needs.get(*from).and_then(|needed| needed.get(*to)).into_iter().flatten();
        format!("{from} needs {to} for {}", names.map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    circle.iter().zip(next).map(line).collect()
}

/// The shortest way from a file back to itself: all of its files, each once.
fn way_back<'n>(needs: &'n Needs, start: &'n str) -> Option<Vec<&'n str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let needed = way.last().and_then(|last| needs.get(*last)).into_iter().flat_map(BTreeMap::keys);
        for next in needed {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                let mut longer = way.clone();
                longer.push(next);
                ways.push_back(longer);
            }
        }
    }
    None
}

mod tests {
    use tempfile::TempDir;

    use super::*;

    /// The folders `src` and `suite` of all packages. What is built, and what is hidden, is no source.
    fn source_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_left_out = name == "target" || name.as_encoded_bytes().starts_with(b".");
            if is_left_out || !entry.file_type()?.is_dir() {
                continue;
            }
            if name == "src" || name == "suite" {
                found.push(entry.path());
            } else {
                found.extend(source_folders(&entry.path())?);
            }
        }
        Ok(found)
    }

    #[test]
    fn the_files_of_each_package_need_each_other_in_one_direction() -> anyhow::Result<()> {
        let root = crate::paths::root();
        let folders = source_folders(&root)?;
        for known in ["host/runtime/src", "testkit/src", "tests/stack/suite", "xtask/src"] {
            assert!(folders.contains(&root.join(known)), "{known} is among {folders:?}");
        }
        let mut circles = Vec::new();
        for src in folders {
            let circle = shortest_circle(&Sources::read(&src)?.needs());
            circles.extend(circle.into_iter().map(|line| format!("{}: {line}", src.display())));
        }
        assert!(circles.is_empty(), "files need each other in a circle:\n{}", circles.join("\n"));
        Ok(())
    }

    fn circle_in(files: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
        let folder = TempDir::new()?;
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
            std::fs::write(path, text)?;
        }
        Ok(shortest_circle(&Sources::read(folder.path())?.needs()))
    }

    #[test]
    fn a_circle_is_found_through_nested_imports_reexports_and_paths() -> anyhow::Result<()> {
        let circle = circle_in(&[
            ("lib.rs", "mod a;\nmod b;\npub use b::{Deep, deeper::Deepest as Last};"),
            ("a.rs", "use crate::{b::{self, c::Unused}, Last};\npub struct A(Last);\nuse std::fmt;"),
            ("b/mod.rs", "pub mod c;\npub mod deeper;\npub use c::Deep;"),
            ("b/c.rs", "pub struct Deep;\npub struct Unused;"),
            ("b/deeper.rs", "pub struct Deepest;\nfn f() { let _a: super::super::a::A; }"),
        ])?;
        assert_eq!(circle, ["a.rs needs b/deeper.rs for Deepest", "b/deeper.rs needs a.rs for A"]);
        Ok(())
    }

    #[test]
    fn a_main_file_is_the_root_only_where_there_is_no_library() -> anyhow::Result<()> {
        let main = ("main.rs", "mod a;\nstruct Shared;\nfn main() { a::run() }");
        let user = ("a.rs", "pub fn run() { let _shared: crate::Shared; }");
        let circle = ["a.rs needs main.rs for Shared", "main.rs needs a.rs for run"];
        assert_eq!(circle_in(&[main, user])?, circle);
        assert_eq!(circle_in(&[("lib.rs", "mod a;\nstruct Shared;"), main, user])?, [""; 0]);
        Ok(())
    }

    #[test]
    fn a_parent_counts_for_what_it_defines_and_uses_itself() -> anyhow::Result<()> {
        let child = ("a/b.rs", "use super::{C, LIMIT};\npub struct B(C);\nconst L: u8 = LIMIT;");
        let other = ("a/c.rs", "pub struct C;\n#[cfg(test)]\nmod tests {\n    use super::super::b::B;\n}");
        let lib = ("lib.rs", "mod a;");
        let declares = "mod b;\nmod c;\npub use b::B;\nuse c::C;\nconst LIMIT: u8 = 1;";
        assert_eq!(circle_in(&[lib, child, other, ("a.rs", declares)])?, [""; 0]);
        let uses = format!("{declares}\nfn f(_b: B) {{}}");
        let circle = ["a.rs needs a/b.rs for B", "a/b.rs needs a.rs for LIMIT"];
        assert_eq!(circle_in(&[lib, child, other, ("a.rs", uses.as_str())])?, circle);
        Ok(())
    }
}
