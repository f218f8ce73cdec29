//! A component that imports in vain: interfaces that the host does not offer, or for which the manifest permits nothing.

use std::sync::Arc;

use daca_tests::deploy::another;
use daca_tests::{Host, run_in};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const CODES: [&str; 2] = ["component-not-permitted", "component-import-absent"];

#[tokio::test]
async fn what_is_imported_in_vain_is_a_warning_and_its_call_a_trap() -> anyhow::Result<()> {
    let folder = Arc::new(TempDir::new()?);
    let wasm = wat::parse_str(include_str!("absent.wat"))?;
    std::fs::write(folder.path().join("agent.wasm"), &wasm)?;
    let manifest = "[agents.A]\ncomponent = \"agent.wasm\"\n\n[[routes]]\nmethod = \"POST\"\npath = \"/size/{id}\"\n\
                    agent = \"A\"\ncall = \"count\"\nactor-id = { path = \"id\" }\npayload = \"none\"\n";
    std::fs::write(folder.path().join("agents.toml"), manifest)?;
    let checked = run_in(folder.path(), ["check"]).await?;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    for code in CODES {
        assert!(checked.stderr.contains(&format!("warning[{code}]")), "{}", checked.stderr);
    }

    let host = Host::start_in(folder.clone(), manifest).await?;
    for code in CODES {
        let line = host.wait_for_log(code, |line| line["code"] == code).await?;
        assert_eq!(line["level"], "WARN");
    }
    // Without a payload there is none, whoever calls.
    assert_eq!(host.call("A/a", "count", &Value::Null).await?, json!(4));
    let admin = host.admin.trim_start_matches("http://");
    let invoked = run_in(folder.path(), ["invoke", "--admin", admin, "A/a", "count"]).await?;
    assert_eq!((invoked.code, invoked.stdout.as_str()), (Some(0), "0\n"), "{}", invoked.stderr);
    assert_eq!(host.post("/size/a", &json!({"a": 1})).await?.body, json!(0));

    let trapped = host.invoke("A/a", "http", &Value::Null).await?;
    assert_eq!(trapped.outcome(), (500, Some("guest-trapped")), "{trapped:?}");
    assert!(trapped.detail().contains("wasi:http/outgoing-handler@0.2.0"), "{trapped:?}");
    assert_eq!(host.call("A/a", "count", &Value::Null).await?, json!(4), "the next turn");

    let deployed = host.send_admin(Method::PUT, "/agents/A/component", another(&wasm, 1)).await?;
    assert_eq!(deployed.status, 200, "{deployed:?}");
    let warned = deployed.body["warnings"].as_array().cloned().unwrap_or_default();
    assert_eq!(warned.iter().map(|one| one["code"].clone()).collect::<Vec<_>>(), CODES);
    Ok(())
}
