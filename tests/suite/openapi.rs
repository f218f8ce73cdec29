//! The description of the admin API is true: every request that it lists is there, and answers as it says.

use anyhow::Context as _;
use daca_tests::deploy::{another, component, done, swapped, version_of};
use daca_tests::{Host, default_manifest, exerciser};
use reqwest::Method;
use serde_json::{Value, json};

/// Fails where a value is not what a schema says, or has what the schema does not name.
fn conforms(value: &Value, schema: &Value, document: &Value, place: &str) -> anyhow::Result<()> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            document.pointer(reference.trim_start_matches('#')).context("the reference leads nowhere")?;
        return conforms(value, target, document, place);
    }
    if let Some(allowed) = schema["enum"].as_array() {
        anyhow::ensure!(allowed.contains(value), "{place}: {value} is none of {allowed:?}");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect::<Vec<_>>(),
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    anyhow::ensure!(
        types.is_empty() || types.iter().any(|name| is(name)),
        "{place}: {value} is no {types:?}"
    );
    for item in value.as_array().into_iter().flatten() {
        conforms(item, &schema["items"], document, &format!("{place}[]"))?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        anyhow::ensure!(object.contains_key(name), "{place}: {name} is missing: {value}");
    }
    for (name, value) in object {
        let schema = match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => schema,
            // Whatever an object has.
            (None, Value::Null) if schema["properties"].is_null() => continue,
            (None, Value::Null) => anyhow::bail!("{place}: {name} is not described"),
            (None, additional) => additional,
        };
        conforms(value, schema, document, &format!("{place}.{name}"))?;
    }
    Ok(())
}

/// What the description says of the answer 200 to a request.
fn schema_of<'a>(document: &'a Value, method: &Method, path: &str) -> anyhow::Result<&'a Value> {
    let operation = &document["paths"][path][method.as_str().to_lowercase()];
    let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
    anyhow::ensure!(schema.is_object(), "{method} {path} is not described");
    Ok(schema)
}

#[tokio::test]
async fn every_request_that_is_described_is_there_and_answers_as_it_says() -> anyhow::Result<()> {
    let host = Host::start(&default_manifest()).await?;
    host.post("/chat/user1", &json!({"role": "user", "content": "Hi"})).await?;
    let document = host.get_admin("/openapi.json").await?.body;
    let index = host.get_admin("/").await?.body;
    let paths = document["paths"].as_object().context("it has paths")?;
    let mut described = 0;
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().context("a path has operations")? {
            described += 1;
            let request = format!("{} {path}", method.to_uppercase());
            assert_eq!(index[&request], operation["summary"], "{request}");
            let filled =
                path.replace("{agent_type}", "Nobody").replace("{actor_id}", "a").replace("{method}", "None");
            let answer =
                host.send_admin(Method::from_bytes(method.to_uppercase().as_bytes())?, &filled, "").await?;
            let responses = &operation["responses"];
            let content = match answer.status.as_u16() {
                200 => &responses["200"]["content"],
                _ => &responses["default"]["content"],
            };
            if let Some(schema) = content.get("application/json").map(|content| &content["schema"]) {
                conforms(&answer.body, schema, &document, &request)?;
            }
            assert!(answer.status == 200 || filled != *path, "{request}: {answer:?}");
            assert!(
                !["route-unknown", "method-not-allowed"]
                    .contains(&answer.code.as_deref().unwrap_or_default()),
                "{request}"
            );
        }
    }
    assert_eq!(index.as_object().map(serde_json::Map::len), Some(described));
    Ok(())
}

/// One change after the other, so that every outcome is there, and after each what serves.
#[tokio::test]
async fn every_change_that_is_made_answers_as_described() -> anyhow::Result<()> {
    let host = Host::start(&swapped("")).await?;
    let document = host.get_admin("/openapi.json").await?.body;
    let first = component("swapped_v1")?;
    let second = another(&first, 2);
    let named = |component: &[u8]| json!({ "version": version_of(component) }).to_string().into_bytes();
    let changes = [
        (Method::PUT, "component", "?share=10", second.clone(), "canary"),
        (Method::PUT, "component", "", second.clone(), "promoted"),
        (Method::PUT, "component", "?share=100", second.clone(), "unchanged"),
        (Method::POST, "rollback", "", b"{}".to_vec(), "rolled-back"),
        (Method::POST, "version", "", named(&second), "deployed"),
        (Method::PUT, "pins/{actor_id}", "", named(&first), "pinned"),
        (Method::DELETE, "pins/{actor_id}", "", Vec::new(), "unpinned"),
    ];
    for (method, path, query, body, outcome) in changes {
        let described = format!("/agents/{{agent_type}}/{path}");
        let filled = described.replace("{agent_type}", "Swapped").replace("{actor_id}", "a");
        let answer = done(host.send_admin(method.clone(), &format!("{filled}{query}"), body).await?)?;
        assert_eq!(answer["outcome"], outcome, "{method} {filled}{query}: {answer}");
        conforms(&answer, schema_of(&document, &method, &described)?, &document, outcome)?;
        for path in ["/versions", "/agents"] {
            let shown = done(host.get_admin(path).await?)?;
            let place = format!("{path} after {outcome}");
            conforms(&shown, schema_of(&document, &Method::GET, path)?, &document, &place)?;
        }
    }
    Ok(())
}

/// A client that is made from the description relies on the code in the body, whoever failed.
#[tokio::test]
async fn an_error_of_the_agent_itself_has_the_form_that_is_described() -> anyhow::Result<()> {
    let host = Host::start(&exerciser("")).await?;
    let document = host.get_admin("/openapi.json").await?.body;
    let error = &document["components"]["schemas"]["Error"];
    for (method, payload, code) in
        [("Fail", json!({"fault": "invalid"}), "invalid"), ("NoSuchMethod", Value::Null, "not-found")]
    {
        let answer = host.invoke("Exerciser/a", method, &payload).await?;
        conforms(&answer.body, error, &document, method)?;
        assert_eq!((answer.body["code"].as_str(), answer.code.as_deref()), (Some(code), Some(code)));
    }
    Ok(())
}

/// The requests of the router's code, so that none is forgotten in the description.
#[test]
fn every_route_of_the_code_is_described() -> anyhow::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/server/src");
    let document = std::fs::read_to_string(folder.join("openapi.json"))?;
    let document = serde_json::from_str::<Value>(&document)?;
    let mut found = 0;
    for file in ["admin.rs", "backup.rs", "deploy.rs", "effects.rs", "logs.rs", "upload.rs"] {
        let source = std::fs::read_to_string(folder.join(file))?;
        for rest in source.split(".route(").skip(1) {
            let route = rest.split('"').nth(1).unwrap_or_default();
            found += 1;
            assert!(document["paths"].get(route).is_some(), "{file}: {route}");
        }
    }
    assert_eq!(document["paths"].as_object().map(serde_json::Map::len), Some(found));
    Ok(())
}
