//! Topics that a pub/sub component denies the app.
//!
//! Dapr reads four settings (`pkg/scopes/scopes.go`) and checks them before it publishes or subscribes
//! (`IsOperationAllowed` in `pkg/runtime/pubsub/adapter.go`). `allowedTopics`, unless empty, lists all topics for all
//! apps. A scope, such as `publishingScopes` of the form `app=topic,topic;app=…`, lists those of one app: an app that
//! is not in it may use every topic but those of `protectedTopics`, and `app=` allows it none. Spaces are ignored, and
//! topics are compared as a whole.

use super::check::Check;
use super::finding::Location;
use super::resource::{Category, Component, Setting};
use daca_base::ErrorCode;

/// An operation on a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Publish,
    Subscribe,
}

impl Operation {
    fn setting(self) -> &'static str {
        match self {
            Operation::Publish => "publishingScopes",
            Operation::Subscribe => "subscriptionScopes",
        }
    }
}

/// Every topic, in a permission of the manifest.
const EVERY_TOPIC: &str = "*";

/// Reports a topic that the app may not use; `what` describes the operation. For every topic, it only reports if the
/// app may use none.
pub(super) fn check(
    check: &mut Check<'_>,
    operation: Operation,
    (pubsub, topic): (&str, &str),
    what: &str,
    place: &Location,
) {
    let Some(component) = check.of(Category::Pubsub).find(|one| one.name == pubsub) else { return };
    let rules = Rules::of(component, check.app, operation);
    let is_every = operation == Operation::Publish && topic == EVERY_TOPIC;
    let refusal = if is_every { rules.refusal_of_all() } else { rules.refusal(topic) };
    let Some(by) = refusal else { return };
    let (name, app, scope) = (by.name, check.app, operation.setting());
    let stands = component.place_of(by.setting);
    let named = format!("{pubsub}/{topic}");
    let (message, help) = if is_every {
        (
            format!("{what} {named:?}, and {name} ({stands}) allows the app {app:?} no topic"),
            format!("correct {name}, or remove it"),
        )
    } else if name == PROTECTED {
        (
            format!(
                "{what} {named:?}, which is protected: {name} ({stands}) has it, and {scope} does not list the app {app:?}"
            ),
            format!("add \"{app}={topic}\" to {scope}"),
        )
    } else if name == ALLOWED {
        (
            format!("{what} {named:?}, and {name} ({stands}) does not list the topic"),
            format!("add {topic:?} to {name}, or name another topic"),
        )
    } else {
        (
            format!("{what} {named:?}, and {name} ({stands}) does not give the topic to the app {app:?}"),
            format!("add {topic:?} to the topics of {app:?} in {name}, or name another topic"),
        )
    };
    check.findings.error(ErrorCode::ComponentsTopicNotAllowed, place, message, help);
}

const ALLOWED: &str = "allowedTopics";
const PROTECTED: &str = "protectedTopics";

/// One of the settings, as it applies to the app.
struct List<'c> {
    name: &'static str,
    setting: Option<&'c Setting>,
    /// `None` if the check cannot know them; an empty list forbids nothing.
    topics: Option<Vec<String>>,
}

impl<'c> List<'c> {
    fn of(
        component: &'c Component,
        app: &str,
        name: &'static str,
        parse: impl Fn(&str) -> Vec<String>,
    ) -> List<'c> {
        let setting = component.setting(name);
        let text =
            setting.map_or(Some(String::new()), |setting| setting.text().and_then(|it| filled(it, app)));
        let parsed = |text: String| if text.is_empty() { Vec::new() } else { parse(&text.replace(' ', "")) };
        List { name, setting, topics: text.map(parsed) }
    }

    /// The topics, if there is a known restriction.
    fn restriction(&self) -> Option<&[String]> {
        self.topics.as_deref().filter(|topics| !topics.is_empty())
    }

    fn has(&self, topic: &str) -> bool {
        self.topics.iter().flatten().any(|one| one == topic)
    }
}

/// The settings for one operation.
struct Rules<'c> {
    allowed: List<'c>,
    protected: List<'c>,
    scoped: List<'c>,
}

impl<'c> Rules<'c> {
    fn of(component: &'c Component, app: &str, operation: Operation) -> Rules<'c> {
        Rules {
            allowed: List::of(component, app, ALLOWED, topics),
            protected: List::of(component, app, PROTECTED, topics),
            scoped: List::of(component, app, operation.setting(), |text| scoped(text, app)),
        }
    }

    /// The setting that forbids a topic, as far as known.
    fn refusal(&self, topic: &str) -> Option<&List<'c>> {
        if self.allowed.restriction().is_some() && !self.allowed.has(topic) {
            return Some(&self.allowed);
        }
        match self.scoped.topics.as_deref()? {
            [] => self.protected.has(topic).then_some(&self.protected),
            _ => (!self.scoped.has(topic)).then_some(&self.scoped),
        }
    }

    /// The setting that forbids every topic. Without a list of allowed ones, there is always another topic.
    fn refusal_of_all(&self) -> Option<&List<'c>> {
        let list = [&self.allowed, &self.scoped].into_iter().find(|list| list.restriction().is_some())?;
        // A topic has a name.
        let mut named = list.restriction()?.iter().filter(|topic| !topic.is_empty());
        let Some(first) = named.next() else { return Some(list) };
        let refusal = self.refusal(first)?;
        named.all(|topic| self.refusal(topic).is_some()).then_some(refusal)
    }
}

/// A text with the app's placeholder replaced; `None` if it has a placeholder that only the sidecar can fill.
fn filled(text: &str, app: &str) -> Option<String> {
    let is_known = !["{uuid}", "{podName}", "{namespace}"].iter().any(|one| text.contains(one));
    is_known.then(|| text.replace("{appID}", app))
}

fn topics(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// The topics of one app, which may be listed more than once.
fn scoped(text: &str, app: &str) -> Vec<String> {
    let entries = text.split(';').filter_map(|entry| {
        let mut parts = entry.split('=');
        (parts.next() == Some(app)).then(|| parts.next()).flatten()
    });
    entries.flat_map(topics).collect()
}
