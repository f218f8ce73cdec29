//! The permissions of an agent type: parsed once, checked at every import.
//!
//! An empty list permits nothing. A `*` in the second part permits every topic of a pub/sub component, or every
//! operation of a binding.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::names::{self, Mistake};
use super::{Problems, file};
use daca_base::ErrorCode;

/// The permissions of one agent type.
#[derive(Debug, Default)]
pub struct Permissions {
    publish: BTreeMap<String, Names>,
    bindings: BTreeMap<String, Names>,
    actors: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Names {
    all: bool,
    listed: BTreeSet<String>,
}

impl Names {
    fn permit(&self, name: &str) -> bool {
        self.all || self.listed.contains(name)
    }
}

impl Permissions {
    /// Returns `true` if it may publish to this topic.
    pub fn may_publish(&self, pubsub: &str, topic: &str) -> bool {
        self.publish.get(pubsub).is_some_and(|topics| topics.permit(topic))
    }

    /// Returns `true` if it may use this operation of this output binding.
    pub fn may_use_binding(&self, name: &str, operation: &str) -> bool {
        self.bindings.get(name).is_some_and(|operations| operations.permit(operation))
    }

    /// Returns `true` if it may call actors of this type.
    pub fn may_call(&self, agent_type: &str) -> bool {
        self.actors.contains(agent_type)
    }

    /// Returns `true` if it may read this secret.
    pub fn may_read_secret(&self, name: &str) -> bool {
        self.secrets.contains(name)
    }

    /// The pub/sub and binding components that it names.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.publish.keys().chain(self.bindings.keys()).map(String::as_str)
    }

    /// Returns `true` if it may read any secret.
    pub fn reads_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// The empty list in which this interface of the contract needs an entry; `None` if the list has one, or the
    /// interface needs none.
    pub fn list_to_fill(&self, interface: &str) -> Option<&'static str> {
        let (list, is_empty) = match interface {
            "pubsub" => ("publish", self.publish.is_empty()),
            "bindings" => ("bindings", self.bindings.is_empty()),
            "actors" => ("actors", self.actors.is_empty()),
            "secrets" => ("secrets", self.secrets.is_empty()),
            _ => return None,
        };
        is_empty.then_some(list)
    }

    /// The agent types whose actors may be called.
    pub(super) fn callees(&self) -> impl Iterator<Item = &str> {
        self.actors.iter().map(String::as_str)
    }

    /// All permissions, one line each, for `daca check`.
    pub fn lines(&self) -> Vec<String> {
        let pairs = |verb: &str, map: &BTreeMap<String, Names>| {
            let mut lines = Vec::new();
            for (name, second) in map {
                if second.all {
                    lines.push(format!("{verb} {name}/*"));
                }
                lines.extend(second.listed.iter().map(|second| format!("{verb} {name}/{second}")));
            }
            lines
        };
        let mut lines = pairs("publish to", &self.publish);
        lines.extend(pairs("use binding", &self.bindings));
        lines.extend(self.actors.iter().map(|name| format!("call actors of type {name}")));
        lines.extend(self.secrets.iter().map(|name| format!("read secret {name}")));
        lines
    }
}

pub(super) fn build(agent: &str, file: file::Permissions, problems: &mut Problems<'_>) -> Permissions {
    let mut builder = Builder { agent, problems };
    Permissions {
        publish: builder.pairs("publish", file.publish),
        bindings: builder.pairs("bindings", file.bindings),
        actors: builder.names("actors", file.actors, |name| {
            daca_model::check_agent_type(name).map_err(|error| {
                (
                    format!("no agent type has this name: {error}"),
                    "name one agent type; there is no wildcard".into(),
                )
            })
        }),
        secrets: builder.names("secrets", file.secrets, |name| names::check("the name", name)),
    }
}

struct Builder<'a, 'p> {
    agent: &'a str,
    problems: &'a mut Problems<'p>,
}

impl Builder<'_, '_> {
    fn pairs(&mut self, key: &str, entries: Vec<toml::Spanned<String>>) -> BTreeMap<String, Names> {
        let mut map = BTreeMap::<String, Names>::new();
        for entry in entries {
            match pair(key, entry.get_ref()) {
                Ok((first, "*")) => map.entry(first.to_owned()).or_default().all = true,
                Ok((first, second)) => {
                    map.entry(first.to_owned()).or_default().listed.insert(second.to_owned());
                }
                Err(mistake) => self.refuse(key, entry.span(), mistake),
            }
        }
        map
    }

    fn names(
        &mut self,
        key: &str,
        entries: Vec<toml::Spanned<String>>,
        check: impl Fn(&str) -> Result<(), Mistake>,
    ) -> BTreeSet<String> {
        for entry in &entries {
            if let Err(mistake) = check(entry.get_ref()) {
                self.refuse(key, entry.span(), mistake);
            }
        }
        entries.into_iter().map(toml::Spanned::into_inner).collect()
    }

    fn refuse(&mut self, key: &str, span: Range<usize>, (message, help): Mistake) {
        let message = format!("agents.{}.permissions.{key}: {message}", self.agent);
        self.problems.push(ErrorCode::ManifestInvalidPermission, span, message, || help);
    }
}

/// The parts of an entry of `publish` or `bindings`.
fn pair<'a>(key: &str, entry: &'a str) -> Result<(&'a str, &'a str), Mistake> {
    names::check("an entry", entry)?;
    let parts = entry.split_once('/').filter(|(first, second)| !first.is_empty() && !second.is_empty());
    let Some((first, second)) = parts else {
        let form = if key == "publish" { "PUBSUB/TOPIC" } else { "BINDING/OPERATION" };
        let help = format!("write it as \"{form}\"; a * in the second place permits all");
        return Err((format!("{entry:?} does not have two parts"), help));
    };
    names::check_component("the component", first)?;
    match (key, second) {
        (_, "*") => {}
        ("publish", topic) => names::check_published("the topic", topic)?,
        (_, operation) => names::check("the operation", operation)?,
    }
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry that can never match would look like a permission.
    #[test]
    fn an_entry_that_permits_nothing_is_refused() {
        for (key, entry, word) in [
            ("publish", "p/orders-*", "wildcard"),
            ("publish", "*/t", "component"),
            ("publish", "p", "two parts"),
            ("bindings", "b/", "two parts"),
            ("bindings", "b/ create", "white space"),
            ("bindings", "", "empty"),
        ] {
            let (message, _) = pair(key, entry).expect_err(entry);
            assert!(message.contains(word), "{entry:?}: {message}");
        }
        for (key, entry) in
            [("publish", "p/*"), ("publish", "p/a/b"), ("bindings", "b/*"), ("bindings", "b/get")]
        {
            assert!(pair(key, entry).is_ok(), "{entry:?}");
        }
    }
}
