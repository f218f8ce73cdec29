//! Reads a folder of resources as Dapr does: the files `*.yaml` and `*.yml` in it, without subfolders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Findings, Location};
use super::reader::Reader;
use super::resource::{Component, Resiliency, Resource, Subscription};
use super::yaml;
use daca_base::{ErrorCode, text};

/// Limits on reading: a folder of components is small, and one named by mistake may be a home folder.
pub(super) const MAX_MEBIBYTES: u64 = 1;
const MAX_FILES: usize = 1_000;

/// The content of a folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) components: Vec<Component>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) resiliencies: Vec<Resiliency>,
    /// `true` if a part of it could not be read. Apparently missing resources may then exist.
    pub(super) is_partial: bool,
}

impl Folder {
    /// A folder with one file.
    pub(super) fn of_text(text: &str, findings: &mut Findings) -> Folder {
        let mut folder = Folder::empty(Path::new("."));
        folder.add_text(Path::new("components.yaml"), text, findings);
        folder.is_partial = findings.has_errors();
        folder
    }

    fn empty(path: &Path) -> Folder {
        let path = path.to_owned();
        Folder {
            path,
            components: Vec::new(),
            subscriptions: Vec::new(),
            resiliencies: Vec::new(),
            is_partial: false,
        }
    }

    /// Reads everything that can be read; the rest is reported as findings.
    pub(super) fn read(path: &Path, findings: &mut Findings) -> Folder {
        let mut folder = Folder::empty(path);
        match files(path) {
            Ok(files) if files.len() > MAX_FILES => {
                let message = format!("{} YAML files exceed the maximum of {MAX_FILES}", files.len());
                let help = "name the folder that holds Dapr's components and nothing else";
                findings.error(ErrorCode::ComponentsUnreadable, &Location::whole(path), message, help);
            }
            Ok(files) if files.is_empty() => {
                let help = "name the folder that holds Dapr's components";
                findings.error(
                    ErrorCode::ComponentsUnreadable,
                    &Location::whole(path),
                    "it contains no YAML files",
                    help,
                );
            }
            Ok(files) => files.iter().for_each(|file| folder.add(file, findings)),
            Err(reason) => {
                let help = "name the folder of the components with --components DIR";
                findings.error(
                    ErrorCode::ComponentsUnreadable,
                    &Location::whole(path),
                    reason.to_string(),
                    help,
                );
            }
        }
        folder.is_partial = findings.has_errors();
        folder
    }

    fn add(&mut self, file: &Path, findings: &mut Findings) {
        let text = match text::read_up_to(file, MAX_MEBIBYTES) {
            Ok(text) => text,
            Err(reason) => {
                let help = "make it a readable file of UTF-8 text of at most 1 MiB";
                findings.error(
                    ErrorCode::ComponentsUnreadable,
                    &Location::whole(file),
                    reason.to_string(),
                    help,
                );
                return;
            }
        };
        self.add_text(file, &text, findings);
    }

    fn add_text(&mut self, file: &Path, text: &str, findings: &mut Findings) {
        let file: Arc<Path> = file.into();
        match yaml::parse(text) {
            Ok(documents) => {
                let mut reader = Reader { file: &file, findings };
                for document in &documents {
                    match reader.resource(document) {
                        Some(Resource::Component(component)) => self.components.push(component),
                        Some(Resource::Subscription(subscription)) => self.subscriptions.push(subscription),
                        Some(Resource::Resiliency(resiliency)) => self.resiliencies.push(resiliency),
                        None => {}
                    }
                }
            }
            Err(error) => {
                let place = Location { path: file, line: error.line, column: error.column };
                let message = format!("this is not YAML that Dapr can load: {}", error.reason);
                findings.error(
                    ErrorCode::ComponentsSyntax,
                    &place,
                    message,
                    "correct it; the file was not checked",
                );
            }
        }
    }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension =
            path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        if matches!(extension.as_deref(), Some("yaml" | "yml")) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
