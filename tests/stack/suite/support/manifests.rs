//! The manifests of the hosts.

pub(crate) use daca_stack::manifests::{kafka_input, route};
use daca_tests::{default_manifest, exerciser_with, guest, replaced};

/// The manifest of the project with the component's path made absolute, and with parts replaced, which must be there.
pub(crate) fn manifest(replacements: &[(&str, &str)]) -> anyhow::Result<String> {
    replacements.iter().try_fold(default_manifest(), |text, (part, by)| replaced(&text, part, by))
}

/// A manifest with the agent type `Exerciser`, which may do what tests ask of it with this stack's components; `more` are
/// further lines, which start inside the agent's table, and may open others.
pub(crate) fn exerciser(more: &str) -> String {
    exerciser_with(&["twilio-binding/create", "recorder/post"], &["twilio-credentials", "absent"], more)
}

/// A manifest with the guest `ledger`, which keeps each number that it is told: by `POST /ledger/ID` and by Kafka. `announce`
/// says whether it tells the world, by an `event`, an `sms`, or both; `host` has further lines of `[host]`.
pub(crate) fn ledger_manifest(announce: &str, host: &str) -> String {
    const ENTRIES: &str = r#"reply = { entries = "{reply}" }"#;
    let component = guest("ledger");
    let component = component.display();
    let agent = format!(
        r#"
[host]
{host}

[agents.Ledger]
component = "{component}"
settings = {{ announce = "{announce}" }}
effects = {{ backoff-max = "5s" }}
permissions = {{ publish = ["daca-pubsub/ledger"], bindings = ["twilio-binding/create"] }}
"#
    );
    [
        agent,
        route("POST", "/ledger/{actor_id}", "Ledger", "Add", ENTRIES),
        route("GET", "/ledger/{actor_id}", "Ledger", "Entries", ENTRIES),
        kafka_input("Ledger", "Add", ENTRIES, "attempts = 3"),
    ]
    .concat()
}
