//! Agents that are scripts: a deployment of some text serves, keeps every rule of components, and says what is wrong
//! in the lines of its file.

use std::sync::Arc;

use anyhow::Context as _;
use daca_tests::deploy::refusal;
use daca_tests::{Host, eventually, metrics, run_in};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

const COUNTER: &str = r#"
import { actorId, agent, Invalid, publish, reminders, state } from "@daca/sdk";

interface Step { by: number }
enum Kind { Plain = "plain" }

class Counter {
  made = Math.random();
  async Add({ by }: Step): Promise<{ count: number, kind: Kind, id: string }> {
    if (!Number.isInteger(by)) throw new Invalid("not a whole number");
    const count = await later(state.get<number>("count", 0) + by);
    state.set("count", count);
    publish("pubsub/counted", { count });
    if (count > 100) throw new Error("too many");
    return { count, kind: Kind.Plain, id: actorId() };
  }
  Count() { return state.get("count", 0); }
  Drawn() { return [this.made, Math.random(), crypto.randomUUID()]; }
  Globals() {
    console.warn("said", { a: 1 });
    const url = new URL("https://example.com/a?b=c");
    return [url.searchParams.get("b"), structuredClone({ x: [1n.toString()] }), new TextDecoder().decode(new TextEncoder().encode("é€😀"))];
  }
  Broken() { return thrower(undefined); }
  Logged() {
    try { thrower(undefined); } catch (e) { console.error("caught", e); }
  }
  Chained() {
    return [1].map((n): any => n)
      .map((n) =>
        n.lacks.it);
  }
  async Forgets() { this.Half(); return "ok"; }
  async Half() { state.set("count", 99); throw new Error("unheard"); }
  async Gathers() { return await Array.fromAsync([later(1), 2]); }
  async Awaits() {
    let sum = 0;
    for (let n = 0; n < 20_000; n++) sum += (await n) + (await Promise.resolve(n)) + (await later(n));
    for await (const n of numbers(5_000)) sum += n;
    return sum;
  }
  Null() { throw Object.create(null); }
  Key() { return state.get(5 as any); }
  Spin() { for (;;) {} }
  Denied() { publish("pubsub/other", 1); }
  Remind() { reminders.register("soon", { due: 0 }, { by: 5 }); }
  async onReminder(name: string, data: Step) { await this.Add(data); }
}

async function* numbers(count: number) { for (let n = 0; n < count; n++) yield await later(n); }
async function later<T>(value: T): Promise<T> { return value; }

function thrower(value: any) {
  return value.missing;
}

export default agent(Counter);
"#;

const PERMISSIONS: &str = r#"
[agents.Counter.permissions]
publish = ["pubsub/counted"]
"#;

struct Place {
    folder: Arc<TempDir>,
    host: Host,
}

impl Place {
    async fn start(more: &str) -> anyhow::Result<Place> {
        let folder = Arc::new(TempDir::new()?);
        std::fs::write(folder.path().join("counter.ts"), COUNTER)?;
        let manifest = format!("[agents.Counter]\ncomponent = \"counter.ts\"\n{more}\n{PERMISSIONS}");
        let host = Host::start_in(folder.clone(), &manifest).await?;
        Ok(Place { folder, host })
    }

    async fn call(&self, id: &str, method: &str, payload: Value) -> anyhow::Result<Value> {
        let answer = self.host.invoke(&format!("Counter/{id}"), method, &payload).await?;
        anyhow::ensure!(answer.status == 200, "{method}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    async fn deploy(&self, script: &str) -> anyhow::Result<daca_tests::Answer> {
        self.deploy_as("", script).await
    }

    /// `query` is empty, or begins with `?`.
    async fn deploy_as(&self, query: &str, script: &str) -> anyhow::Result<daca_tests::Answer> {
        let path = format!("/agents/Counter/component{query}");
        self.host.send_admin(Method::PUT, &path, script.to_owned()).await
    }

    /// Waits until the log has the stack of `Broken` with this name of the file, and the line.
    async fn until_broken_in(&self, file: &str) -> anyhow::Result<()> {
        let answer = self.host.invoke("Counter/a", "Broken", &Value::Null).await?;
        assert_eq!(answer.outcome(), (500, Some("failed")));
        let line =
            1 + COUNTER.lines().position(|line| line.contains("value.missing")).context("it is there")?;
        let frame = format!("thrower ({file}:{line})");
        self.host.wait_for_log(&frame, |log| log.to_string().contains(&frame)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_script_is_an_agent_like_any_other() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    let added = place.call("a", "Add", json!({ "by": 2 })).await?;
    assert_eq!(added, json!({ "count": 2, "kind": "plain", "id": "a" }));
    let refused = place.host.invoke("Counter/a", "Add", &json!({ "by": "x" })).await?;
    assert_eq!(refused.outcome(), (400, Some("invalid")));
    let broken = place.host.invoke("Counter/a", "Add", &json!({ "by": 200 })).await?;
    assert_eq!(broken.outcome(), (500, Some("failed")));
    assert_eq!(place.call("a", "Count", Value::Null).await?, 2, "a turn that throws leaves nothing");

    let globals = place.call("a", "Globals", Value::Null).await?;
    assert_eq!(globals, json!(["c", { "x": ["1"] }, "é€😀"]));
    place.host.wait_for_message("said {\"a\":1}").await?;

    place.call("r", "Remind", Value::Null).await?;
    eventually("the reminder fires", async || Ok(place.call("r", "Count", Value::Null).await? == 5)).await?;
    let denied = place.host.invoke("Counter/a", "Denied", &Value::Null).await?;
    assert_eq!(denied.status, 500, "{:?}", denied.body);
    place.host.wait_for_log("the refusal", |line| line["code"] == "denied").await?;
    Ok(())
}

#[tokio::test]
async fn any_number_of_awaits_is_possible_and_any_fault_is_a_failure() -> anyhow::Result<()> {
    let place = Place::start("limits = { running-time = \"10s\" }").await?;
    assert_eq!(place.call("a", "Awaits", Value::Null).await?, 3 * (20_000 * 19_999 / 2) + 5_000 * 4_999 / 2);
    for method in ["Null", "Key"] {
        let answer = place.host.invoke("Counter/a", method, &Value::Null).await?;
        assert_eq!(answer.outcome(), (500, Some("failed")), "{method}");
    }
    place.host.wait_for_log("the fault", |log| log.to_string().contains("the key must be a string")).await?;
    Ok(())
}

#[tokio::test]
async fn every_instance_of_a_script_has_its_own_randomness() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    let (a, b) = (place.call("a", "Drawn", Value::Null).await?, place.call("b", "Drawn", Value::Null).await?);
    for at in 0..3 {
        assert_ne!(a[at], b[at]);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_script_throws_is_said_with_the_lines_of_its_file() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    place.until_broken_in("counter.ts").await?;
    for (query, name, number) in [("?file=w%C3%A4hler.js", "wähler.js", 1), ("", "script", 2)] {
        let deployed = place.deploy_as(query, &format!("{COUNTER}// {number}")).await?;
        assert_eq!(deployed.status, 200, "{:?}", deployed.body);
        place.until_broken_in(name).await?;
    }
    // A version keeps its name, on a host that starts again, too.
    let again = place.deploy_as("?file=other.js", &format!("{COUNTER}// 1")).await?;
    assert_eq!(again.status, 200, "{:?}", again.body);
    let Place { folder, host } = place;
    let manifest = std::fs::read_to_string(folder.path().join("agents.toml"))?;
    host.stop().await?;
    let host = Host::start_in(folder.clone(), &manifest).await?;
    Place { folder, host }.until_broken_in("wähler.js").await
}

/// A route whose method may be missing.
const ROUTE: &str = r#"
[[routes]]
method = "POST"
path = "/broken/{id}"
agent = "Counter"
call = "Broken"
actor-id = { path = "id" }
"#;

#[tokio::test]
async fn a_caller_of_a_route_sees_what_was_thrown_and_not_where() -> anyhow::Result<()> {
    let place = Place::start(ROUTE).await?;
    let answer = place.host.post("/broken/a", &Value::Null).await?;
    assert_eq!(answer.outcome(), (500, Some("failed")));
    assert!(!answer.detail().is_empty() && !answer.detail().contains("counter.ts"), "{}", answer.detail());
    place.until_broken_in("counter.ts").await?;
    Ok(())
}

#[tokio::test]
async fn a_script_without_a_method_of_a_route_is_deployed_with_a_warning() -> anyhow::Result<()> {
    let place = Place::start(ROUTE).await?;
    // Whoever writes a script names its methods.
    let deployed = place.deploy(&COUNTER.replace("Broken()", r#""Mended\nINFO forged"()"#)).await?;
    assert_eq!(deployed.status, 200, "{:?}", deployed.body);
    assert_eq!(deployed.body["warnings"][0]["code"], "script-lacks-method", "{:?}", deployed.body);
    let line = place.host.wait_for_log("the warning", |line| line["code"] == "script-lacks-method").await?;
    assert!(line["message"].as_str().is_some_and(|text| !text.contains('\n')), "{line}");
    Ok(())
}

#[tokio::test]
async fn a_fault_is_in_the_log_with_its_stack_and_its_caller_reads_what_is_wrong() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    let line_of = |text: &str| COUNTER.lines().position(|line| line.contains(text)).map(|line| line + 1);
    let broken = place.host.invoke("Counter/a", "Broken", &Value::Null).await?;
    assert!(broken.detail().starts_with("TypeError: "), "{}", broken.detail());
    assert!(!broken.detail().contains("counter.ts"), "{}", broken.detail());

    place.call("a", "Logged", Value::Null).await?;
    let logged = format!("at Logged (counter.ts:{})", line_of("console.error").context("it is there")?);
    place
        .host
        .wait_for_log(&logged, |log| {
            let text = log.to_string();
            text.contains("caught TypeError") && text.contains(&logged)
        })
        .await?;

    // What is written in several lines, and printed in one.
    let chained = place.host.invoke("Counter/a", "Chained", &Value::Null).await?;
    assert_eq!(chained.outcome(), (500, Some("failed")));
    let frame = format!("at counter.ts:{}", line_of("n.lacks").context("it is there")?);
    place.host.wait_for_log(&frame, |log| log.to_string().contains(&frame)).await?;
    Ok(())
}

#[tokio::test]
async fn a_promise_that_is_rejected_without_a_reaction_fails_the_turn() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    let answer = place.host.invoke("Counter/a", "Forgets", &Value::Null).await?;
    assert_eq!(answer.outcome(), (500, Some("failed")));
    assert_eq!(place.call("a", "Count", Value::Null).await?, 0, "nothing of it is kept");
    let line = 1 + COUNTER.lines().position(|line| line.contains("unheard")).context("it is there")?;
    let frame = format!("counter.ts:{line}");
    place
        .host
        .wait_for_log(&frame, |log| {
            let text = log.to_string();
            text.contains("caused by Error: unheard") && text.contains(&frame)
        })
        .await?;
    assert_eq!(place.call("a", "Gathers", Value::Null).await?, json!([1, 2]));
    Ok(())
}

#[tokio::test]
async fn a_name_of_a_file_is_short_and_leads_nowhere() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    for query in ["?file=", "?file=..%2Fa.js", "?file=a%0Ab.js", &format!("?file={}", "x".repeat(129))] {
        let refused = place.deploy_as(query, COUNTER).await?;
        assert_eq!(refusal(&refused), (400, "query-invalid"), "{query}: {:?}", refused.body);
    }
    let broken =
        place.deploy_as("?file=broken.ts", &COUNTER.replace("class Counter {", "class Counter {{")).await?;
    assert!(broken.detail().contains("broken.ts:"), "{}", broken.detail());
    Ok(())
}

#[tokio::test]
async fn a_migration_whose_keys_cannot_be_named_fails_with_the_stack() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    place.call("a", "Add", json!({ "by": 2 })).await?;
    let migrates = COUNTER
        .replace("  Count() {", "  migrate(state: Map<string, unknown>) { return state; }\n  Count() {");
    for (migrates_what, said) in [
        ("() => thrower(undefined)", "thrower (counter.ts:"),
        ("async () => { throw new Error('said later'); }", "said later"),
        ("() => [5]", "a key that migrates returns must be a string"),
    ] {
        let options = format!("agent(Counter, {{ schema: \"2\", migrates: ({migrates_what}) as any }})");
        let script = migrates.replace("agent(Counter)", &options);
        let deployed = place.deploy_as("?file=counter.ts", &script).await?;
        assert_eq!(deployed.status, 200, "{:?}", deployed.body);
        let answer = place.host.invoke("Counter/a", "Count", &Value::Null).await?;
        assert_eq!(answer.outcome(), (500, Some("failed")), "{migrates_what}");
        place.host.wait_for_log(said, |log| log.to_string().contains(said)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_script_that_spins_is_ended_and_its_neighbours_are_served() -> anyhow::Result<()> {
    let place = Place::start("limits = { running-time = \"200ms\" }").await?;
    let spun = place.host.invoke("Counter/a", "Spin", &Value::Null).await?;
    assert_eq!(spun.outcome(), (500, Some("running-time-exceeded")));
    assert_eq!(place.call("a", "Add", json!({ "by": 1 })).await?["count"], 1);
    Ok(())
}

#[tokio::test]
async fn a_new_script_serves_with_the_state_of_the_old_one_and_is_rolled_back() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    place.call("a", "Add", json!({ "by": 2 })).await?;
    let deployed = place.deploy(&COUNTER.replace("+ by)", "+ 10 * by)")).await?;
    assert_eq!(deployed.status, 200, "{:?}", deployed.body);
    assert_eq!(place.call("a", "Add", json!({ "by": 1 })).await?["count"], 12);
    let back = place.host.send_admin(Method::POST, "/agents/Counter/rollback", "{}").await?;
    assert_eq!(back.status, 200, "{:?}", back.body);
    assert_eq!(place.call("a", "Add", json!({ "by": 1 })).await?["count"], 13);

    // The next start has the script from its own store.
    let Place { folder, host } = place;
    let manifest = std::fs::read_to_string(folder.path().join("agents.toml"))?;
    host.stop().await?;
    let host = Host::start_in(folder, &manifest).await?;
    assert_eq!(host.invoke("Counter/a", "Count", &Value::Null).await?.body, 13);
    Ok(())
}

#[tokio::test]
async fn a_script_that_cannot_serve_is_refused_with_its_line_and_the_old_one_serves() -> anyhow::Result<()> {
    let place = Place::start("").await?;
    let deep = format!("{COUNTER}\nconst deep = {}1;", "(".repeat(400_000));
    for (script, place_of_fault) in [
        (COUNTER.replace("class Counter {", "class Counter {{"), ":"),
        (COUNTER.replace("export default agent(Counter);", "export default Counter;"), ""),
        (format!("import {{ z }} from \"zod\";{COUNTER}"), ":1:19"),
        (COUNTER.replace("reminders, state }", "remiders, state }"), ":2:44"),
        (format!("{COUNTER}\nconst m = () => import(\"zod\");"), "`import()`"),
        (format!("{COUNTER}\nlet babelHelpers;"), "reserved"),
        (format!("{COUNTER}\nconst q = 1; q = 2;"), ":14: `q` is a constant"),
        (format!("{COUNTER}\nexport {{ nosuch }};"), ":10: `nosuch`"),
        (COUNTER.replace("made = Math.random();", "made = thrower(undefined);"), "at thrower (script:"),
        (
            COUNTER.replace("made = Math.random();", "constructor() { Promise.reject(5); }"),
            "nothing waits for it",
        ),
        (format!("{COUNTER}\nawait 1;"), ":"),
        (format!("{COUNTER}\nthrow new Error(\"at the top\");"), "at the top"),
        (deep, "nested"),
    ] {
        let answer = place.deploy(&script).await?;
        assert_eq!(refusal(&answer), (422, "script-invalid"), "{:?}", answer.body);
        assert!(answer.detail().contains(place_of_fault), "{}", answer.detail());
    }
    let spins = place.deploy(&format!("{COUNTER}\nfor (;;) {{}}")).await?;
    assert_eq!(refusal(&spins), (422, "script-invalid"), "{:?}", spins.body);
    let page = place.host.get_admin("/metrics").await?.body;
    let used = metrics::sum(page.as_str().unwrap_or_default(), &["daca_processor_seconds_total"], |_| true);
    assert!(used > 0.5, "the evaluation counts as its type's time, and not {used} s");
    let other = place.deploy(&COUNTER.replace("state }", "secrets, state }")).await?;
    assert_eq!(other.status, 200, "{:?}", other.body);
    assert_eq!(other.body["warnings"][0]["code"], "component-not-permitted");
    assert_eq!(place.call("a", "Add", json!({ "by": 1 })).await?["count"], 1);
    Ok(())
}

#[tokio::test]
async fn check_names_what_is_wrong_with_a_script() -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("counter.ts", COUNTER)?;
    let manifest = format!(
        "[agents.Counter]\ncomponent = \"counter.ts\"\n{PERMISSIONS}\n[[routes]]\nmethod = \"POST\"\npath = \"/c/{{id}}\"\nagent = \"Counter\"\ncall = \"Ad\"\nactor-id = {{ path = \"id\" }}\n"
    );
    write("agents.toml", &manifest)?;
    let output = run_in(folder.path(), ["check"]).await?;
    let text = output.stderr;
    assert!(text.contains("script-lacks-method") && text.contains("Add"), "{text}");
    write("agents.toml", &manifest.replace("\"Ad\"", "\"Add\""))?;
    assert_eq!(run_in(folder.path(), ["check"]).await?.code, Some(0));
    write("counter.ts", "import { agent } from \"@daca/sdk\";\nclass {\n")?;
    let output = run_in(folder.path(), ["check"]).await?;
    let text = output.stderr;
    assert!(text.contains("script-invalid") && text.contains("counter.ts:3:"), "{text}");
    Ok(())
}
