//! `daca check --components`: reports what in a folder of Dapr components will not work with a manifest, and why.
//!
//! A sidecar that lacks something rarely stops: it leaves a component out, never reads a topic, or loses a message, and
//! reports that in a line of its log. The rules here follow Dapr's source (1.16 to 1.18); comments explain the
//! surprising cases.

mod bindings;
mod duration;
mod finding;
mod folder;
mod kafka;
mod kinds;
mod known;
mod names;
mod reader;
mod report;
mod required;
mod resiliency;
mod resource;
mod scopes;
mod secrets;
mod stores;
mod topics;
mod types;
mod yaml;

use std::path::{Path, PathBuf};

use finding::{Findings, Location};
use folder::Folder;
use required::RequiredComponents;
use resource::{Category, Component};

use daca_base::ErrorCode;
use daca_manifest::Manifest;

/// The options of the check.
#[derive(Debug)]
pub struct Options {
    /// The folder with Dapr's resources.
    pub folder: PathBuf,
    /// The id of the sidecar's app: components that are scoped to other apps do not apply.
    pub app_id: String,
}

/// The result of the check.
#[derive(Debug)]
pub struct Outcome {
    /// The findings, one text each.
    pub findings: Vec<String>,
    /// `true` if one of them is an error.
    pub failed: bool,
    /// The components, and the manifest's uses of each.
    pub report: String,
}

/// Checks a folder against a valid manifest; `text` is that of the manifest.
pub fn run(manifest: &Manifest, text: &str, options: &Options) -> Outcome {
    let mut findings = Findings::default();
    let folder = Folder::read(&options.folder, &mut findings);
    check(manifest, text, &folder, &options.app_id, findings)
}

/// The same for the text of one file.
pub fn run_text(manifest: &Manifest, text: &str, yaml: &str) -> Vec<String> {
    let mut findings = Findings::default();
    let folder = Folder::of_text(yaml, &mut findings);
    check(manifest, text, &folder, "chat-agent", findings).findings
}

fn check(manifest: &Manifest, text: &str, folder: &Folder, app: &str, mut findings: Findings) -> Outcome {
    let required = RequiredComponents::read(&manifest.path, text).unwrap_or_else(|error| {
        // The text has passed the manifest's own check, so this is a defect of the host.
        let help = "report this";
        findings.error(
            ErrorCode::ComponentsUnreadable,
            &Location::whole(&manifest.path),
            error.message(),
            help,
        );
        RequiredComponents::default()
    });
    let mut check = Check { manifest, required: &required, folder, app, findings };
    names::check(&mut check);
    types::check(&mut check);
    stores::check(&mut check);
    secrets::check(&mut check);
    topics::check(&mut check);
    resiliency::check(&mut check);
    bindings::check(&mut check);
    kafka::check(&mut check);
    let report = report::of(&check);
    Outcome { failed: check.findings.has_errors(), findings: check.findings.lines(), report }
}

/// The context of the rules, with the findings.
struct Check<'a> {
    manifest: &'a Manifest,
    required: &'a RequiredComponents,
    folder: &'a Folder,
    app: &'a str,
    findings: Findings,
}

/// A component that the manifest names.
struct NamedComponent<'w> {
    name: &'w str,
    category: Category,
    /// The manifest's use of it, as the beginning of a sentence.
    what: String,
    place: &'w Location,
    /// The code for a missing one.
    code: ErrorCode,
}

impl<'a> Check<'a> {
    /// The components that the sidecar of this app loads.
    fn components(&self) -> impl Iterator<Item = &'a Component> + use<'a> {
        let app = self.app;
        self.folder.components.iter().filter(move |component| component.is_for(app))
    }

    /// The same, of one category.
    fn of(&self, category: Category) -> impl Iterator<Item = &'a Component> + use<'a> {
        self.components().filter(move |component| component.category() == category)
    }

    /// The component of a name in the manifest, or a finding that explains why there is none.
    fn find(&mut self, named: &NamedComponent<'_>) -> Option<&'a Component> {
        let NamedComponent { name, category, what, place, code } = named;
        if let Some(found) = self.of(*category).find(|component| component.name == *name) {
            return Some(found);
        }
        let noun = category.noun();
        if let Some(other) = self.components().find(|component| component.name == *name) {
            let message =
                format!("{what} {name:?}, which is a {} ({})", other.category().noun(), other.place);
            self.findings.error(ErrorCode::ComponentsWrongKind, place, message, format!("name a {noun}"));
        } else if let Some(other) = self.folder.components.iter().find(|other| other.name == *name) {
            let message =
                format!("{what} {name:?}, whose scopes leave out the app {:?} ({})", self.app, other.place);
            let help = format!("add {:?} to its scopes, or name the app with --app-id", self.app);
            self.findings.error(ErrorCode::ComponentsOutOfScope, place, message, help);
        } else if !self.folder.is_partial {
            let folder = self.folder.path.display();
            let message = format!("{what} {name:?}, and {folder} has no {noun} of that name");
            self.findings.error(*code, place, message, format!("add the {noun}, or correct the name"));
        }
        None
    }

    /// Returns `true` for the path of a POST route of the manifest.
    fn route_answers(&self, path: &str) -> bool {
        let mut routes = self.manifest.routes.iter();
        routes.any(|route| route.method == http::Method::POST && answers(&route.path, path))
    }

    /// Returns `true` for the path of a subscription of the manifest.
    fn subscription_answers(&self, path: &str) -> bool {
        self.manifest.subscriptions.iter().any(|subscription| answers(&subscription.path, path))
    }
}

/// Returns `true` if a path matches a route's pattern. Both begin with a slash.
fn answers(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let same = pattern.split('/').all(|part| match parts.next() {
        Some(given) if part.starts_with('{') => !given.is_empty(),
        given => given == Some(part),
    });
    same && parts.next().is_none()
}

/// A path in the sidecar's form, with a leading slash.
fn with_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Lists of names in findings.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The whole folder, for missing resources.
fn whole(path: &Path) -> Location {
    Location::whole(path)
}
