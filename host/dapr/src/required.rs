//! The components of Dapr that the manifest names, and those that the sidecar lacks.
//!
//! A sidecar without such a component still runs, and uses of the component fail later, call by call. So it is
//! reported as soon as the sidecar is ready.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use daca_manifest::Manifest;

/// Components by name, each with its uses in the manifest.
#[derive(Debug, Default)]
pub(super) struct ComponentNames(BTreeMap<String, BTreeSet<String>>);

impl ComponentNames {
    pub(super) fn of(manifest: &Manifest) -> ComponentNames {
        let mut required = ComponentNames::default();
        for agent in manifest.agents.values() {
            for component in agent.permissions.components() {
                required.add(component, format!("permissions of {}", agent.name));
            }
            if agent.permissions.reads_secrets() {
                required.add(&manifest.dapr.secret_store, format!("secrets of {}", agent.name));
            }
        }
        required.add(&manifest.dapr.state_store, "shared state of the hosts".to_owned());
        for binding in &manifest.input_bindings {
            required.add(&binding.binding, format!("input binding at {}", binding.path));
            required.add(&binding.dead_letter.pubsub, "dead-letter".to_owned());
        }
        for subscription in &manifest.subscriptions {
            required.add(&subscription.pubsub, format!("subscription at {}", subscription.path));
            if let Some(letters) = &subscription.dead_letter {
                required.add(&letters.pubsub, "dead-letter".to_owned());
            }
        }
        required
    }

    fn add(&mut self, component: &str, reason: String) {
        self.0.entry(component.to_owned()).or_default().insert(reason);
    }

    /// The missing components, for people; `None` if all are loaded.
    pub(super) fn missing(&self, loaded: &HashSet<String>) -> Option<String> {
        let missing = self.0.iter().filter(|(name, _)| !loaded.contains(*name));
        let words = missing.map(|(name, reasons)| {
            let reasons = reasons.iter().map(String::as_str).collect::<Vec<_>>();
            format!("{name} ({})", reasons.join(", "))
        });
        let words = words.collect::<Vec<_>>();
        (!words.is_empty()).then(|| words.join(", "))
    }
}
