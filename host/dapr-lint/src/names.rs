//! Duplicate names, and resources of other apps.

use super::check::{Check, listed};
use super::finding::{Findings, Location};
use super::resource::Category;
use daca_base::ErrorCode;

pub(super) fn check(check: &mut Check<'_>) {
    let folder = check.folder;
    // Dapr refuses a second component of the same name, and silently lets a second subscription replace the first.
    let components = folder.components.iter().filter(|one| one.is_for(check.app));
    let components = components.map(|one| (one.namespace.as_str(), one.name.as_str(), &one.place));
    twice("Component", components, &mut check.findings);
    let subscriptions = folder.subscriptions.iter().filter(|one| one.is_for(check.app));
    let subscriptions = subscriptions.map(|one| (one.namespace.as_str(), one.name.as_str(), &one.place));
    twice("Subscription", subscriptions, &mut check.findings);
    let resiliencies = folder.resiliencies.iter().filter(|one| one.is_for(check.app));
    let resiliencies = resiliencies.map(|one| (one.namespace.as_str(), one.name.as_str(), &one.place));
    twice("Resiliency", resiliencies, &mut check.findings);

    for component in folder.components.iter().filter(|one| !one.is_for(check.app)) {
        let message = format!(
            "{:?} is for {} and not for the app {:?}, so it was not checked",
            component.name,
            listed(component.scopes.iter().map(String::as_str)),
            check.app
        );
        let help = "if it is meant for this app, add the app to its scopes or name it with --app-id";
        check.findings.note(ErrorCode::ComponentsOutOfScope, &component.place, message, help);
    }
    let of_other_kinds = check.components().filter(|one| one.category() == Category::Other);
    for component in of_other_kinds {
        let message = format!("the type {} is not checked", component.full_type);
        let help = "no action is needed if it is spelt as in Dapr's documentation";
        check.findings.note(ErrorCode::ComponentsTypeUnknown, &component.type_place, message, help);
    }
}

fn twice<'n>(
    kind: &str,
    resources: impl Iterator<Item = (&'n str, &'n str, &'n Location)>,
    findings: &mut Findings,
) {
    let mut seen = std::collections::BTreeMap::new();
    for (namespace, name, place) in resources {
        if let Some(first) = seen.insert((namespace, name), place) {
            let message = format!("the {kind} {name:?} is defined twice: first in {first}");
            findings.error(ErrorCode::ComponentsDuplicate, place, message, "rename or remove one of the two");
        }
    }
}
