//! Kinds of Dapr's resources that are not checked, and the names of Dapr's preview features.

use super::finding::{Findings, Location};
use super::yaml::{Node, Value};
use daca_base::ErrorCode;

/// Kinds of `dapr.io`, besides Component and Subscription, each with the first line of Dapr that has it
/// (`charts/dapr/crds`).
const KINDS: &[(&str, &str)] = &[
    ("Configuration", "1.16"),
    ("HTTPEndpoint", "1.16"),
    ("MCPServer", "1.18"),
    ("Resiliency", "1.16"),
    ("WorkflowAccessPolicy", "1.18"),
];

/// Features of a Configuration (`pkg/config/configuration.go`), each with the lines of Dapr that have it.
const FEATURES: &[(&str, &str)] = &[
    ("ActorStateTTL", "1.16 to 1.18"),
    ("HotReload", "1.16 to 1.18"),
    ("SchedulerReminders", "1.16"),
    ("WorkflowHistorySigning", "1.18"),
    ("WorkflowsClusteredDeployment", "1.16 to 1.18"),
    ("WorkflowsRemoteActivityReminder", "1.17 and 1.18"),
];

/// Reports that a document is not checked, and what it means to Dapr.
pub(super) fn unchecked(api: &str, kind: &str, place: &Location, findings: &mut Findings) {
    let is_known = api == "dapr.io/v1alpha1";
    let since = KINDS.iter().find(|(name, _)| is_known && *name == kind).map(|(_, since)| *since);
    if since.is_none() && api.starts_with("dapr.io/") {
        let message = format!("Dapr (1.16 to 1.18) has no {kind:?} of apiVersion {api:?}, and ignores it");
        findings.warning(ErrorCode::ComponentsKindUnknown, place, message, "correct kind and apiVersion");
        return;
    }
    let message = format!("{kind:?} ({api:?}) is not checked");
    let (message, help) = match since {
        None | Some("1.16") => {
            let help = "no action is needed: only Component and Subscription of dapr.io are checked";
            (message, help.to_owned())
        }
        Some(since) => (
            format!("{message}; Dapr supports it from {since} on"),
            format!("no action is needed if the sidecar is Dapr {since} or newer"),
        ),
    };
    findings.note(ErrorCode::ComponentsKindUnknown, place, message, help);
}

/// Reports features of a Configuration that no line of Dapr has: Dapr ignores them silently.
pub(super) fn features(spec: Option<&Node>, place_of: impl Fn(&Node) -> Location, findings: &mut Findings) {
    let list = spec.and_then(|spec| field(spec, "features"));
    let Some(Node { value: Value::List(list), .. }) = list else { return };
    for name in list.iter().filter_map(|feature| field(feature, "name")) {
        let Value::Scalar(text) = &name.value else { continue };
        if !FEATURES.iter().any(|(known, _)| known == text) {
            let known = FEATURES.iter().map(|(name, lines)| format!("{name} ({lines})"));
            let message = format!("no Dapr from 1.16 to 1.18 has a feature {text:?}, so it is ignored");
            let help = format!("write one of {}", known.collect::<Vec<_>>().join(", "));
            findings.warning(ErrorCode::ComponentsFeatureUnknown, &place_of(name), message, help);
        }
    }
}

fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(map) = &node.value else { return None };
    map.iter().find(|(name, _)| name == key).map(|(_, node)| node)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_kind_forges_no_finding() {
        let place = Location::whole(Path::new("a.yaml"));
        let forged = "x\nerror[components-invalid]: forged";
        let mut findings = Findings::default();
        unchecked("dapr.io/v9", forged, &place, &mut findings);
        unchecked(forged, forged, &place, &mut findings);
        for finding in findings.lines() {
            assert_eq!(finding.lines().count(), 2, "the second one is the help: {finding}");
        }
    }
}
