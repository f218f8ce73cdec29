//! Input bindings: the route to which a binding delivers its messages, and the dead-letter topic for messages that can
//! never be handled.

use std::ops::Range;

use daca_base::ErrorCode;
use daca_model::Topic;

use super::{Problems, Route, file, limits, names};

/// An input binding, such as a Kafka topic: its messages arrive at the path of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputBinding {
    /// The Dapr component.
    pub binding: String,
    /// The path of the `POST` route that takes its messages. It is fixed: it has no parameters.
    pub path: String,
    /// The dead-letter topic.
    pub dead_letter: Topic,
    /// Attempts at a message whose agent fails or traps, before it is dead-lettered. Failures because the host, the
    /// sidecar or a store is unavailable are retried forever.
    pub attempts: u32,
}

pub(super) fn build(
    bindings: Vec<file::InputBinding>,
    routes: &[Route],
    problems: &mut Problems<'_>,
) -> Vec<InputBinding> {
    let mut built = Vec::<InputBinding>::new();
    for binding in bindings {
        let span = binding.path.span();
        let path = binding.path.into_inner();
        if let Err((message, help)) = names::check_component("binding", binding.binding.get_ref()) {
            push(problems, binding.binding.span(), message, &help);
            continue;
        }
        let name = binding.binding.into_inner();
        if !routes.iter().any(|route| route.path == path && route.method == http::Method::POST) {
            push(
                problems,
                span.clone(),
                format!("no POST route has the path {path:?}"),
                "add the route, or name the path of an existing one",
            );
        }
        if path.contains('{') {
            push(
                problems,
                span.clone(),
                format!("{path:?} has a parameter, which a binding cannot fill in"),
                "name a route with a fixed path that takes the actor's id from a field",
            );
        }
        if built.iter().any(|other| other.path == path || other.binding == name) {
            push(
                problems,
                span,
                format!("the binding {name:?} or its path {path:?} is defined twice"),
                "remove one of the two",
            );
        }
        if let Some((message, help)) = limits::attempts_problem(binding.attempts) {
            let text = format!("the binding {name:?} has {message}");
            push(problems, binding.dead_letter.span(), text, &help);
        }
        match names::dead_letter(binding.dead_letter.get_ref()) {
            Ok(dead_letter) => {
                built.push(InputBinding { binding: name, path, dead_letter, attempts: binding.attempts });
            }
            Err((message, help)) => push(problems, binding.dead_letter.span(), message, &help),
        }
    }
    built
}

fn push(problems: &mut Problems<'_>, span: Range<usize>, message: String, help: &str) {
    problems.push(ErrorCode::ManifestInvalidInputBinding, span, message, || help.into());
}
