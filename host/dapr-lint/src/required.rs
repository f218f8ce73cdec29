//! The components of Dapr that a manifest requires, each with its line.
//!
//! The parsed manifest has no lines, so the check reads these few keys once more. They have already passed the
//! manifest's own check.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::finding::Location;

/// Two names, such as pub/sub component and topic, or binding and operation.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) place: Location,
}

/// An input binding of the manifest.
#[derive(Debug)]
pub(super) struct RequiredInput {
    pub(super) binding: String,
    pub(super) path: String,
    pub(super) place: Location,
}

/// A subscription of the manifest.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) pubsub: String,
    pub(super) topic: String,
    pub(super) path: String,
    pub(super) place: Location,
}

/// Everything that a manifest requires.
#[derive(Debug, Default)]
pub(super) struct RequiredComponents {
    pub(super) published: Vec<Pair>,
    pub(super) invoked: Vec<Pair>,
    pub(super) secrets: Vec<(String, Location)>,
    pub(super) inputs: Vec<RequiredInput>,
    pub(super) dead_letters: Vec<Pair>,
    pub(super) subscribed: Vec<Subscribed>,
}

impl RequiredComponents {
    /// Parses the text of a valid manifest.
    pub(super) fn read(path: &Path, text: &str) -> Result<RequiredComponents, toml::de::Error> {
        let file = toml::from_str::<File>(text)?;
        let at = |span: std::ops::Range<usize>| place(path, text, span.start);
        let pair = |entry: &Spanned<String>| {
            let (first, second) = entry.get_ref().split_once('/')?;
            Some(Pair { first: first.to_owned(), second: second.to_owned(), place: at(entry.span()) })
        };
        let mut required = RequiredComponents::default();
        for Agent { permissions } in file.agents.values() {
            required.published.extend(permissions.publish.iter().filter_map(pair));
            required.invoked.extend(permissions.bindings.iter().filter_map(pair));
            let secrets = permissions.secrets.iter();
            required.secrets.extend(secrets.map(|secret| (secret.get_ref().clone(), at(secret.span()))));
        }
        for InputBinding { binding, path, dead_letter } in &file.input_bindings {
            required.dead_letters.extend(pair(dead_letter));
            let place = at(binding.span());
            required.inputs.push(RequiredInput {
                binding: binding.get_ref().clone(),
                path: path.clone(),
                place,
            });
        }
        for Subscription { pubsub, topic, path, dead_letter } in file.subscriptions {
            required.dead_letters.extend(dead_letter.as_ref().and_then(pair));
            let place = at(pubsub.span());
            required.subscribed.push(Subscribed { pubsub: pubsub.into_inner(), topic, path, place });
        }
        Ok(required)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct File {
    agents: BTreeMap<String, Agent>,
    input_bindings: Vec<InputBinding>,
    subscriptions: Vec<Subscription>,
}

#[derive(Deserialize)]
struct Agent {
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Permissions {
    publish: Vec<Spanned<String>>,
    bindings: Vec<Spanned<String>>,
    secrets: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InputBinding {
    binding: Spanned<String>,
    path: String,
    dead_letter: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Subscription {
    pubsub: Spanned<String>,
    topic: String,
    path: String,
    dead_letter: Option<Spanned<String>>,
}

fn place(path: &Path, text: &str, offset: usize) -> Location {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    Location { path: path.into(), line: line as u64, column: column as u64 }
}
