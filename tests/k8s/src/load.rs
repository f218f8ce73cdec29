//! Callers of the service and producers of Kafka, and the books that they keep: what was acknowledged must be there once.
//!
//! Each actor gets two messages, the second one some time after the first, so that many move between the two. The ChatAgent
//! remembers both, so that its history shows what was lost, doubled or mixed up. Half of the callers give their calls keys.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;

use crate::cluster::eventually;
use crate::deployment::Deployment;

const CALLERS: usize = 4;
/// Calls that are answered before what is tried and again after it, at least.
const MIN_ANSWERED: usize = 20;
/// Between two calls of a caller.
const PAUSE: Duration = Duration::from_millis(30);
/// So many actors later the second message of an actor is sent.
const LATER: usize = 40;
/// Between two messages for Kafka.
const PRODUCE_PAUSE: Duration = Duration::from_millis(25);
/// How long is waited for what comes a second time.
const AFTERMATH: Duration = Duration::from_secs(10);
/// Histories that are read at the same time.
const READERS: usize = 8;

/// What was sent, and what came of it.
#[derive(Default)]
pub(crate) struct Books {
    /// By actor, what it has acknowledged, in that order.
    acknowledged: BTreeMap<String, Vec<String>>,
    /// By actor, what has failed: it may have been heard all the same.
    failed: BTreeMap<String, Vec<String>>,
    /// The actors that are called with keys.
    with_keys: BTreeSet<String>,
    /// What was produced to Kafka, which has taken all of it.
    produced: BTreeMap<String, Vec<String>>,
    /// How calls failed that had no key.
    failures: Vec<String>,
    /// And those that had one.
    pub(crate) failures_with_keys: Vec<String>,
    /// The longest call.
    longest: Duration,
}

/// How much was sent, and what was found wrong.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) calls: usize,
    pub(crate) messages: usize,
    pub(crate) lost: Vec<String>,
    pub(crate) doubled: Vec<String>,
    /// The same of messages and of calls with keys.
    pub(crate) doubled_though_marked: Vec<String>,
    /// SMS that are at Twilio's edge not at all, or twice. Effects wait in memory, so a pod that is killed loses some.
    pub(crate) sms_lost: usize,
    pub(crate) sms_doubled: usize,
}

/// Runs something under load. Answers the books, and what it answers.
pub(crate) async fn under_load<T>(
    deployment: &Deployment<'_>,
    name: &str,
    with_kafka: bool,
    what: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(Books, T)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (next, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|caller| call(deployment, name, caller, (&next, &answered), &stop));
    let callers = futures::future::try_join_all(callers);
    let producer = async {
        match with_kafka {
            true => produce(deployment, name, &stop).await,
            false => Ok(BTreeMap::new()),
        }
    };
    let work = async {
        let result = amid_calls(&answered, what).await;
        stop.store(true, Ordering::Relaxed);
        result
    };
    let (callers, produced, result) = tokio::join!(callers, producer, work);
    let result = result?;
    let mut books = Books { produced: produced?, ..Books::default() };
    for of_caller in callers? {
        books.acknowledged.extend(of_caller.acknowledged);
        books.failed.extend(of_caller.failed);
        books.with_keys.extend(of_caller.with_keys);
        books.failures.extend(of_caller.failures);
        books.failures_with_keys.extend(of_caller.failures_with_keys);
        books.longest = books.longest.max(of_caller.longest);
    }
    Ok((books, result))
}

/// Runs something after calls were answered, and waits until calls are answered after it. Without them a scenario in which nobody
/// is served would pass.
async fn amid_calls<T>(
    answered: &AtomicUsize,
    what: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let until_more = async || {
        let least = answered.load(Ordering::Relaxed) + MIN_ANSWERED;
        let is_enough = async || Ok((answered.load(Ordering::Relaxed) >= least).then_some(()));
        eventually("calls are answered", is_enough).await
    };
    until_more().await?;
    let before = answered.load(Ordering::Relaxed);
    let result = what().await?;
    let during = answered.load(Ordering::Relaxed) - before;
    ensure!(during > 0, "no call was answered while it went on");
    until_more().await?;
    Ok(result)
}

async fn call(
    deployment: &Deployment<'_>,
    name: &str,
    caller: usize,
    (next, answered): (&AtomicUsize, &AtomicUsize),
    stop: &AtomicBool,
) -> anyhow::Result<Books> {
    let mut books = Books::default();
    let mut mine = Vec::new();
    let has_keys = caller % 2 == 1;
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        mine.push(format!("{name}-{caller}-{number}"));
        let later = mine.len().checked_sub(LATER).map(|place| mine[place].clone());
        let first = mine.last().cloned().map(|actor| (actor, "first"));
        books.with_keys.extend(mine.last().filter(|_| has_keys).cloned());
        for (actor, content) in first.into_iter().chain(later.map(|actor| (actor, "second"))) {
            let start = Instant::now();
            let key = format!("{actor}-{content}");
            let answer = deployment.say_with(&actor, content, has_keys.then_some(&key)).await;
            books.longest = books.longest.max(start.elapsed());
            let failure = match answer {
                Ok((200, _)) => {
                    answered.fetch_add(1, Ordering::Relaxed);
                    books.acknowledged.entry(actor).or_default().push(content.to_owned());
                    continue;
                }
                Ok((status, text)) => format!("{status} {text}"),
                Err(error) => format!("{error:#}"),
            };
            let line = format!("{actor} {content}: {failure}");
            if has_keys {
                books.failures_with_keys.push(line);
            } else {
                books.failures.push(line);
            }
            books.failed.entry(actor).or_default().push(content.to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(books)
}

/// Produces one message after the other with Kafka's own program in its pod. When that ends well, Kafka has all of them.
async fn produce(
    deployment: &Deployment<'_>,
    name: &str,
    stop: &AtomicBool,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let mut producer = producer(deployment)?;
    let mut stdin = producer.stdin.take().context("kubectl has no standard input")?;
    let mut produced = BTreeMap::new();
    for number in 0.. {
        let actor = format!("{name}-kafka-{number}");
        stdin.write_all(line(&actor, "produced").as_bytes()).await?;
        produced.insert(actor, vec!["produced".to_owned()]);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(PRODUCE_PAUSE).await;
    }
    drop(stdin);
    let output = producer.wait_with_output().await?;
    ensure!(output.status.success(), "the producer: {}", String::from_utf8_lossy(&output.stderr));
    Ok(produced)
}

/// A message for an actor, with the actor as its key.
fn line(actor: &str, content: &str) -> String {
    let message = serde_json::json!({ "actor_id": actor, "message": { "role": "user", "content": content } });
    format!("{actor}|{message}\n")
}

fn producer(deployment: &Deployment<'_>) -> anyhow::Result<Child> {
    let mut command = deployment.cluster.command(&["exec", "-i", "deployment/kafka", "--"]);
    command.args(["/opt/kafka/bin/kafka-console-producer.sh", "--bootstrap-server", "kafka:9092"]);
    command.args([
        "--topic",
        "user-messages",
        "--property",
        "parse.key=true",
        "--property",
        "key.separator=|",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().context("starting kubectl")
}

/// Produces one message.
pub(crate) async fn produce_one(
    deployment: &Deployment<'_>,
    actor: &str,
    content: &str,
) -> anyhow::Result<()> {
    let mut producer = producer(deployment)?;
    let mut stdin = producer.stdin.take().context("kubectl has no standard input")?;
    stdin.write_all(line(actor, content).as_bytes()).await?;
    drop(stdin);
    let output = producer.wait_with_output().await?;
    ensure!(output.status.success(), "the producer: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Found {
    /// Was everything that was acknowledged kept, and once?
    pub(crate) fn is_as_it_should_be(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.doubled_though_marked.is_empty()
    }
}

impl Books {
    /// Was every call answered?
    pub(crate) fn none_failed(&self) -> bool {
        self.failures.is_empty() && self.failures_with_keys.is_empty()
    }

    /// Each message that was acknowledged has sent one SMS.
    fn compare_sms(&self, deployment: &Deployment<'_>, found: &mut Found) {
        let mut sent = BTreeMap::<String, usize>::new();
        for sms in deployment.twilio.received() {
            *sent.entry(sms.body).or_default() += 1;
        }
        for (actor, said) in self.acknowledged.iter().chain(&self.produced) {
            for content in said {
                let beginning = format!("New message from {actor}: {content} -> ");
                let of_it = sent.range(beginning.clone()..).next();
                match of_it.filter(|(body, _)| body.starts_with(&beginning)) {
                    None => found.sms_lost += 1,
                    Some((_, 1)) => {}
                    Some(_) => found.sms_doubled += 1,
                }
            }
        }
    }

    /// Reads every history, and compares. What Kafka delivers again, and what is sent again, is waited for.
    pub(crate) async fn compare(&self, deployment: &Deployment<'_>, what: &str) -> anyhow::Result<Found> {
        let mut found = Found {
            calls: self.acknowledged.values().map(Vec::len).sum(),
            messages: self.produced.len(),
            lost: Vec::new(),
            doubled: Vec::new(),
            doubled_though_marked: Vec::new(),
            sms_lost: 0,
            sms_doubled: 0,
        };
        for actor in self.produced.keys() {
            arrived(deployment, actor).await?;
        }
        tokio::time::sleep(AFTERMATH).await;
        self.compare_sms(deployment, &mut found);
        let told = self.acknowledged.iter().chain(&self.produced);
        let heard = futures::stream::iter(told)
            .map(async |(actor, said)| anyhow::Ok((actor, said, heard(deployment, actor).await?)));
        let mut heard = heard.buffer_unordered(READERS);
        while let Some(result) = heard.next().await {
            let (actor, said, heard) = result?;
            let failed = self.failed.get(actor).map(Vec::as_slice).unwrap_or_default();
            let is_lost = said.iter().any(|message| !heard.contains(message));
            let twice = |message: &String| heard.iter().filter(|it| *it == message).count() > 1;
            let is_marked = self.with_keys.contains(actor) || self.produced.contains_key(actor);
            let is_doubled =
                heard.iter().any(|message| twice(message) && (is_marked || !failed.contains(message)));
            let is_other = failed.is_empty() && heard.len() == said.len() && heard != *said;
            if is_lost || is_other {
                found.lost.push(format!("{actor} was told {said:?} and remembers {heard:?}"));
            }
            if is_doubled {
                let doubled = if is_marked { &mut found.doubled_though_marked } else { &mut found.doubled };
                doubled.push(format!("{actor} was told {said:?} and remembers {heard:?}"));
            }
        }
        println!(
            "{what}: {} calls answered (the longest {:.1} s), {} failed without a key, {} with one; {} Kafka messages; {} lost, {} doubled; {} SMS lost, {} doubled",
            found.calls,
            self.longest.as_secs_f64(),
            self.failures.len(),
            self.failures_with_keys.len(),
            found.messages,
            found.lost.len(),
            found.doubled.len() + found.doubled_though_marked.len(),
            found.sms_lost,
            found.sms_doubled
        );
        for failure in self.failures.iter().chain(&self.failures_with_keys).take(10) {
            println!("  failed: {failure}");
        }
        Ok(found)
    }
}

/// Waits for a message of Kafka, which may still be on its way.
async fn arrived(deployment: &Deployment<'_>, actor: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    eventually(&format!("{actor} tells what it was told"), async || {
        let is_over = start.elapsed() > Duration::from_secs(60) || !deployment.heard(actor).await?.is_empty();
        Ok(is_over.then_some(()))
    })
    .await
}

async fn heard(deployment: &Deployment<'_>, actor: &str) -> anyhow::Result<Vec<String>> {
    eventually(&format!("{actor} answers"), async || Ok(Some(deployment.heard(actor).await?))).await
}
