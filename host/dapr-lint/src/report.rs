//! The content of a folder, and the manifest's use of each component.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::check::{Check, listed};
use super::resource::{Category, Component, SettingValue};
use super::{bindings, stores};

pub(super) fn of(check: &Check<'_>) -> String {
    let mut report = format!("components in {} for the app {}\n", check.folder.path.display(), check.app);
    let width = check.components().map(|one| one.name.chars().count()).max().unwrap_or(0);
    let type_width = check.components().map(|one| one.full_type.chars().count()).max().unwrap_or(0);
    for component in check.components() {
        let uses = uses(check, component);
        let uses = if uses.is_empty() { "not used by the manifest".to_owned() } else { uses.join("; ") };
        let Component { name, full_type, .. } = component;
        let _ = writeln!(report, "  {name:width$}  {full_type:type_width$}  {uses}");
    }
    for one in check.folder.subscriptions.iter().filter(|one| one.is_for(check.app)) {
        let paths = listed(one.paths.iter().map(|(path, _)| path.as_str()));
        let _ = writeln!(
            report,
            "  {:width$}  subscription to {}/{} at {paths}",
            one.name, one.pubsub, one.topic
        );
    }
    for one in check.folder.resiliencies.iter().filter(|one| one.is_for(check.app)) {
        let targets = listed(one.inbound.keys().map(String::as_str));
        let _ = writeln!(report, "  {:width$}  resiliency of {targets}", one.name);
    }
    report
}

fn uses(check: &Check<'_>, component: &Component) -> Vec<String> {
    let mut uses = Vec::new();
    let mut add = |what: &str, names: BTreeSet<&str>| {
        if !names.is_empty() {
            uses.push(format!("{what} {}", listed(names)));
        }
    };
    let (required, name) = (check.required, component.name.as_str());
    match component.category() {
        Category::State if stores::of_actors(check).iter().any(|store| store.name == name) => {
            uses.push("keeps the actors' state".to_owned());
        }
        Category::Pubsub => {
            let of = |pairs: &'_ [super::required::Pair]| {
                let mine = pairs.iter().filter(|pair| pair.first == name);
                mine.map(|pair| pair.second.clone()).collect::<Vec<_>>()
            };
            let (published, dead) = (of(&required.published), of(&required.dead_letters));
            add("publishes to", published.iter().map(String::as_str).collect());
            let mine = required.subscribed.iter().filter(|one| one.pubsub == name);
            add("delivers", mine.map(|one| one.topic.as_str()).collect());
            add("publishes dead letters to", dead.iter().map(String::as_str).collect());
        }
        Category::Binding => {
            let mine = required.invoked.iter().filter(|pair| pair.first == name);
            add("may be asked to", mine.map(|pair| pair.second.as_str()).collect());
            if required.inputs.iter().any(|input| input.binding == name) || bindings::reads(component) {
                uses.push(format!("delivers to POST {}", bindings::route(component)));
            }
        }
        Category::SecretStore => {
            let mine = check.components().filter(|one| takes_secrets_from(one, component));
            add("has secrets of", mine.map(|one| one.name.as_str()).collect());
            add("is asked for", required.secrets.iter().map(|(secret, _)| secret.as_str()).collect());
        }
        _ => {}
    }
    uses
}

fn takes_secrets_from(component: &Component, store: &Component) -> bool {
    let has_secrets = component.settings.iter().any(|one| matches!(one.value, SettingValue::Secret { .. }));
    has_secrets && component.secret_store.as_deref() == Some(store.name.as_str())
}
