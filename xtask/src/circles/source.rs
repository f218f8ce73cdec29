//! What a source file imports, and which paths it has beside its imports.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, UseTree, Visibility};

/// A path as it is written, such as `crate::a::b`: one text for each part.
pub(super) type Written = Vec<String>;

/// A name that a `use` brings into a file.
pub(super) struct Import {
    pub(super) path: Written,
    /// The name in this file; empty for a `*`.
    pub(super) name: String,
    /// Other files may have it from here, so it may be there for them alone.
    pub(super) is_reexport: bool,
}

/// A source file.
#[derive(Default)]
pub(super) struct SourceFile {
    pub(super) imports: Vec<Import>,
    /// The paths that are not in a `use`.
    pub(super) named: BTreeSet<Written>,
    /// The modules that it declares for tests.
    pub(super) tests: Vec<String>,
}

impl SourceFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<SourceFile> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let file = syn::parse_file(&text).with_context(|| path.display().to_string())?;
        let mut source = SourceFile::default();
        source.visit_file(&file);
        Ok(source)
    }

    /// Returns `true` if the file has the name in a path of its own.
    pub(super) fn names(&self, name: &str) -> bool {
        self.named.iter().any(|path| path.first().is_some_and(|first| first == name))
    }

    fn import(&mut self, tree: &UseTree, before: &[String], is_reexport: bool) {
        let (path, name) = match tree {
            UseTree::Path(path) => {
                return self.import(&path.tree, &joined(before, &path.ident.to_string()), is_reexport);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, before, is_reexport));
            }
            UseTree::Name(name) => {
                let path = joined(before, &name.ident.to_string());
                let name = path.last().cloned().unwrap_or_default();
                (path, name)
            }
            UseTree::Rename(rename) => (joined(before, &rename.ident.to_string()), rename.rename.to_string()),
            UseTree::Glob(_) => (joined(before, "*"), String::new()),
        };
        self.imports.push(Import { path, name, is_reexport });
    }
}

impl<'ast> Visit<'ast> for SourceFile {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_for_tests(&item.attrs) {
            self.tests.push(item.ident.to_string());
        } else {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            let is_reexport = !matches!(item.vis, Visibility::Inherited);
            self.import(&item.tree, &[], is_reexport);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.named.insert(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    // The path in `pub(in …)` names no item.
    fn visit_visibility(&mut self, _visibility: &'ast Visibility) {}
}

/// The path with one more part. `a::{self}` is `a`.
pub(super) fn joined(before: &[String], part: &str) -> Written {
    let mut path = before.to_vec();
    if part != "self" || path.is_empty() {
        path.push(part.to_owned());
    }
    path
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        let condition = attribute.parse_args::<syn::Path>();
        attribute.path().is_ident("cfg") && condition.is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}
