//! Dapr's resources for the check: components, subscriptions and policies, with the positions of their values.

use std::collections::BTreeMap;

use super::finding::Location;

/// A `Component` (dapr.io/v1alpha1).
#[derive(Debug)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) namespace: String,
    /// Such as `bindings.kafka`.
    pub(super) full_type: String,
    pub(super) version: String,
    pub(super) settings: Vec<Setting>,
    /// `auth.secretStore`: the store of the settings' secrets.
    pub(super) secret_store: Option<String>,
    pub(super) scopes: Vec<String>,
    /// The position of its name.
    pub(super) place: Location,
    pub(super) type_place: Location,
    pub(super) version_place: Location,
}

/// An entry of a component's `spec.metadata`.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: SettingValue,
    pub(super) place: Location,
}

/// The value of a setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// A literal.
    Text(String),
    /// In a secret store.
    Secret {
        /// The secret.
        name: String,
        /// The key within it.
        key: String,
    },
    /// Unknown to the check: an environment variable, or a structure.
    Elsewhere,
}

/// A `Subscription` (dapr.io/v1alpha1 or v2alpha1).
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) pubsub: String,
    pub(super) topic: String,
    /// Every path to which an event may go.
    pub(super) paths: Vec<(String, Location)>,
    /// Parts that the manifest cannot express: rules, a dead-letter topic, bulk delivery.
    pub(super) extras: Vec<&'static str>,
    pub(super) scopes: Vec<String>,
    pub(super) place: Location,
}

/// A `Resiliency` (dapr.io/v1alpha1), as far as it concerns inbound events.
#[derive(Debug)]
pub(super) struct Resiliency {
    pub(super) name: String,
    pub(super) namespace: String,
    /// `spec.policies.retries`.
    pub(super) retries: BTreeMap<String, Retry>,
    /// `spec.targets.components`, with the name of each one's inbound retry.
    pub(super) inbound: BTreeMap<String, Option<String>>,
    pub(super) scopes: Vec<String>,
    pub(super) place: Location,
}

/// A retry policy.
#[derive(Debug)]
pub(super) struct Retry {
    /// `true` if it has an end. It has none by default.
    pub(super) gives_up: bool,
    /// The position of that.
    pub(super) place: Location,
}

/// The first part of a component's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    State,
    Pubsub,
    Binding,
    SecretStore,
    /// A category that a manifest never uses.
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

    /// A setting, whatever its case, as most of Dapr reads them.
    pub(super) fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// A setting in this exact spelling, as Dapr's runtime reads `route`, and Kafka `topics` and `initialOffset`.
    pub(super) fn exact_setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The position of a setting, or else of the component.
    pub(super) fn place_of(&self, setting: Option<&Setting>) -> Location {
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
    /// The value, if it is a literal.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns `true` if it exists but is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.text().is_some_and(str::is_empty)
    }
}

/// Returns `true` for a value that Dapr treats as true, in any setting.
pub(super) fn is_truthy(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes" | "true" | "t" | "on" | "1")
}

/// The content of one document of a file.
#[derive(Debug)]
pub(super) enum Resource {
    Component(Component),
    Subscription(Subscription),
    Resiliency(Resiliency),
}
