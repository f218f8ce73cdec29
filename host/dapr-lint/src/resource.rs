//! Dapr's resources as the check sees them: components, subscriptions and policies, with the places of what may be wrong.

use std::collections::BTreeMap;

use super::finding::Place;

/// A `Component` (dapr.io/v1alpha1).
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) namespace: String,
    /// Such as `bindings.kafka`.
    pub(super) full_type: String,
    pub(super) version: String,
    pub(super) settings: Vec<Setting>,
    /// `auth.secretStore`: where the settings' secrets are.
    pub(super) secret_store: Option<String>,
    pub(super) scopes: Vec<String>,
    /// Where its name stands.
    pub(super) place: Place,
    pub(super) type_place: Place,
    pub(super) version_place: Place,
}

/// An entry of a component's `spec.metadata`.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: SettingValue,
    pub(super) place: Place,
}

/// What a setting is set to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// It is written down.
    Text(String),
    /// It is in a secret store.
    Secret {
        /// The secret.
        name: String,
        /// The key within it.
        key: String,
    },
    /// The check cannot know it: a variable of the environment, or a structure.
    Elsewhere,
}

/// A `Subscription` (dapr.io/v1alpha1 or v2alpha1).
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) pubsub: String,
    pub(super) topic: String,
    /// Every path that an event may go to.
    pub(super) paths: Vec<(String, Place)>,
    /// Has it what the manifest cannot say: rules, a dead-letter topic, bulk delivery?
    pub(super) extras: Vec<&'static str>,
    pub(super) scopes: Vec<String>,
    pub(super) place: Place,
}

/// A `Resiliency` (dapr.io/v1alpha1), as far as it is about what components bring.
#[derive(Debug)]
pub(super) struct Resiliency {
    pub(super) name: String,
    pub(super) namespace: String,
    /// `spec.policies.retries`.
    pub(super) retries: BTreeMap<String, Retry>,
    /// `spec.targets.components`, with the name of the retry of each for what it brings.
    pub(super) inbound: BTreeMap<String, Option<String>>,
    pub(super) scopes: Vec<String>,
    pub(super) place: Place,
}

/// A policy for retries.
#[derive(Debug)]
pub(super) struct Retry {
    /// Has it an end? It has none by default.
    pub(super) gives_up: bool,
    /// Where that stands.
    pub(super) place: Place,
}

/// The first part of a component's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    State,
    Pubsub,
    Binding,
    SecretStore,
    /// One that a manifest never uses.
    Other,
}

impl Category {
    /// For people.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Category::State => "state store",
            Category::Pubsub => "pub/sub component",
            Category::Binding => "binding",
            Category::SecretStore => "secret store",
            Category::Other => "component of another kind",
        }
    }
}

impl Component {
    pub(super) fn category(&self) -> Category {
        match self.full_type.split_once('.').map(|(category, _)| category) {
            Some("state") => Category::State,
            Some("pubsub") => Category::Pubsub,
            Some("bindings") => Category::Binding,
            Some("secretstores") => Category::SecretStore,
            _ => Category::Other,
        }
    }

    /// A setting, whatever its case: so most of Dapr reads them.
    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// A setting in this very spelling: so Dapr's runtime reads `route`, and Kafka `topics` and `initialOffset`.
    pub(super) fn exact_setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Where a setting stands, or else the component.
    pub(super) fn place_of(&self, setting: Option<&Setting>) -> Place {
        setting.map_or(&self.place, |setting| &setting.place).clone()
    }

    pub(super) fn is_for(&self, app: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app)
    }
}

impl Subscription {
    pub(super) fn is_for(&self, app: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app)
    }
}

impl Resiliency {
    pub(super) fn is_for(&self, app: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|scope| scope == app)
    }
}

impl Setting {
    /// The value, where it is written down.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Is it there, but empty?
    pub(super) fn is_empty(&self) -> bool {
        self.text().is_some_and(str::is_empty)
    }
}

/// What Dapr takes for true, in any setting.
pub(super) fn is_truthy(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "true" | "t" | "on" | "1")
}

/// What one document of a file is.
#[derive(Debug)]
pub(super) enum Resource {
    Component(Component),
    Subscription(Subscription),
    Resiliency(Resiliency),
}
