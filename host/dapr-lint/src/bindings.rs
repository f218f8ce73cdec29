//! Bindings: the inputs and their routes, and the outputs of agents.

use super::check::{Check, NamedComponent, listed, with_slash};
use super::known;
use super::required::{Pair, RequiredInput};
use super::resource::{Category, Component, Setting};
use daca_base::ErrorCode;

pub(super) fn check(check: &mut Check<'_>) {
    let required = check.required;
    for pair in &required.invoked {
        output(check, pair);
    }
    for input in &required.inputs {
        let (name, what) = (input.binding.as_str(), "messages are expected from".to_owned());
        let code = ErrorCode::ComponentsInputMissing;
        let named = NamedComponent { name, category: Category::Binding, what, place: &input.place, code };
        if let Some(component) = check.find(&named) {
            expected(check, component, input);
        }
    }
    for component in check.of(Category::Binding) {
        direction(check, component);
        let is_listed = required.inputs.iter().any(|input| input.binding == component.name);
        if !is_listed && reads(component) {
            unlisted(check, component);
        }
    }
}

/// Returns `true` if a sidecar reads from it. The sidecar asks the app first, unless the component says `direction:
/// input`. A type that can only be read, and a Kafka binding with topics, count as inputs.
pub(super) fn reads(component: &Component) -> bool {
    match directions(component) {
        Some(directions) => directions.iter().any(|direction| direction == "input"),
        None => known::only_reads(&component.full_type) || has_topics(component),
    }
}

fn has_topics(component: &Component) -> bool {
    component.full_type == "bindings.kafka"
        && component.exact_setting("topics").is_some_and(|topics| !topics.is_empty())
}

fn directions(component: &Component) -> Option<Vec<String>> {
    let text = component.setting("direction").and_then(Setting::text)?;
    Some(text.split(',').map(|direction| direction.trim().to_ascii_lowercase()).collect())
}

fn direction(check: &mut Check<'_>, component: &Component) {
    let place = component.place_of(component.setting("direction"));
    for direction in directions(component).unwrap_or_default() {
        let can_read = known::can_read(&component.full_type);
        let message = match direction.as_str() {
            "input" if can_read == Some(false) => format!("{} cannot be read from", component.full_type),
            "output" if known::only_reads(&component.full_type) => {
                format!("{} can only be read from", component.full_type)
            }
            "input" | "output" => continue,
            other => format!("direction: {other:?} is neither input nor output, so it is ignored"),
        };
        let help = "write \"input\", \"output\" or \"input, output\", as the type can";
        check.findings.error(ErrorCode::ComponentsSettingInvalid, &place, message, help);
    }
}

/// The path to which the sidecar delivers: the setting `route`, in this spelling, or else the component's name.
pub(super) fn route(component: &Component) -> String {
    let route = component.exact_setting("route").and_then(Setting::text).filter(|route| !route.is_empty());
    with_slash(route.unwrap_or(&component.name))
}

/// A component from which the manifest expects messages.
fn expected(check: &mut Check<'_>, component: &Component, input: &RequiredInput) {
    let is_output =
        directions(component).is_some_and(|one| !one.iter().any(|direction| direction == "input"));
    if is_output || known::can_read(&component.full_type) == Some(false) {
        let message = format!("the manifest expects messages from {:?}, which is an output", component.name);
        let help = "write direction: input, with a type that can be read from";
        check.findings.error(ErrorCode::ComponentsWrongKind, &component.type_place, message, help);
        return;
    }
    let setting = component.exact_setting("route");
    let route = route(component);
    if route == input.path {
        return;
    }
    let because = match setting {
        Some(_) => format!("its route is {route}"),
        None => format!("it has no route, so Dapr probes {route}"),
    };
    let outcome = if check.route_answers(&route) {
        "which is another route, without a dead letter"
    } else {
        "where nothing answers, so the messages are never read or fail forever"
    };
    let message = format!("{:?} does not deliver to {}: {because}, {outcome}", component.name, input.path);
    let help = format!("add route with the value {:?} to its spec.metadata", input.path);
    check.findings.error(ErrorCode::ComponentsRouteUnanswered, &component.place_of(setting), message, help);
}

/// An input component that the manifest does not name.
fn unlisted(check: &mut Check<'_>, component: &Component) {
    let route = route(component);
    let setting = component.exact_setting("route");
    let place = component.place_of(setting);
    if check.route_answers(&route) {
        let message = format!(
            "{:?} delivers to {route}, and the manifest has no [[input-bindings]] for it: a message that can never be handled is lost, or blocks all others",
            component.name
        );
        let help = format!("add [[input-bindings]] with binding = {:?} and a dead-letter", component.name);
        check.findings.warning(ErrorCode::ComponentsInputUnlisted, &place, message, help);
    } else {
        let spelt = if setting.is_some() { "its route" } else { "without a route its name" };
        let message = format!(
            "{:?} delivers to {route} ({spelt}), where no POST route of the manifest answers: its messages are never read or fail forever",
            component.name
        );
        let help = "set its route to the path of a POST route, and name it in [[input-bindings]]";
        check.findings.error(ErrorCode::ComponentsRouteUnanswered, &place, message, help);
    }
}

fn output(check: &mut Check<'_>, pair: &Pair) {
    let Pair { first: name, second: operation, place } = pair;
    let (what, code) = ("an agent may use".to_owned(), ErrorCode::ComponentsOutputMissing);
    let named = NamedComponent { name, category: Category::Binding, what, place, code };
    let Some(component) = check.find(&named) else { return };
    let is_input =
        directions(component).is_some_and(|one| !one.iter().any(|direction| direction == "output"));
    if is_input || known::only_reads(&component.full_type) {
        let message = format!("an agent may use {name:?}, which is an input ({})", component.place);
        let help = "name an output binding; a component for both has direction: input, output";
        check.findings.error(ErrorCode::ComponentsWrongKind, place, message, help);
        return;
    }
    let Some(operations) = known::operations(&component.full_type) else { return };
    if operation != "*" && !operations.contains(&operation.as_str()) {
        let message =
            format!("an agent may use {name}/{operation}, and {} has no such operation", component.full_type);
        let help = format!("use one of: {}", listed(operations.iter().copied()));
        check.findings.error(ErrorCode::ComponentsOperationUnknown, place, message, help);
    }
}
