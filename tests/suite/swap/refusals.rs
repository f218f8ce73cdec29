//! Every refusal, with its code: the version before keeps serving, and the refusal can be seen.

use daca_tests::deploy::{another, component, refusal, swapped, version_of};
use daca_tests::{Answer, Host, exchange};
use reqwest::Method;
use serde_json::{Value, json};

/// The version that serves while others are refused, with little time, and with a setting that the guest `loops` looks at.
fn manifest() -> String {
    swapped("limits = { running-time = \"300ms\" }\nsettings = { loop-in-activate = \"yes\" }")
}

/// Asserts what every refusal says, and that it changed nothing.
async fn assert_refused(
    host: &Host,
    what: &str,
    answer: &Answer,
    expected: (u16, &str),
) -> anyhow::Result<()> {
    assert_eq!(refusal(answer), expected, "{what}: {answer:?}");
    assert_eq!(answer.body["code"], expected.1, "{what}");
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}: {answer:?}");
    assert_eq!(host.serving("a").await?, "v1", "after {what}");
    Ok(())
}

#[tokio::test]
async fn a_component_that_is_no_good_is_refused_with_its_code_and_shown_as_refused() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    let whole = component("swapped_v2")?;
    let text = |text: &str| anyhow::Ok(wat::parse_str(text)?);
    let exporting = |version: &str| {
        format!("(component (instance $e) (export \"daca:agent/actor@{version}\" (instance $e)))")
    };
    let importing = "(component (import \"acme:tools/magic@1.0.0\" (instance (export \"cast\" (func))))
        (instance $e) (export \"daca:agent/actor@0.1.0\" (instance $e)))";
    let cases = [
        ("a core module", text("(module)")?, "", (422, "component-is-module")),
        ("empty", Vec::new(), "", (422, "component-invalid")),
        ("text", b"Hello".to_vec(), "", (422, "component-invalid")),
        ("cut short", whole[..whole.len() / 2].to_vec(), "", (422, "component-invalid")),
        ("of another contract", text(&exporting("0.0.9"))?, "", (422, "component-contract-version")),
        ("an unknown import", text(importing)?, "", (422, "component-unknown-import")),
        ("no export", text("(component)")?, "", (422, "component-lacks-export")),
        ("traps when it is activated", component("swapped_fails_activate")?, "", (422, "trial-failed")),
        ("never ends being activated", component("loops")?, "", (422, "trial-failed")),
        ("a label too long", whole.clone(), &format!("label={}", "x".repeat(65)), (400, "label-invalid")),
        ("a label of control characters", whole.clone(), "label=a%0Ab", (400, "label-invalid")),
        ("a label not its own", component("swapped_migrates")?, "label=9", (400, "label-invalid")),
    ];
    for (what, wasm, query, expected) in cases {
        for query in [query.to_owned(), format!("{query}&share=10")] {
            let answer = host.deploy(&wasm, &query).await?;
            assert_refused(&host, what, &answer, expected).await?;
            assert!(answer.body["help"].is_string(), "{what}: {answer:?}");
            let event = host.last_event().await?;
            let noted = ["what", "version", "code"].map(|part| event[part].clone());
            assert_eq!(noted, [json!("refused"), json!(version_of(&wasm)), json!(expected.1)], "{what}");
        }
    }
    let versions = host.versions().await?;
    assert_eq!((&versions["revision"], versions["versions"].as_array().map(Vec::len)), (&json!(1), Some(1)));
    Ok(())
}

/// Shares that are none, and a share of the version that serves already.
async fn refuses_senseless_shares(host: &Host, wasm: &[u8]) -> anyhow::Result<()> {
    for (share, expected) in [
        ("0", (400, "share-invalid")),
        ("101", (400, "share-invalid")),
        ("300", (400, "query-invalid")),
        ("half", (400, "query-invalid")),
        ("10&shard=1", (400, "query-invalid")),
    ] {
        let answer = host.deploy(wasm, &format!("share={share}")).await?;
        assert_refused(host, share, &answer, expected).await?;
    }
    let answer = host.deploy(&component("swapped_v1")?, "share=10").await?;
    assert_refused(host, "a share of what serves", &answer, (400, "share-invalid")).await
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_its_code() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    let wasm = component("swapped_v2")?;
    let known = version_of(&component("swapped_v1")?);
    // Another version whose digest begins with the same digit, which does not serve.
    let twin = (0..=u8::MAX).map(|number| another(&wasm, number));
    let twin = twin.into_iter().find(|twin| version_of(twin)[..1] == known[..1]).unwrap_or_default();
    assert_eq!(host.deploy(&twin, "").await?.status, 200);
    assert_eq!(host.deploy_kept(&known, 100).await?.status, 200);
    let path = "/agents/Swapped/version";
    let before = host.versions().await?;

    refuses_senseless_shares(&host, &wasm).await?;
    let of_version = |version: &str| json!({ "version": version }).to_string();
    let unknown = (404, "version-unknown");
    let pin = "/agents/Swapped/pins/a";
    let cases = [
        (Method::PUT, "/agents/Nobody/component", String::new(), (404, "agent-type-unknown")),
        (Method::POST, "/agents/Nobody/version", of_version("ab"), (404, "agent-type-unknown")),
        (Method::POST, "/agents/Nobody/rollback", "{}".into(), (404, "agent-type-unknown")),
        (Method::PUT, "/agents/Nobody/pins/a", of_version("ab"), (404, "agent-type-unknown")),
        (Method::GET, "/versions?type=Nobody", String::new(), (404, "agent-type-unknown")),
        (Method::POST, path, of_version(&"0".repeat(64)), unknown),
        (Method::POST, path, of_version(&known[..1]), unknown),
        (Method::POST, path, of_version(""), unknown),
        (Method::POST, path, of_version("../record"), unknown),
        (Method::PUT, pin, of_version(&"0".repeat(64)), unknown),
        (Method::PUT, pin, of_version(&known[..1]), unknown),
        (Method::PUT, pin, of_version(""), unknown),
        (Method::DELETE, pin, String::new(), (404, "not-pinned")),
        (Method::POST, path, "version".into(), (400, "body-not-json")),
        (Method::POST, path, "[".repeat(129) + &"]".repeat(129), (400, "body-too-deep")),
        (Method::POST, path, "{}".into(), (400, "body-field-invalid")),
        (
            Method::POST,
            path,
            json!({"version": known, "share": 300}).to_string(),
            (400, "body-field-invalid"),
        ),
        (Method::POST, path, json!({"version": known, "shard": 1}).to_string(), (400, "body-field-invalid")),
        (Method::POST, "/agents/Swapped/rollback", "now".into(), (400, "body-not-json")),
        (Method::PUT, pin, "[]".into(), (400, "body-not-object")),
        // serde would take the fields of a struct in a list.
        (Method::PUT, pin, json!([known]).to_string(), (400, "body-not-object")),
        (Method::POST, path, json!([known, 100, null]).to_string(), (400, "body-not-object")),
        (Method::POST, "/agents/Swapped/rollback", "[true]".into(), (400, "body-not-object")),
    ];
    for (method, path, body, expected) in cases {
        let answer = host.send_admin(method.clone(), path, body.clone()).await?;
        assert_refused(&host, &format!("{method} {path} {body}"), &answer, expected).await?;
    }
    let after = host.versions().await?;
    for part in ["revision", "serving", "canary", "pins"] {
        assert_eq!(after[part], before[part]);
    }
    Ok(())
}

/// The version is good, or it would not serve: its history says nothing of a request that was wrong.
#[tokio::test]
async fn a_wrong_label_is_no_refusal_of_the_version_that_serves() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    let serving = component("swapped_v1")?;
    for query in [format!("label={}", "x".repeat(65)).as_str(), "label=a%0Ab"] {
        let answer = host.deploy(&serving, query).await?;
        assert_refused(&host, query, &answer, (400, "label-invalid")).await?;
    }
    assert_eq!(host.versions().await?["history"].as_array().map(Vec::len), Some(1));
    Ok(())
}

/// Refused by what the request says of itself: nobody has to send a quarter of a gigabyte to hear that it is too much.
#[tokio::test]
async fn a_component_beyond_the_limit_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let host = Host::start(&manifest()).await?;
    let head = format!(
        "PUT /agents/Swapped/component HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        256 * 1024 * 1024 + 1
    );
    let answer = Answer::of_text(&exchange(&host.admin, head.as_bytes())?)?;
    assert_refused(&host, "too large", &answer, (413, "component-too-large")).await?;
    assert_eq!(host.versions().await?["history"].as_array().map(Vec::len), Some(1));
    assert_ne!(answer.body["help"], Value::Null);
    Ok(())
}
