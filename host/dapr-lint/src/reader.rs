//! Parses resources from YAML, and reports documents that Dapr cannot load.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::finding::{Findings, Location};
use super::kinds;
use super::resource::{Component, Resiliency, Resource, Retry, Setting, SettingValue, Subscription};
use super::yaml::{Node, Value};
use daca_base::ErrorCode;

/// Reads the documents of one file.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Arc<Path>,
    pub(super) findings: &'a mut Findings,
}

type Map = [(String, Node)];

impl Reader<'_> {
    /// `None` if the document is not such a resource, or is unusable; the findings have the reason.
    pub(super) fn resource(&mut self, document: &Node) -> Option<Resource> {
        let root = self.map(document, "a Dapr resource")?;
        let kind = self.required(root, "kind", document)?;
        let api = self.required(root, "apiVersion", document)?;
        let place = self.place(field(root, "kind").unwrap_or(document));
        match (api.as_str(), kind.as_str()) {
            ("dapr.io/v1alpha1", "Component") => self.component(root, document).map(Resource::Component),
            ("dapr.io/v1alpha1", "Subscription") => {
                self.subscription(root, document, false).map(Resource::Subscription)
            }
            ("dapr.io/v2alpha1", "Subscription") => {
                self.subscription(root, document, true).map(Resource::Subscription)
            }
            ("dapr.io/v1alpha1", "Resiliency") => self.resiliency(root, document).map(Resource::Resiliency),
            (api, kind @ ("Component" | "Subscription" | "Resiliency")) => {
                let message =
                    format!("there is no {kind} of apiVersion {api:?}, so Dapr ignores the document");
                let help = "write dapr.io/v1alpha1; for a Subscription dapr.io/v2alpha1 is better";
                self.findings.error(ErrorCode::ComponentsInvalid, &place, message, help);
                None
            }
            (api, kind) => {
                kinds::unchecked(api, kind, &place, self.findings);
                if kind == "Configuration" {
                    let file = self.file;
                    kinds::features(field(root, "spec"), |node| place_in(file, node), self.findings);
                }
                None
            }
        }
    }

    fn component(&mut self, root: &Map, document: &Node) -> Option<Component> {
        let (name, namespace, place) = self.name(root, document)?;
        let spec_node = self.required_node(root, "spec", document)?;
        let spec = self.map(spec_node, "spec")?;
        let full_type = self.required(spec, "type", spec_node);
        let version = self.required(spec, "version", spec_node);
        let settings = match field(spec, "metadata") {
            Some(Node { value: Value::Null, .. }) | None => Vec::new(),
            Some(node) => {
                self.list(node, "spec.metadata")?.iter().filter_map(|one| self.setting(one)).collect()
            }
        };
        let at = |key| self.place(field(spec, key).unwrap_or(spec_node));
        let (type_place, version_place) = (at("type"), at("version"));
        Some(Component {
            secret_store: self.secret_store(root)?,
            scopes: self.scopes(root)?,
            full_type: full_type?,
            version: version?,
            name,
            namespace,
            settings,
            place,
            type_place,
            version_place,
        })
    }

    fn setting(&mut self, node: &Node) -> Option<Setting> {
        let map = self.map(node, "an entry of spec.metadata")?;
        let name = self.required(map, "name", node)?;
        let at = field(map, "value").or(field(map, "secretKeyRef")).unwrap_or(node);
        let place = self.place(at);
        // Dapr's order: a reference to a secret replaces a value, and a value hides a variable.
        if let Some(reference) = field(map, "secretKeyRef") {
            let secret = self.map(reference, "secretKeyRef")?;
            let secret_name = self.required(secret, "name", reference)?;
            // Without a key, the secret's name is the key.
            let key = self.optional(secret, "key")?.filter(|key| !key.is_empty());
            let key = key.unwrap_or_else(|| secret_name.clone());
            return Some(Setting { name, value: SettingValue::Secret { name: secret_name, key }, place });
        }
        let value = match field(map, "value").map(|node| &node.value) {
            Some(Value::Scalar(text)) => SettingValue::Text(text.clone()),
            Some(Value::List(_) | Value::Map(_)) => SettingValue::Elsewhere,
            Some(Value::Null) | None if field(map, "envRef").is_some() => SettingValue::Elsewhere,
            Some(Value::Null) | None => SettingValue::Text(String::new()),
        };
        Some(Setting { name, value, place })
    }

    fn subscription(&mut self, root: &Map, document: &Node, is_v2: bool) -> Option<Subscription> {
        let (name, namespace, place) = self.name(root, document)?;
        let spec_node = self.required_node(root, "spec", document)?;
        let spec = self.map(spec_node, "spec")?;
        let pubsub = self.required(spec, "pubsubname", spec_node);
        let topic = self.required(spec, "topic", spec_node);
        let mut extras = Vec::new();
        let paths =
            if is_v2 { self.routes(spec, spec_node, &mut extras)? } else { self.route(spec, spec_node)? };
        if self.optional(spec, "deadLetterTopic")?.is_some_and(|topic| !topic.is_empty()) {
            extras.push("deadLetterTopic");
        }
        if field(spec, "bulkSubscribe").is_some() {
            extras.push("bulkSubscribe");
        }
        let scopes = self.scopes(root)?;
        Some(Subscription { name, namespace, pubsub: pubsub?, topic: topic?, paths, extras, scopes, place })
    }

    fn resiliency(&mut self, root: &Map, document: &Node) -> Option<Resiliency> {
        let (name, namespace, place) = self.name(root, document)?;
        let spec = self.required_node(root, "spec", document)?;
        let (mut retries, mut inbound) = (BTreeMap::new(), BTreeMap::new());
        for (retry, node) in self.within(spec, &["policies", "retries"])? {
            let policy = self.map(node, "a retry")?;
            let most = self.optional(policy, "maxRetries")?;
            let gives_up = most.is_some_and(|most| most.trim().parse::<i64>().is_ok_and(|most| most >= 0));
            let place = self.place(field(policy, "maxRetries").unwrap_or(node));
            retries.insert(retry.clone(), Retry { gives_up, place });
        }
        for (component, node) in self.within(spec, &["targets", "components"])? {
            let mut retry = None;
            for (policy, name) in self.within(node, &["inbound"])? {
                if policy == "retry" {
                    retry = Some(self.text(name, "retry")?).filter(|name| !name.is_empty());
                }
            }
            inbound.insert(component.clone(), retry);
        }
        Some(Resiliency { name, namespace, retries, inbound, scopes: self.scopes(root)?, place })
    }

    /// The keys and values below a path of keys; empty if one of them is missing.
    fn within<'n>(&mut self, mut node: &'n Node, path: &[&str]) -> Option<&'n Map> {
        for key in path {
            match field(self.map(node, "this part of a Resiliency")?, key) {
                Some(Node { value: Value::Null, .. }) | None => return Some(&[]),
                Some(inner) => node = inner,
            }
        }
        self.map(node, "this part of a Resiliency")
    }

    fn route(&mut self, spec: &Map, spec_node: &Node) -> Option<Vec<(String, Location)>> {
        let node = self.required_node(spec, "route", spec_node)?;
        Some(vec![(self.text(node, "spec.route")?, self.place(node))])
    }

    fn routes(
        &mut self,
        spec: &Map,
        spec_node: &Node,
        extras: &mut Vec<&'static str>,
    ) -> Option<Vec<(String, Location)>> {
        let node = self.required_node(spec, "routes", spec_node)?;
        let routes = self.map(node, "spec.routes")?;
        let mut paths = Vec::new();
        if let Some(rules) = field(routes, "rules") {
            extras.push("routes.rules");
            for rule in self.list(rules, "spec.routes.rules")? {
                let map = self.map(rule, "a rule")?;
                let path = self.required_node(map, "path", rule)?;
                paths.push((self.text(path, "path")?, self.place(path)));
            }
        }
        if let Some(default) = field(routes, "default") {
            paths.push((self.text(default, "spec.routes.default")?, self.place(default)));
        }
        if paths.is_empty() {
            let help = "write routes.default, the path that the events go to";
            self.findings.error(
                ErrorCode::ComponentsInvalid,
                &self.place(node),
                "spec.routes names no path",
                help,
            );
            return None;
        }
        Some(paths)
    }

    /// Name, namespace, and the position of the name.
    fn name(&mut self, root: &Map, document: &Node) -> Option<(String, String, Location)> {
        let node = self.required_node(root, "metadata", document)?;
        let metadata = self.map(node, "metadata")?;
        let name = self.required(metadata, "name", node)?;
        let place = self.place(field(metadata, "name").unwrap_or(node));
        if name.contains(['/', '%']) || name == "." || name == ".." {
            let help = "use letters, digits, '-' and '.'";
            self.findings.error(
                ErrorCode::ComponentsInvalid,
                &place,
                format!("{name:?} cannot be the name of a resource"),
                help,
            );
            return None;
        }
        let namespace = self.optional(metadata, "namespace")?.filter(|name| !name.is_empty());
        Some((name, namespace.unwrap_or_else(|| "default".to_owned()), place))
    }

    fn secret_store(&mut self, root: &Map) -> Option<Option<String>> {
        let Some(auth) = field(root, "auth") else { return Some(None) };
        let map = self.map(auth, "auth")?;
        Some(self.optional(map, "secretStore")?.filter(|name| !name.is_empty()))
    }

    fn scopes(&mut self, root: &Map) -> Option<Vec<String>> {
        match field(root, "scopes") {
            Some(Node { value: Value::Null, .. }) | None => Some(Vec::new()),
            Some(node) => {
                self.list(node, "scopes")?.iter().map(|scope| self.text(scope, "a scope")).collect()
            }
        }
    }

    fn required(&mut self, map: &Map, key: &str, within: &Node) -> Option<String> {
        let node = self.required_node(map, key, within)?;
        let text = self.text(node, key)?;
        if text.is_empty() {
            self.findings.error(
                ErrorCode::ComponentsInvalid,
                &self.place(node),
                format!("{key} is empty"),
                "give it a value",
            );
            return None;
        }
        Some(text)
    }

    fn required_node<'m>(&mut self, map: &'m Map, key: &str, within: &Node) -> Option<&'m Node> {
        let found = field(map, key);
        if found.is_none() {
            let help = "add it; a resource has apiVersion, kind, metadata.name and spec";
            self.findings.error(
                ErrorCode::ComponentsInvalid,
                &self.place(within),
                format!("{key} is missing"),
                help,
            );
        }
        found
    }

    /// The outer `None` means that the value is not text.
    fn optional(&mut self, map: &Map, key: &str) -> Option<Option<String>> {
        match field(map, key) {
            Some(Node { value: Value::Null, .. }) | None => Some(None),
            Some(node) => self.text(node, key).map(Some),
        }
    }

    fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar(text) => Some(text.clone()),
            _ => self.unexpected(node, what, "text"),
        }
    }

    fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n Map> {
        match &node.value {
            Value::Map(map) => Some(map),
            _ => self.unexpected(node, what, "keys and values"),
        }
    }

    fn list<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(list) => Some(list),
            _ => self.unexpected(node, what, "a list"),
        }
    }

    fn unexpected<T>(&mut self, node: &Node, what: &str, expected: &str) -> Option<T> {
        let found = match node.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "keys and values",
        };
        let message = format!("{what} is {found}, and should be {expected}");
        self.findings.error(
            ErrorCode::ComponentsInvalid,
            &self.place(node),
            message,
            format!("write {expected}"),
        );
        None
    }

    fn place(&self, node: &Node) -> Location {
        place_in(self.file, node)
    }
}

fn place_in(file: &Arc<Path>, node: &Node) -> Location {
    let at = node.referenced;
    Location { path: file.clone(), line: at.line(), column: at.column() }
}

fn field<'m>(map: &'m Map, key: &str) -> Option<&'m Node> {
    map.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}
