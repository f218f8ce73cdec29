//! The state store of the actors: exactly one, with transactions.

use super::check::{Check, whole};
use super::known;
use super::resource::{Category, Component, is_truthy};
use daca_base::ErrorCode;

/// The state stores that are declared for actors.
pub(super) fn of_actors<'a>(check: &Check<'a>) -> Vec<&'a Component> {
    let says_so = |component: &&Component| {
        let setting = component.setting("actorStateStore").and_then(|setting| setting.text());
        setting.is_some_and(is_truthy)
    };
    check.of(Category::State).filter(says_so).collect()
}

pub(super) fn check(check: &mut Check<'_>) {
    let stores = of_actors(check);
    match stores.as_slice() {
        [] if check.folder.is_partial => {}
        [] => missing(check),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let place = other.place_of(other.setting("actorStateStore"));
                let message = format!(
                    "{:?} is a second state store of actors beside {:?} ({}), and Dapr refuses it",
                    other.name, first.name, first.place
                );
                let help = "leave actorStateStore: \"true\" in one of them";
                check.findings.error(ErrorCode::ComponentsActorStoreTwice, &place, message, help);
            }
        }
    }
    for store in stores.iter().filter(|store| known::keeps_actors(&store.full_type) == Some(false)) {
        let message = format!("{} has no transactions, so it cannot keep actors", store.full_type);
        let help = "use one that has, such as state.redis or state.postgresql";
        check.findings.error(ErrorCode::ComponentsActorStoreUnfit, &store.type_place, message, help);
    }
}

fn missing(check: &mut Check<'_>) {
    let folder = whole(&check.folder.path);
    let (place, message) = match check.of(Category::State).next() {
        Some(store) => {
            (&store.place, format!("{:?} does not keep the actors, and no other store does", store.name))
        }
        None => (
            &folder,
            format!("there is no state store for the app {:?}, so no actor can be called", check.app),
        ),
    };
    let help = "add actorStateStore with the value \"true\" to the spec.metadata of one state store";
    check.findings.error(ErrorCode::ComponentsActorStoreMissing, place, message, help);
}
