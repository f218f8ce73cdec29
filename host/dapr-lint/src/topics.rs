//! Topics: publishing, subscriptions and dead letters, and which subscription wins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::{Check, NamedComponent, with_slash};
use super::duration;
use super::finding::Location;
use super::resource::{Category, Component, Setting, Subscription};
use super::scopes::{self, Operation};
use daca_base::ErrorCode;

/// The use of a topic by a subscription.
const SUBSCRIBED: &str = "a subscription is to";

pub(super) fn check(check: &mut Check<'_>) {
    let required = check.required;
    let published = required.published.iter().map(|pair| (pair, "an agent may publish to"));
    let dead_letters = required.dead_letters.iter().map(|pair| (pair, "dead letters go to"));
    for (pair, what) in published.chain(dead_letters) {
        pubsub(check, &pair.first, what, &pair.place);
        scopes::check(check, Operation::Publish, (&pair.first, &pair.second), what, &pair.place);
    }
    for one in &required.subscribed {
        pubsub(check, &one.pubsub, SUBSCRIBED, &one.place);
        scopes::check(check, Operation::Subscribe, (&one.pubsub, &one.topic), SUBSCRIBED, &one.place);
    }
    declared(check);
    redelivery(check);
}

fn pubsub(check: &mut Check<'_>, name: &str, what: &str, place: &Location) {
    let code = ErrorCode::ComponentsPubsubMissing;
    check.find(&NamedComponent { name, category: Category::Pubsub, what: what.to_owned(), place, code });
}

/// Subscriptions in the folder. A sidecar keeps one for each topic: the app's own answer (here the manifest's) replaces
/// a declared one, and of two declared ones the second is ignored (`ListSubscriptionsAppByPubSub` in its component
/// store).
fn declared(check: &mut Check<'_>) {
    let mut seen = BTreeMap::<(&str, &str), &Location>::new();
    for one in check.folder.subscriptions.iter().filter(|one| one.is_for(check.app)) {
        pubsub(check, &one.pubsub, SUBSCRIBED, &one.place);
        if let Some(first) = seen.insert((&one.pubsub, &one.topic), &one.place) {
            let message = format!(
                "{:?} is a second subscription to {}/{} beside that in {first}, and Dapr keeps one",
                one.name, one.pubsub, one.topic
            );
            let help = "remove one, or write one subscription with two rules";
            check.findings.error(ErrorCode::ComponentsSubscriptionIgnored, &one.place, message, help);
            continue;
        }
        let own = check.required.subscribed.iter();
        match own.into_iter().find(|own| own.pubsub == one.pubsub && own.topic == one.topic) {
            Some(own) => overridden(check, one, &own.path),
            None => {
                scopes::check(check, Operation::Subscribe, (&one.pubsub, &one.topic), SUBSCRIBED, &one.place);
                answered(check, one);
            }
        }
    }
}

fn overridden(check: &mut Check<'_>, one: &Subscription, path: &str) {
    let differs = one.paths.iter().find(|(declared, _)| with_slash(declared) != path);
    let (place, what) = match (differs, one.extras.as_slice()) {
        (Some((declared, place)), _) => (place, format!("its path {declared:?}")),
        (None, extras @ [_, ..]) => (&one.place, extras.join(" and ")),
        (None, []) => return,
    };
    let message = format!(
        "{what} has no effect: the manifest has the same subscription, to {}/{} at {path}, and Dapr takes that one",
        one.pubsub, one.topic
    );
    let help = "make the two say the same, or remove one";
    check.findings.warning(ErrorCode::ComponentsSubscriptionIgnored, place, message, help);
}

fn answered(check: &mut Check<'_>, one: &Subscription) {
    for (path, place) in &one.paths {
        let path = with_slash(path);
        if check.subscription_answers(&path) {
            continue;
        }
        let help = format!(
            "add a table [[subscriptions]] with pubsub = {:?}, topic = {:?} and path = {path:?} to the manifest",
            one.pubsub, one.topic
        );
        if check.route_answers(&path) {
            let message = format!(
                "events go to {path}, which is a route and no subscription: its answers may have them redelivered forever"
            );
            check.findings.warning(ErrorCode::ComponentsRouteUnanswered, place, message, help);
        } else {
            let message =
                format!("no subscription of the manifest answers at {path}, so every event is dropped");
            check.findings.error(ErrorCode::ComponentsRouteUnanswered, place, message, help);
        }
    }
}

/// Redis redelivers an event that was not acknowledged in time, but never if one of two settings is 0.
fn redelivery(check: &mut Check<'_>) {
    let longest = longest_turn_of_an_event(check);
    for component in check.of(Category::Pubsub).filter(|one| one.full_type == "pubsub.redis") {
        for name in ["processingTimeout", "redeliverInterval"] {
            let setting = component.setting(name).filter(|setting| !setting.is_empty());
            let Some(text) = setting.and_then(Setting::text) else { continue };
            let place = component.place_of(setting);
            match duration::milliseconds(text) {
                None => {
                    let message =
                        format!("{name}: {text:?} is not a duration, so {:?} does not start", component.name);
                    check.findings.error(
                        ErrorCode::ComponentsSettingInvalid,
                        &place,
                        message,
                        "write it as \"60s\"",
                    );
                }
                Some(Duration::ZERO) => {
                    let message =
                        format!("{name} is 0, so an event whose handling fails is never redelivered");
                    check.findings.error(
                        ErrorCode::ComponentsMessagesLost,
                        &place,
                        message,
                        "write a duration, such as \"60s\"",
                    );
                }
                Some(timeout) => repeated(check, component, name, timeout, longest, &place),
            }
        }
    }
}

fn repeated(
    check: &mut Check<'_>,
    component: &Component,
    name: &str,
    timeout: Duration,
    longest: Option<Duration>,
    place: &Location,
) {
    if let Some(longest) = longest.filter(|longest| name == "processingTimeout" && timeout <= *longest) {
        let message = format!(
            "{:?} redelivers an event after {timeout:?}, while its turn may take {longest:?}",
            component.name
        );
        let help = "make processingTimeout longer than the turn-time of the agents that take events";
        check.findings.warning(ErrorCode::ComponentsMessagesRepeated, place, message, help);
    }
}

fn longest_turn_of_an_event(check: &Check<'_>) -> Option<Duration> {
    let calls = check.manifest.subscriptions.iter().filter_map(|one| one.call.as_ref());
    let agents = calls.filter_map(|call| check.manifest.agents.get(&call.agent_type));
    agents.map(|agent| agent.limits.turn_time).max()
}
