//! Resiliency: whether events whose handling failed are redelivered.
//!
//! From Dapr 1.17 on Redis also acknowledges an event whose handling failed (`processMessage` in
//! `pubsub/redis/redis.go` of components-contrib), so it is lost unless a policy for inbound retries repeats it inside
//! the sidecar. In earlier releases such a policy is harmless.

use super::check::Check;
use super::resource::{Category, Component, Resiliency, Retry};
use daca_base::ErrorCode;

/// The policies that apply to a pub/sub component without a target (`expandPolicyTemplate` in
/// `pkg/resiliency/resiliency.go`); the first existing one wins.
const DEFAULTS: [&str; 4] = [
    "DefaultPubsubComponentInboundRetryPolicy",
    "DefaultComponentInboundRetryPolicy",
    "DefaultComponentRetryPolicy",
    "DefaultRetryPolicy",
];

pub(super) fn check(check: &mut Check<'_>) {
    let redis = check.of(Category::Pubsub).filter(|one| one.full_type == "pubsub.redis");
    let redis = redis.filter(|one| brings_events(check, one)).collect::<Vec<_>>();
    for component in redis {
        match inbound(check, &component.name) {
            Some((_, Retry { gives_up: false, .. })) => {}
            Some((resiliency, retry)) => {
                let message = format!(
                    "{:?} retries an event of {:?} only a few times, and with Dapr 1.17 or later it is lost afterwards",
                    resiliency.name, component.name
                );
                check.findings.error(
                    ErrorCode::ComponentsMessagesLost,
                    &retry.place,
                    message,
                    "set maxRetries to -1",
                );
            }
            // The policy may be in an unreadable file.
            None if check.folder.is_partial => {}
            None => {
                let message = format!(
                    "no Resiliency retries the events of {:?}, so with Dapr 1.17 or later an event whose handling fails is lost",
                    component.name
                );
                let help =
                    "add a Resiliency with an inbound retry for it, as components/resiliency.yaml has one";
                check.findings.error(ErrorCode::ComponentsMessagesLost, &component.place, message, help);
            }
        }
    }
}

fn brings_events(check: &Check<'_>, component: &Component) -> bool {
    let declared = check.folder.subscriptions.iter().filter(|one| one.is_for(check.app));
    let declared = declared.map(|one| &one.pubsub);
    check
        .required
        .subscribed
        .iter()
        .map(|one| &one.pubsub)
        .chain(declared)
        .any(|pubsub| *pubsub == component.name)
}

/// The retry policy for a component's events, and its resource.
fn inbound<'a>(check: &Check<'a>, component: &str) -> Option<(&'a Resiliency, &'a Retry)> {
    let mine = || check.folder.resiliencies.iter().filter(|one| one.is_for(check.app));
    let retry = |name: &str| mine().find_map(|one| Some((one, one.retries.get(name)?)));
    // A target without an inbound retry replaces the defaults, too.
    match mine().find_map(|one| one.inbound.get(component)) {
        Some(name) => retry(name.as_deref()?),
        None => DEFAULTS.into_iter().find_map(retry),
    }
}
