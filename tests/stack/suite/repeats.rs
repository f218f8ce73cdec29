//! A sidecar that delivers calls more than once, as the router of Dapr 1.16.2 and later does in a change of hosts.
//!
//! A proxy between sidecar and host stands for the router: it does to every call what the router does to those that it cuts off.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use daca_tests::{client, ports};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::support::{
    Bench, BenchOptions, eventually, exerciser, ledger_manifest, lines_with, until_settled,
};

/// Bytes of a body that the proxy passes on, at most.
const MAX_BODY: usize = 4 << 20;
const ACTORS: usize = 6;
/// Numbers that each actor is told.
const NUMBERS: u64 = 30;

/// How a call is delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repetition {
    /// The first delivery is cut off as soon as it is sent: its turn waits, or runs, or has ended.
    CutOff,
    /// The first delivery is answered, and its answer is lost.
    AnswerLost,
    /// Three deliveries are under way together.
    Together,
}

/// What is asked of the guest that a call is cut off from.
const BODY: &str = r#"{"ms": 1500}"#;

const ALL: [Repetition; 3] = [Repetition::CutOff, Repetition::AnswerLost, Repetition::Together];

/// The proxy. It ends when it is dropped.
struct Repeater {
    calls: Arc<[AtomicUsize; 3]>,
    task: JoinHandle<()>,
}

impl Drop for Repeater {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Proxy {
    client: reqwest::Client,
    host: String,
    calls: Arc<[AtomicUsize; 3]>,
}

impl Repeater {
    /// Listens where the sidecar looks for its app, and passes everything on to the host.
    async fn start(listen: u16, host: u16) -> anyhow::Result<Repeater> {
        let calls = Arc::<[AtomicUsize; 3]>::default();
        let proxy =
            Proxy { client: client()?, host: format!("http://127.0.0.1:{host}"), calls: calls.clone() };
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], listen))).await?;
        let router = Router::new().fallback(pass_on).with_state(proxy);
        let task = tokio::spawn(async move {
            // It ends with the task alone.
            let _never = axum::serve(listener, router).await;
        });
        Ok(Repeater { calls, task })
    }

    /// How many calls were delivered again in each way.
    fn counts(&self) -> BTreeMap<Repetition, usize> {
        ALL.into_iter().zip(self.calls.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }
}

async fn pass_on(State(proxy): State<Proxy>, request: Request) -> Result<Response, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let is_call =
        parts.method == Method::PUT && path.contains("/method/") && !path.contains("/method/remind/");
    let delivery =
        Delivery { method: parts.method, url: format!("{}{path}", proxy.host), headers: parts.headers, body };
    if is_call {
        let number = proxy.calls.iter().map(|count| count.load(Ordering::Relaxed)).sum::<usize>();
        let way = number % ALL.len();
        proxy.calls[way].fetch_add(1, Ordering::Relaxed);
        deliver_before(&proxy.client, &delivery, ALL[way]).await;
    }
    delivery.send(&proxy.client).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

/// One request to the host.
#[derive(Clone)]
struct Delivery {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Delivery {
    async fn send(&self, client: &reqwest::Client) -> anyhow::Result<Response> {
        let mut headers = self.headers.clone();
        for hop_by_hop in ["host", "connection", "content-length", "transfer-encoding"] {
            headers.remove(hop_by_hop);
        }
        let request = client.request(self.method.clone(), &self.url).headers(headers).body(self.body.clone());
        let answer = request.send().await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(answer.bytes().await?))?)
    }

    /// Sends it, and closes the connection behind it, as the sidecar does with a call whose context has ended.
    async fn send_and_hang_up(&self) -> anyhow::Result<()> {
        let url = self.url.strip_prefix("http://").context("the host is called by HTTP")?;
        let (host, path) = url.split_once('/').context("an address has a path")?;
        let mut head = format!("{} /{path} HTTP/1.1\r\n", self.method);
        for name in ["daca-mark", "daca-actor", "daca-once"] {
            if let Some(value) = self.headers.get(name) {
                head.push_str(&format!("{name}: {}\r\n", value.to_str()?));
            }
        }
        let mut stream = send_alone(host, &head, &self.body).await?;
        Ok(stream.shutdown().await?)
    }
}

/// A request that is sent whole over a connection of its own.
async fn send_alone(host: &str, head: &str, body: &[u8]) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(host).await?;
    let rest = format!("host: {host}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), rest.as_bytes(), body].concat()).await?;
    Ok(stream)
}

/// The deliveries that the sidecar gets no answer to.
async fn deliver_before(client: &reqwest::Client, delivery: &Delivery, repetition: Repetition) {
    match repetition {
        Repetition::CutOff => drop(delivery.send_and_hang_up().await),
        Repetition::AnswerLost => drop(delivery.send(client).await),
        Repetition::Together => {
            for _ in 0..2 {
                let (client, delivery) = (client.clone(), delivery.clone());
                tokio::spawn(async move { delivery.send(&client).await.map(drop) });
            }
        }
    }
}

/// A host whose sidecar reaches it through the proxy.
async fn start(manifest: String) -> anyhow::Result<(Bench, Repeater)> {
    let (stack, mut app, sidecar) =
        Bench::prepare(BenchOptions { manifest, ..BenchOptions::default() }).await?;
    app.listen = ports::free()?;
    let repeater = Repeater::start(sidecar.app_port, app.listen).await?;
    Ok((Bench::beside(stack, app, sidecar).await?, repeater))
}

async fn tell(bench: &Bench, actor: &str) -> anyhow::Result<()> {
    for number in 0..NUMBERS {
        let request = bench.client.post(bench.host.app.url(&format!("/ledger/{actor}")));
        let answer = request.body(json!({ "number": number }).to_string()).send().await?;
        anyhow::ensure!(answer.status() == 200, "{actor} {number}: {}", answer.text().await?);
    }
    Ok(())
}

async fn entries(bench: &Bench, actor: &str) -> anyhow::Result<Vec<u64>> {
    let answer = bench.client.get(bench.host.app.url(&format!("/ledger/{actor}"))).send().await?;
    let body = answer.json::<Value>().await?;
    let entries = body["entries"].as_array().context("entries are a list")?;
    Ok(entries.iter().filter_map(Value::as_u64).collect())
}

#[tokio::test]
async fn a_call_that_a_sidecar_delivers_again_is_done_once() -> anyhow::Result<()> {
    // Once with marks in the state, once on the host alone.
    for deduplicate in ["state", "memory"] {
        let manifest = ledger_manifest("event", "")
            .replace("[agents.Ledger]\n", &format!("[agents.Ledger]\ndeduplicate = \"{deduplicate}\"\n"));
        let (bench, repeater) = start(manifest).await?;
        let actors = (0..ACTORS).map(|actor| format!("actor-{actor}")).collect::<Vec<_>>();
        futures::future::try_join_all(actors.iter().map(|actor| tell(&bench, actor))).await?;
        for actor in &actors {
            assert_eq!(
                entries(&bench, actor).await?,
                (0..NUMBERS).collect::<Vec<_>>(),
                "{deduplicate}: {actor}"
            );
        }
        let counts = repeater.counts();
        println!(
            "{deduplicate}: {} calls, each done once, delivered again: {counts:?}",
            ACTORS as u64 * NUMBERS
        );
        let least = ACTORS * NUMBERS as usize / 4;
        assert!(counts.values().all(|count| *count >= least), "{counts:?}");
    }
    Ok(())
}

/// Redis and the sidecar bring both events, and the producer has given them one id, as one that repeats itself does.
#[tokio::test]
async fn an_event_that_was_published_twice_is_handled_once() -> anyhow::Result<()> {
    let subscription = "[[subscriptions]]
pubsub = \"daca-pubsub\"
topic = \"repeated\"
path = \"/repeated\"
agent = \"Exerciser\"
call = \"AddSlowly\"
actor-id = { field = \"to\" }
payload = { field = \"payload\" }
";
    let bench = Bench::start(exerciser(subscription)).await?;
    let publish = async |source: &str, id: &str| {
        let name = format!("metadata.cloudevent.source={source}&metadata.cloudevent.id={id}");
        let url = format!("/v1.0/publish/daca-pubsub/repeated?{name}");
        let event = json!({"to": "one", "payload": {"key": "k"}}).to_string();
        let answer = bench.sidecar(Method::POST, &url, &event).await?;
        anyhow::ensure!(answer.status.is_success(), "{answer:?}");
        anyhow::Ok(())
    };
    for (source, id) in [("shop", "1"), ("shop", "1"), ("shop", "2"), ("till", "1"), ("shop", "1")] {
        publish(source, id).await?;
    }
    until_settled(&bench.stack, "repeated").await?;
    assert_eq!(bench.call("one", "GetState", &json!({"key": "k"})).await?, json!(3));
    Ok(())
}

/// The next host of an actor has no memory of what the one before has handled, but the actor's state.
#[tokio::test]
async fn a_call_that_was_kept_is_known_to_the_next_host() -> anyhow::Result<()> {
    let (stack, app, sidecar) =
        Bench::prepare(BenchOptions { manifest: ledger_manifest("", ""), ..BenchOptions::default() }).await?;
    let bench = Bench::beside(stack, app, sidecar).await?;
    // What a host sends with a call, to the host's own port, as its sidecar passes it on.
    let deliver = async |mark: &str, number: u64| {
        let path = "/v1.0/actors/Ledger/one/method/Add";
        let request = bench.host.sidecar.request(Method::PUT, path);
        let request = request.header("daca-mark", mark).header("daca-once", "true");
        let body = json!({ "number": number }).to_string();
        anyhow::Ok(request.body(body).send().await?.text().await?)
    };
    let first = deliver("daca:one:", 1).await?;
    deliver("daca:two:", 2).await?;
    bench.host.app.process.kill()?;
    bench.host.app.start_again().await?;
    bench.host.wait_ready().await?;
    assert_eq!(deliver("daca:one:", 1).await?, first);
    assert_eq!(entries(&bench, "one").await?, [1, 2]);
    Ok(())
}

/// The call of a program that gives no marks: the sidecar's trace context names it.
#[tokio::test]
async fn a_call_without_a_mark_that_was_cut_off_joins_its_turn() -> anyhow::Result<()> {
    let (stack, app, sidecar) =
        Bench::prepare(BenchOptions { manifest: exerciser(""), ..BenchOptions::default() }).await?;
    let bench = Bench::beside(stack, app, sidecar).await?;
    // From here on the sidecar has the actor, and takes its writes.
    bench.call("a", "Echo", &Value::Null).await?;
    let deliver = |span: &str| {
        let request = bench.client.put(bench.host.app.url("/actors/Exerciser/a/method/Sleep"));
        request.header("traceparent", format!("00-trace-{span}-01")).body(BODY)
    };
    let activation = async || {
        let answer = bench.client.get(bench.host.app.admin_url("/activations")).send().await?;
        let body = answer.json::<Value>().await?;
        anyhow::Ok(body["activations"].get(0).cloned().unwrap_or_default())
    };
    let host = format!("127.0.0.1:{}", bench.host.app.options.listen);
    let head = "PUT /actors/Exerciser/a/method/Sleep HTTP/1.1\r\ntraceparent: 00-trace-one-01\r\n";
    let mut first = send_alone(&host, head, BODY.as_bytes()).await?;
    eventually("the turn runs", async || Ok((activation().await?["running"] == true).then_some(()))).await?;
    first.shutdown().await?;
    // The host has seen it when it closes the connection, too.
    let unanswered = first.read_to_end(&mut Vec::new()).await?;
    assert_eq!(unanswered, 0);
    let again = deliver("one").send().await?;
    assert_eq!(again.status(), 200, "{}", again.text().await?);
    assert_eq!(activation().await?["turns"], 2);
    // It asks for the same, and is another call.
    assert_eq!(deliver("two").send().await?.status(), 200);
    assert_eq!(activation().await?["turns"], 3);
    Ok(())
}

/// Dapr 1.16.0 and 1.16.1 do this. The host refuses before anything runs, in a way that makes the caller call again.
#[tokio::test]
async fn a_call_that_reaches_another_actor_is_refused_and_counted() -> anyhow::Result<()> {
    let (stack, app, sidecar) =
        Bench::prepare(BenchOptions { manifest: ledger_manifest("", ""), ..BenchOptions::default() }).await?;
    let bench = Bench::beside(stack, app, sidecar).await?;
    let deliver = async |callee: &str| {
        let request = bench.client.put(bench.host.app.url("/actors/Ledger/one/method/Entries"));
        let request = request.header("daca-mark", "daca:one:").header("daca-actor", callee);
        anyhow::Ok(request.send().await?.text().await?)
    };
    assert!(deliver("Ledger/one").await?.starts_with("daca:one:ok:"));
    let refused = deliver("Ledger/two").await?;
    assert!(refused.starts_with("daca:one:failure:") && refused.contains("\"not-done\""), "{refused}");
    let metrics = bench.client.get(bench.host.app.admin_url("/metrics")).send().await?.text().await?;
    assert!(metrics.contains("daca_misdelivered_calls_total 1\n"), "{metrics}");
    eventually("it is logged", async || {
        let lines = lines_with(&bench.host.app, &[("code", "call-misdelivered")])?;
        Ok((lines == 1).then_some(()))
    })
    .await
}
