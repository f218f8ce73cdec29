//! Types, their versions, and their required settings.

use super::check::Check;
use super::resource::Category;
use super::{known, stores};
use daca_base::ErrorCode;

pub(super) fn check(check: &mut Check<'_>) {
    let of_actors = stores::of_actors(check);
    for component in check.components() {
        let full_type = component.full_type.as_str();
        match known::is_known(component.category(), full_type) {
            Some(false) if of_actors.iter().any(|store| std::ptr::eq(*store, component)) => {
                let message = format!(
                    "{:?} is to keep the actors, and {full_type} is not a type that comes with Dapr (1.16 to 1.18): without it no actor can be called",
                    component.name
                );
                let help = "correct the type, unless it is a pluggable component of your own";
                check.findings.warning(
                    ErrorCode::ComponentsTypeUnknown,
                    &component.type_place,
                    message,
                    help,
                );
            }
            Some(false) => {
                let message = format!(
                    "{full_type} is not a type that comes with Dapr (1.16 to 1.18); it is not checked"
                );
                let help = "correct it, unless it is a pluggable component of your own";
                check.findings.note(ErrorCode::ComponentsTypeUnknown, &component.type_place, message, help);
            }
            Some(true) if !known::has_version(full_type, &component.version) => {
                let message = format!("{full_type} has no version {:?}", component.version);
                check.findings.error(
                    ErrorCode::ComponentsVersionUnknown,
                    &component.version_place,
                    message,
                    "write v1",
                );
            }
            _ => {}
        }
        for names in known::required(full_type) {
            let found = names.iter().find_map(|name| component.setting(name));
            if found.is_none_or(|setting| setting.is_empty()) {
                let message =
                    format!("{:?} lacks {}, without which it does not start", component.name, names[0]);
                let help = format!("add {} to spec.metadata", names[0]);
                check.findings.error(
                    ErrorCode::ComponentsSettingMissing,
                    &component.place_of(found),
                    message,
                    help,
                );
            }
        }
    }
    slow(check);
}

/// An SMS in progress delays the effects behind it.
const MAX_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// The Twilio binding waits five minutes by default (its `metadata.yaml` says 30 s, its code does not).
fn slow(check: &mut Check<'_>) {
    for component in check.of(Category::Binding).filter(|one| one.full_type == "bindings.twilio.sms") {
        let setting = component.setting("timeout").filter(|setting| !setting.is_empty());
        let timeout = match setting.map(|setting| setting.text()) {
            None => "its default of 5 minutes".to_owned(),
            Some(None) => continue,
            Some(Some(text)) => match super::duration::seconds(text) {
                Some(timeout) if timeout <= MAX_TIMEOUT => continue,
                Some(_) => text.to_owned(),
                None => {
                    let message = format!(
                        "timeout: {text:?} is not a duration, so {:?} does not start",
                        component.name
                    );
                    let place = component.place_of(setting);
                    check.findings.error(
                        ErrorCode::ComponentsSettingInvalid,
                        &place,
                        message,
                        "write it as \"10s\"",
                    );
                    continue;
                }
            },
        };
        let message = format!("{:?} waits for an unresponsive Twilio for {timeout}", component.name);
        let help = "set timeout to \"10s\": the effects behind it wait as long";
        check.findings.warning(ErrorCode::ComponentsSlowBinding, &component.place_of(setting), message, help);
    }
}
