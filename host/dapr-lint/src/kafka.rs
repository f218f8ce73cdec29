//! Kafka input bindings: the settings with which messages are lost, or never arrive.
//!
//! After a failure the consumer continues with the next message, whose offset it then commits, unless
//! `consumeRetryEnabled` is on. Then it retries according to the settings `backOff…` (every 5 seconds, forever, by
//! default). When these give up, the message is still lost. `consumeRetryInterval` is something else: the pause
//! between two sessions of the group.

use super::check::Check;
use super::resource::{Category, Component, Setting, is_truthy};
use super::{bindings, duration};
use daca_base::ErrorCode;

pub(super) fn check(check: &mut Check<'_>) {
    let is_named = |name: &str| check.required.inputs.iter().any(|input| input.binding == name);
    let kafka = check.of(Category::Binding).filter(|one| one.full_type == "bindings.kafka");
    let inputs = kafka.filter(|one| bindings::reads(one) || is_named(&one.name)).collect::<Vec<_>>();
    for component in inputs {
        topics(check, component);
        group(check, component);
        retries(check, component);
        offset(check, component);
        headers(check, component);
    }
}

fn topics(check: &mut Check<'_>, component: &Component) {
    let setting = component.exact_setting("topics");
    if setting.is_none_or(Setting::is_empty) {
        let message = format!("{:?} has no topics, so it reads nothing", component.name);
        let help = "add topics to its spec.metadata, with this spelling";
        check.findings.error(
            ErrorCode::ComponentsSettingMissing,
            &component.place_of(setting),
            message,
            help,
        );
    }
}

/// A pub/sub component uses the app's id as its group; a binding uses the empty one, which Kafka refuses.
fn group(check: &mut Check<'_>, component: &Component) {
    let set = ["consumerGroup", "consumerID"].map(|name| component.setting(name));
    if set.into_iter().flatten().all(Setting::is_empty) {
        let message = format!(
            "{:?} has no consumerGroup, and Kafka keeps no offsets for a group without a name",
            component.name
        );
        let help = "add consumerGroup to its spec.metadata";
        check.findings.error(ErrorCode::ComponentsGroupMissing, &component.place_of(set[0]), message, help);
    }
}

fn retries(check: &mut Check<'_>, component: &Component) {
    let setting = component.setting("consumeRetryEnabled");
    // A value that is set elsewhere is unknown, and not reported.
    let is_on = setting.is_some_and(|setting| setting.text().is_none_or(is_truthy));
    if !is_on {
        let message = format!(
            "consumeRetryEnabled is off for {:?}, so a message whose handling fails once is lost",
            component.name
        );
        let help = "set consumeRetryEnabled to \"true\"";
        check.findings.error(ErrorCode::ComponentsMessagesLost, &component.place_of(setting), message, help);
        return;
    }
    if let Some(setting) = component.setting("backOffMaxRetries")
        && setting.text().is_some_and(|text| text.trim().parse::<i64>().is_ok_and(|most| most >= 0))
    {
        let message = format!(
            "backOffMaxRetries limits the retries of {:?}, so a message is lost after them",
            component.name
        );
        let help =
            "remove it: a message that can never be handled goes to the dead letter of [[input-bindings]]";
        check.findings.error(ErrorCode::ComponentsMessagesLost, &setting.place, message, help);
    }
    let policy = component.setting("backOffPolicy");
    let is_exponential =
        policy.and_then(Setting::text).is_some_and(|text| text.eq_ignore_ascii_case("exponential"));
    let longest = component.setting("backOffMaxElapsedTime").and_then(Setting::text);
    let is_endless = longest.and_then(duration::milliseconds).is_some_and(|time| time.is_zero());
    if is_exponential && !is_endless {
        let message = format!(
            "backOffPolicy exponential gives up after backOffMaxElapsedTime, 15 minutes by default, and then {:?} loses the message",
            component.name
        );
        let help = "set backOffMaxElapsedTime to \"0\", or remove backOffPolicy";
        check.findings.error(ErrorCode::ComponentsMessagesLost, &component.place_of(policy), message, help);
    }
}

fn offset(check: &mut Check<'_>, component: &Component) {
    let setting = component.exact_setting("initialOffset").filter(|setting| !setting.is_empty());
    let place = component.place_of(setting);
    match setting.map(Setting::text) {
        Some(None) => {}
        Some(Some(text)) if text.eq_ignore_ascii_case("oldest") => {}
        Some(Some(text)) if !text.eq_ignore_ascii_case("newest") => {
            let message =
                format!("initialOffset: {text:?} is unknown, so {:?} does not start", component.name);
            check.findings.error(
                ErrorCode::ComponentsSettingInvalid,
                &place,
                message,
                "write \"oldest\" or \"newest\"",
            );
        }
        _ => {
            let message = format!(
                "initialOffset is newest for {:?}, so messages from before its group's first read are skipped",
                component.name
            );
            check.findings.warning(
                ErrorCode::ComponentsMessagesSkipped,
                &place,
                message,
                "set initialOffset to \"oldest\"",
            );
        }
    }
}

/// The binding passes the key and the headers of a message on as HTTP headers, and one that HTTP does not allow fails
/// the request forever (`binding/send.go`, `pkg/channel/http/http_channel.go`).
fn headers(check: &mut Check<'_>, component: &Component) {
    let setting = component.setting("escapeHeaders");
    if !setting.is_some_and(|setting| setting.text().is_none_or(is_truthy)) {
        let message = format!(
            "escapeHeaders is off for {:?}, so a key or a header with a line break blocks its partition forever",
            component.name
        );
        let help = "set escapeHeaders to \"true\"";
        check.findings.warning(
            ErrorCode::ComponentsPartitionStops,
            &component.place_of(setting),
            message,
            help,
        );
    }
    let setting = component.setting("excludeHeaderMetaRegex").filter(|setting| !setting.is_empty());
    if setting.is_none() {
        let message = format!(
            "{:?} has no excludeHeaderMetaRegex, so a header named content-length or with a space blocks its partition forever",
            component.name
        );
        let help = "copy it from components/kafka-binding.yaml";
        check.findings.warning(
            ErrorCode::ComponentsPartitionStops,
            &component.place_of(setting),
            message,
            help,
        );
    }
}
