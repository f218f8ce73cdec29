//! The description and the types of the admin API (`daca_model::admin`) name the same fields and words.

use std::collections::BTreeMap;

use daca_base::ErrorCode;
use daca_model::admin::*;
use daca_model::backend::{EffectKind, EffectStatus, OutboxCounts, OutboxEntry};
use daca_model::deployment::{Canary, EventKind, Source, Timings};
use serde_json::{Value, json};

use super::*;

#[test]
fn the_description_lists_its_requests() {
    let requests = requests().expect("the document is read");
    assert!(requests.contains_key("GET /openapi.json") && requests.len() > 10, "{requests:?}");
}

#[test]
fn the_types_of_the_answers_are_described() {
    let document = document();
    let answer = |method: &str, path: &str| {
        document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"].clone()
    };
    let (pin, of_actor) = ("/agents/{agent_type}/pins/{actor_id}", "/effects/{agent_type}/{actor_id}");
    for (whole, least, schema) in [
        (json!(health()), json!(health()), answer("get", "/health")),
        (json!(agents(Some(120_000))), json!(agents(None)), answer("get", "/agents")),
        (json!(activations(Some(7))), json!(activations(None)), answer("get", "/activations")),
        (json!(top(Some(7))), json!(top(None)), answer("get", "/top")),
        (json!(effects(true)), json!(effects(false)), answer("get", "/outbox")),
        (json!(effect_actors(true)), json!(effect_actors(false)), answer("get", "/effects")),
        (json!(effect_actors(true)), json!(effect_actors(false)), answer("get", "/effects/{agent_type}")),
        (json!(actor_effects(true)), json!(actor_effects(false)), answer("get", of_actor)),
        (
            json!(effects_changed(true)),
            json!(effects_changed(false)),
            answer("post", &format!("{of_actor}/retry")),
        ),
        (
            json!(effects_changed(true)),
            json!(effects_changed(false)),
            answer("post", &format!("{of_actor}/discard")),
        ),
        (json!(versions(true)), json!(versions(false)), answer("get", "/versions")),
        (json!(change(true)), json!(change(false)), answer("put", pin)),
        (json!(refusal(true)), json!(refusal(false)), document["components"]["schemas"]["Error"].clone()),
    ] {
        assert_described(&document, &schema, &whole, &least);
    }
}

#[test]
fn the_types_of_the_requests_are_described() {
    let document = document();
    let body = |method: &str, path: &str| {
        document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"].clone()
    };
    let (version, label) = (DIGEST.to_owned(), Some("1.2".to_owned()));
    let whole = json!(VersionRequest { version: version.clone(), share: 5, label });
    let least = json!(VersionRequest { version: version.clone(), share: 100, label: None });
    assert_described(&document, &body("post", "/agents/{agent_type}/version"), &whole, &least);
    let force = json!(RollbackRequest { force: true });
    assert_described(&document, &body("post", "/agents/{agent_type}/rollback"), &force, &force);
    let whole = json!(EffectsChangeRequest { id: Some("ab-1-0".into()), all: true });
    let least = json!(EffectsChangeRequest { id: None, all: true });
    for action in ["retry", "discard"] {
        let path = format!("/effects/{{agent_type}}/{{actor_id}}/{action}");
        assert_described(&document, &body("post", &path), &whole, &least);
    }
    let pin = json!(PinRequest { version });
    assert_described(&document, &body("put", "/agents/{agent_type}/pins/{actor_id}"), &pin, &pin);
}

const DIGEST: &str = "3f2a91bc0d1e44553f2a91bc0d1e44553f2a91bc0d1e44553f2a91bc0d1e4455";

fn document() -> Value {
    json::read(DOCUMENT.as_bytes()).expect("the document is read")
}

/// Compares a schema with a value that has every field, and with one that has no more than it must.
fn assert_described(document: &Value, schema: &Value, whole: &Value, least: &Value) {
    assert!(schema.is_object(), "no schema describes {whole}");
    let whole = differences(document, schema, whole, "properties");
    let least = differences(document, schema, least, "required");
    assert!(whole.is_empty() && least.is_empty(), "{whole:#?} {least:#?}");
}

/// What a value has that a schema does not describe, and the described fields of this list that it does not have.
fn differences(document: &Value, schema: &Value, value: &Value, fields: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            document.pointer(reference.trim_start_matches('#')).expect("the reference leads somewhere");
        return differences(document, target, value, fields);
    }
    let mut found = Vec::new();
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.contains(value)) || !is_of_type(value, &schema["type"]) {
        found.push(format!("{value} is not as in {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(differences(document, &schema["items"], item, fields));
    }
    let Some(object) = value.as_object() else { return found };
    let names: Vec<&str> = match &schema[fields] {
        Value::Object(properties) => properties.keys().map(String::as_str).collect(),
        required => required.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let missing = names.into_iter().filter(|name| !object.contains_key(*name));
    found.extend(missing.map(|name| format!("{name} is missing in {value}")));
    for (name, value) in object {
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Null) => found.push(format!("{name} is not described")),
            (Value::Null, schema) | (schema, _) => {
                found.extend(differences(document, schema, value, fields));
            }
        }
    }
    found
}

fn is_of_type(value: &Value, types: &Value) -> bool {
    let own = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match types {
        Value::Array(types) => types.iter().any(|name| name == own),
        Value::Null => true,
        name => name == own,
    }
}

fn health() -> Health {
    Health {
        status: HealthStatus::ShuttingDown.into(),
        version: "0.1.0".into(),
        backend: "embedded".into(),
        turns_in_flight: 1,
        active_actors: 2,
        live_instances: 3,
        max_live_instances: 4,
        outbox: OutboxCounts::default(),
    }
}

fn agents(bytes: Option<u64>) -> Agents {
    let serving = ServingVersion {
        version: DIGEST.into(),
        label: "1.2".into(),
        share: 90,
        turns: 10,
        failed_turns: 2,
        faults: 1,
    };
    let agent = AgentInfo {
        agent_type: "ChatAgent".into(),
        component: "agent.wasm".into(),
        version: DIGEST.into(),
        bytes,
        active: 1,
        queued: 2,
        instances: 3,
        turns: 10,
        failed_turns: 2,
        faults: 1,
        instances_made: 5,
        versions: vec![serving],
    };
    Agents { agents: vec![agent] }
}

fn activations(idle_ms: Option<u64>) -> Activations {
    let activation = ActivationInfo {
        agent_type: "ChatAgent".into(),
        actor_id: "user1".into(),
        running: idle_ms.is_none(),
        queued: 0,
        instance: true,
        idle_ms,
        turns: 7,
    };
    Activations { active: 1, activations: vec![activation] }
}

fn top(measured: Option<u64>) -> Top {
    let of_type = TopType {
        agent_type: "ChatAgent".into(),
        weight: 1,
        processor_ms: measured,
        memory: measured,
        turns: 1,
        active: 1,
        queued: 0,
        instances: 1,
        log_bytes: 0,
        storage: measured,
        held_back: vec!["turns in flight".into()],
    };
    let of_pool =
        PoolShare { agent_type: "ChatAgent".into(), used: 1, share: 1, most: 1, waiting: 0, held_back: 1 };
    let totals = ActorTotals { processor_ms: 1, turns: 2, log_bytes: 3 };
    let actor = TopActor {
        agent_type: "ChatAgent".into(),
        actor_id: "user1".into(),
        running: true,
        queued: 0,
        instance: true,
        memory: 1,
        lately: totals,
        total: totals,
    };
    Top {
        clock_ms: 1,
        since_ms: 0,
        types: vec![of_type],
        actors: vec![actor],
        pools: vec![PoolInfo { name: "turns in flight".into(), capacity: 1, types: vec![of_pool] }],
    }
}

fn effects(whole: bool) -> Effects {
    let entry = |kind: EffectKind, status: EffectStatus| OutboxEntry {
        id: 1,
        identity: if whole { "ab-1-0".into() } else { String::new() },
        actor: "ChatAgent/user1".into(),
        turn: "ab-1".into(),
        kind,
        target: "pubsub/topic".into(),
        data: "{}".into(),
        metadata: whole.then(|| ("to".to_owned(), "+1".to_owned())).into_iter().collect(),
        status,
        attempts: 2,
        error: whole.then(|| "no".to_owned()),
        created_unix_ms: 1_700_000_000_000,
    };
    let entries = vec![
        entry(EffectKind::Publish, EffectStatus::Pending),
        entry(EffectKind::Send, EffectStatus::Failed),
        entry(EffectKind::Invoke, EffectStatus::Sent),
    ];
    Effects { counts: OutboxCounts { pending: 1, sent: 1, failed: 1 }, entries }
}

fn effect_actors(whole: bool) -> EffectActors {
    let actor = EffectActor {
        agent_type: "ChatAgent".into(),
        actor_id: "user1".into(),
        pending: 1,
        dead: 2,
        dead_since_unix_ms: whole.then_some(1_700_000_000_000),
        error: whole.then(|| "host-busy: no".to_owned()),
    };
    EffectActors { actors: vec![actor], next: whole.then(|| "ChatAgent/user1".to_owned()), left_out: 0 }
}

fn actor_effects(whole: bool) -> ActorEffects {
    let effect = |state: EffectState, kind: EffectKind| EffectInfo {
        id: "ab-1-0".into(),
        state: state.into(),
        kind: kind.into(),
        target: "pubsub/topic".into(),
        since_unix_ms: whole.then_some(1_700_000_000_000),
        attempts: 5,
        reason: whole.then(|| "no such topic".to_owned()),
        bytes: 2,
        data: whole.then(|| "{}".to_owned()),
        metadata: whole.then(|| ("to".to_owned(), "+1".to_owned())).into_iter().collect(),
    };
    ActorEffects {
        agent_type: "ChatAgent".into(),
        actor_id: "user1".into(),
        pending: 1,
        dead: 1,
        dead_since_unix_ms: whole.then_some(1_700_000_000_000),
        effects: vec![
            effect(EffectState::Dead, EffectKind::Send),
            effect(EffectState::Pending, EffectKind::Publish),
            effect(EffectState::GivenUp, EffectKind::Publish),
        ],
        next: whole.then_some(2),
    }
}

fn effects_changed(whole: bool) -> EffectsChanged {
    EffectsChanged {
        agent_type: "ChatAgent".into(),
        actor_id: "user1".into(),
        action: EffectsAction::Retry.into(),
        effects: vec!["ab-1-0".into()],
        not_dead: whole.then(|| NotDead::Gone.into()),
    }
}

fn versions(whole: bool) -> Versions {
    let of_type = TypeVersions {
        agent_type: "ChatAgent".into(),
        revision: 7,
        serving: DIGEST.into(),
        canary: whole.then(|| Canary { version: DIGEST.into(), share: 10 }),
        pins: BTreeMap::from([("user1".to_owned(), DIGEST.to_owned())]),
        versions: vec![version()],
        history: vec![event(whole, EventKind::Refused), event(whole, EventKind::RolledBack)],
    };
    let host = HostVersions {
        host: "a".into(),
        this: true,
        serving: BTreeMap::from([("ChatAgent".to_owned(), DIGEST.to_owned())]),
        seen_ms_ago: 0,
    };
    Versions { agents: vec![of_type], hosts: vec![host] }
}

fn version() -> VersionInfo {
    use VersionState::{Before, Canary, Kept, Mounted, Pinned, Serving};
    VersionInfo {
        version: DIGEST.into(),
        label: "1.2".into(),
        bytes: 120_000,
        since: "2026-03-01T10:00:00Z".into(),
        source: Mounted.to_string(),
        by: "/versions/agent.wasm".into(),
        state: [Serving, Canary, Pinned, Before, Kept, Mounted].map(Word::Known).into(),
        turns: 10,
        failed_turns: 2,
        faults: 1,
    }
}

fn event(whole: bool, kind: EventKind) -> VersionEvent {
    VersionEvent {
        at: "2026-03-01T10:00:00Z".into(),
        what: kind.into(),
        version: DIGEST.into(),
        source: Source::Api.into(),
        by: "ann@desk".into(),
        code: whole.then(|| ErrorCode::ComponentInvalid.to_string()),
        text: if whole { "it is cut short".to_owned() } else { String::new() },
    }
}

fn change(whole: bool) -> ChangeAnswer {
    ChangeAnswer {
        agent_type: "ChatAgent".into(),
        outcome: EventKind::Pinned.into(),
        version: DIGEST.into(),
        label: "1.2".into(),
        share: 0,
        before: whole.then(|| DIGEST.to_owned()),
        revision: 7,
        stored_again: whole,
        milliseconds: Timings { check: 140, total: 200 },
        warnings: if whole { vec![refusal(true)] } else { Vec::new() },
    }
}

fn refusal(whole: bool) -> Refusal {
    let (detail, code) = ("It is cut short.".to_owned(), Some(ErrorCode::ComponentInvalid.to_string()));
    Refusal { detail, code, help: whole.then(|| "build it again".to_owned()) }
}
