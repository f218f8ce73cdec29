//! What every rule of the check works with: the manifest, the folder, and the findings so far.

use std::path::Path;

use super::finding::{Findings, Location};
use super::folder::Folder;
use super::required::RequiredComponents;
use super::resource::{Category, Component};
use daca_base::ErrorCode;
use daca_manifest::Manifest;

/// The context of the rules, with the findings.
pub(super) struct Check<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) required: &'a RequiredComponents,
    pub(super) folder: &'a Folder,
    pub(super) app: &'a str,
    pub(super) findings: Findings,
}

/// A component that the manifest names.
pub(super) struct NamedComponent<'w> {
    pub(super) name: &'w str,
    pub(super) category: Category,
    /// The manifest's use of it, as the beginning of a sentence.
    pub(super) what: String,
    pub(super) place: &'w Location,
    /// The code for a missing one.
    pub(super) code: ErrorCode,
}

impl<'a> Check<'a> {
    /// The components that the sidecar of this app loads.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a Component> + use<'a> {
        let app = self.app;
        self.folder.components.iter().filter(move |component| component.is_for(app))
    }

    /// The same, of one category.
    pub(super) fn of(&self, category: Category) -> impl Iterator<Item = &'a Component> + use<'a> {
        self.components().filter(move |component| component.category() == category)
    }

    /// The component of a name in the manifest, or a finding that explains why there is none.
    pub(super) fn find(&mut self, named: &NamedComponent<'_>) -> Option<&'a Component> {
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
    pub(super) fn route_answers(&self, path: &str) -> bool {
        let mut routes = self.manifest.routes.iter();
        routes.any(|route| route.method == http::Method::POST && answers(&route.path, path))
    }

    /// Returns `true` for the path of a subscription of the manifest.
    pub(super) fn subscription_answers(&self, path: &str) -> bool {
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
pub(super) fn with_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Lists of names in findings.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// The whole folder, for missing resources.
pub(super) fn whole(path: &Path) -> Location {
    Location::whole(path)
}
