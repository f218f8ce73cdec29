//! The manifest of a test: a file or a text, and what the test adds to it.
//!
//! The additions go into the text, and the host's own reader reads the result. So a test cannot configure anything that a
//! manifest could not.

use std::path::{Path, PathBuf};

use daca_manifest::Manifest;
use toml::{Table, Value};

use crate::StartError;
use crate::component::find;

/// A permission of an agent type, in the form of the manifest's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit<'a> {
    /// Publish: `PUBSUB/TOPIC`, or `PUBSUB/*`.
    Publish(&'a str),
    /// Use an output binding: `BINDING/OPERATION`, or `BINDING/*`.
    Binding(&'a str),
    /// Call actors of a type.
    Actor(&'a str),
    /// Read a secret.
    Secret(&'a str),
}

/// Where the manifest begins.
#[derive(Debug, Clone, Default)]
pub(crate) enum ManifestSource {
    /// With nothing.
    #[default]
    Empty,
    File(PathBuf),
    Text(String),
}

/// What a test adds.
#[derive(Debug, Clone)]
pub(crate) struct Addition {
    agent: String,
    kind: AdditionKind,
}

#[derive(Debug, Clone)]
enum AdditionKind {
    Component(String),
    Setting(String, String),
    Permission(&'static str, String),
}

impl Addition {
    pub(crate) fn component(agent: &str, path: &Path) -> Addition {
        Addition {
            agent: agent.to_owned(),
            kind: AdditionKind::Component(path.to_string_lossy().into_owned()),
        }
    }

    pub(crate) fn setting(agent: &str, key: &str, value: &str) -> Addition {
        Addition { agent: agent.to_owned(), kind: AdditionKind::Setting(key.to_owned(), value.to_owned()) }
    }

    pub(crate) fn permission(agent: &str, permit: Permit<'_>) -> Addition {
        let (list, entry) = match permit {
            Permit::Publish(entry) => ("publish", entry),
            Permit::Binding(entry) => ("bindings", entry),
            Permit::Actor(entry) => ("actors", entry),
            Permit::Secret(entry) => ("secrets", entry),
        };
        Addition { agent: agent.to_owned(), kind: AdditionKind::Permission(list, entry.to_owned()) }
    }

    fn is_component(&self) -> bool {
        matches!(self.kind, AdditionKind::Component(_))
    }

    /// Adds it to the table of its agent type. A table of another form is left for the manifest's reader to refuse.
    fn add_to(&self, agent: &mut Table) {
        match &self.kind {
            AdditionKind::Component(path) => {
                agent.insert("component".to_owned(), path.clone().into());
            }
            AdditionKind::Setting(key, value) => {
                if let Some(settings) = table(agent, "settings") {
                    settings.insert(key.clone(), value.clone().into());
                }
            }
            AdditionKind::Permission(list, entry) => {
                let lists = table(agent, "permissions");
                let list = lists.map(|lists| lists.entry(*list).or_insert(Value::Array(Vec::new())));
                if let Some(list) = list.and_then(Value::as_array_mut) {
                    list.push(entry.clone().into());
                }
            }
        }
    }
}

/// Reads the manifest of a test.
pub(crate) fn read(source: &ManifestSource, additions: &[Addition]) -> Result<Manifest, StartError> {
    let (path, text) = match source {
        ManifestSource::Empty => (PathBuf::from("agents.toml"), String::new()),
        ManifestSource::Text(text) => (PathBuf::from("agents.toml"), text.clone()),
        ManifestSource::File(path) => {
            let found = find(path).ok_or_else(|| StartError::ManifestMissing(path.clone()))?;
            let text = Manifest::text(&found)?;
            (found, text)
        }
    };
    let text = match text.parse::<Table>() {
        Ok(manifest) if !additions.is_empty() => with(manifest, additions)?,
        // Its reader says what is wrong with it.
        _ => text,
    };
    Ok(Manifest::parse(&path, &text)?)
}

fn with(mut manifest: Table, additions: &[Addition]) -> Result<String, StartError> {
    // Components first: they make the tables of their types.
    let (components, others) = additions.iter().partition::<Vec<_>, _>(|addition| addition.is_component());
    for addition in components.into_iter().chain(others) {
        let agents = table(&mut manifest, "agents");
        let is_known = agents.as_ref().is_some_and(|agents| agents.contains_key(&addition.agent));
        if !is_known && !addition.is_component() {
            return Err(StartError::UnknownAgent { name: addition.agent.clone() });
        }
        if let Some(agent) = agents.and_then(|agents| table(agents, &addition.agent)) {
            addition.add_to(agent);
        }
    }
    Ok(manifest.to_string())
}

/// A table within another one, made when it is missing. None when something else has its name.
fn table<'t>(of: &'t mut Table, name: &str) -> Option<&'t mut Table> {
    of.entry(name).or_insert(Value::Table(Table::new())).as_table_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, additions: &[Addition]) -> Result<Manifest, StartError> {
        read(&ManifestSource::Text(text.to_owned()), additions)
    }

    #[test]
    fn additions_join_what_the_manifest_says() -> Result<(), StartError> {
        let text =
            "[agents.A]\ncomponent = \"a.wasm\"\nsettings = { x = \"1\" }\npermissions.publish = [\"p/t\"]\n";
        let manifest = read_all(
            text,
            &[
                Addition::setting("B", "y", "2"),
                Addition::permission("A", Permit::Publish("p/u")),
                Addition::permission("A", Permit::Actor("B")),
                Addition::component("B", Path::new("b.wasm")),
            ],
        )?;
        let (a, b) = (&manifest.agents["A"], &manifest.agents["B"]);
        assert_eq!(a.settings["x"], "1");
        assert_eq!(b.settings["y"], "2");
        assert!(a.permissions.may_publish("p", "t") && a.permissions.may_publish("p", "u"));
        assert!(a.permissions.may_call("B") && !b.permissions.may_call("A"));
        Ok(())
    }

    #[test]
    fn what_cannot_be_added_is_said() {
        let unknown = read_all("", &[Addition::setting("A", "x", "1")]).expect_err("there is no A");
        assert!(unknown.to_string().contains(r#"no agent type "A""#), "{unknown}");
        let odd = read_all("agents = 1", &[Addition::component("A", Path::new("a.wasm"))]);
        assert!(matches!(odd, Err(StartError::Manifest(_))), "it is refused by the manifest's own reader");
        let syntax = read_all("[agents", &[Addition::setting("A", "x", "1")]).expect_err("it is no TOML");
        assert!(syntax.to_string().contains("manifest-syntax"), "{syntax}");
    }
}
