//! The permissions of an agent type: parsed once, checked at every import.
//!
//! An empty list permits nothing. A `*` in the second part permits every topic of a pub/sub component, or every
//! operation of a binding.

use std::collections::{BTreeMap, BTreeSet};

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
    let mut pairs = |key: &str, entries: Vec<toml::Spanned<String>>| {
        let mut map = BTreeMap::<String, Names>::new();
        for entry in entries {
            match entry.get_ref().split_once('/') {
                Some((first, second)) if !first.is_empty() && !second.is_empty() => {
                    let names = map.entry(first.to_owned()).or_default();
                    if second == "*" {
                        names.all = true;
                    } else {
                        names.listed.insert(second.to_owned());
                    }
                }
                _ => {
                    let message = format!(
                        "agents.{agent}.permissions.{key}: {:?} does not have two parts",
                        entry.get_ref()
                    );
                    let form = if key == "publish" { "PUBSUB/TOPIC" } else { "BINDING/OPERATION" };
                    problems.push(ErrorCode::ManifestInvalidPermission, entry.span(), message, || {
                        format!("write it as \"{form}\"; a * in the second place permits all")
                    });
                }
            }
        }
        map
    };
    let publish = pairs("publish", file.publish);
    let bindings = pairs("bindings", file.bindings);
    let names =
        |entries: Vec<toml::Spanned<String>>| entries.into_iter().map(|entry| entry.into_inner()).collect();
    Permissions { publish, bindings, actors: names(file.actors), secrets: names(file.secrets) }
}
