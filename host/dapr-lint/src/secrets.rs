//! Secrets: the stores of the settings' secrets, and a store for the secrets that agents may read.

use std::path::Path;

use super::check::Check;
use super::folder::MAX_MEBIBYTES;
use super::resource::{Category, Component, Setting, SettingValue, is_truthy};
use daca_base::json::Document;
use daca_base::{ErrorCode, text};

/// The store that a cluster has without a component: secrets of Kubernetes.
const BUILT_IN: &str = "kubernetes";

pub(super) fn check(check: &mut Check<'_>) {
    for component in check.components() {
        let references = component.settings.iter().filter_map(|setting| match &setting.value {
            SettingValue::Secret { name, key } => Some((setting, name.as_str(), key.as_str())),
            _ => None,
        });
        let references = references.collect::<Vec<_>>();
        if let Some((first, ..)) = references.first() {
            store(check, component, first, &references);
        }
    }
    if let Some((secret, place)) = check.required.secrets.first()
        && check.of(Category::SecretStore).next().is_none()
        && !check.folder.is_partial
    {
        let message = format!("an agent may read the secret {secret:?}, and there is no secret store");
        let help = "add a component of a type secretstores.*";
        check.findings.error(ErrorCode::ComponentsSecretStoreMissing, place, message, help);
    }
}

fn store(
    check: &mut Check<'_>,
    component: &Component,
    first: &Setting,
    references: &[(&Setting, &str, &str)],
) {
    let Some(name) = component.secret_store.as_deref().filter(|name| *name != BUILT_IN) else {
        return in_cluster_only(check, component, first);
    };
    let Some(store) = check.of(Category::SecretStore).find(|store| store.name == name) else {
        if check.folder.is_partial {
            return;
        }
        let message =
            format!("{:?} takes secrets from {name:?}, and there is no such secret store", component.name);
        let help = format!(
            "add the secret store, or name an existing one in auth.secretStore of {:?}",
            component.name
        );
        check.findings.error(ErrorCode::ComponentsSecretStoreMissing, &first.place, message, help);
        return;
    };
    if store.full_type == "secretstores.local.file" {
        in_file(check, store, references);
    }
}

/// Without `auth.secretStore` a sidecar asks the cluster; outside a cluster it waits forever for a store without a
/// name.
fn in_cluster_only(check: &mut Check<'_>, component: &Component, first: &Setting) {
    if component.secret_store.is_some() {
        return;
    }
    let mut others =
        check.of(Category::SecretStore).filter(|store| store.full_type != "secretstores.kubernetes");
    if let Some(other) = others.next() {
        let message = format!(
            "{:?} names no secret store, so its secrets are those of the cluster, and outside a cluster it is not loaded",
            component.name
        );
        let help =
            format!("write auth: {{secretStore: {:?}}}, or {BUILT_IN:?} if that is intended", other.name);
        check.findings.warning(ErrorCode::ComponentsSecretStoreMissing, &first.place, message, help);
    }
}

/// A laptop's file may be elsewhere from here, so only readable ones are checked.
fn in_file(check: &mut Check<'_>, store: &Component, references: &[(&Setting, &str, &str)]) {
    let Some(setting) = store.setting("secretsFile") else { return };
    let Some(file) = setting.text() else { return };
    let secrets = match text::read_up_to(Path::new(file), MAX_MEBIBYTES) {
        Ok(text) => Document::parse(&text.into()).ok().filter(Document::is_object),
        Err(reason) => {
            let message = format!("secretsFile {file:?} cannot be read from here: {reason}");
            let help = "start the sidecar, and this check, in a folder from which the path leads to the file";
            check.findings.warning(ErrorCode::ComponentsSecretMissing, &setting.place, message, help);
            return;
        }
    };
    let Some(secrets) = secrets else {
        let message = format!("secretsFile {file:?} is not a JSON object");
        let help = "write {\"name\": {\"key\": \"value\"}}";
        check.findings.error(ErrorCode::ComponentsSecretMissing, &setting.place, message, help);
        return;
    };
    // Without `multiValued`, nested names are joined by a colon, and each is a separate secret.
    let multi_valued = store.setting("multiValued").and_then(Setting::text).is_some_and(is_truthy);
    for (setting, name, key) in references {
        let found = if multi_valued {
            match secrets.field(name) {
                Some(keys) if keys.is_object() => keys.field(key).is_some_and(|value| !is_empty(&value)),
                Some(value) => name == key && value.text().is_some_and(|text| !text.is_empty()),
                None => false,
            }
        } else {
            name == key && is_joined(&secrets, name)
        };
        if !found {
            let message = format!("{file} has no key {key:?} in the secret {name:?}");
            let help = if multi_valued || !secrets.field(name).is_some_and(|keys| keys.is_object()) {
                "add it to the file, or correct the reference".to_owned()
            } else {
                format!("add multiValued: \"true\" to {:?}", store.name)
            };
            check.findings.error(ErrorCode::ComponentsSecretMissing, &setting.place, message, help);
        }
    }
}

fn is_joined(secrets: &Document, name: &str) -> bool {
    let value = name.split(':').try_fold(secrets.clone(), |value, part| value.field(part));
    value.is_some_and(|value| !value.is_object() && !is_empty(&value))
}

fn is_empty(value: &Document) -> bool {
    value.bytes() == "\"\""
}
