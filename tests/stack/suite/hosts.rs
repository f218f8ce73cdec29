//! Several hosts under one app id, which come and go under load.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use daca_tests::client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{self, Chat, eventually, ledger_manifest};

const ACTORS: usize = 16;
/// How long a call with a key may be taken by nobody.
const TAKEN_WITHIN: Duration = Duration::from_secs(120);

/// Calls that must be answered in each part of a scenario: before its fault, in it, and after it. Without them a scenario in
/// which nobody is served would pass.
pub(crate) const MIN_ANSWERED: usize = 4 * ACTORS;

/// Callers, one for each actor, that tell it one number after the other, each over the next host.
pub(crate) struct Callers {
    stop: Arc<AtomicBool>,
    /// Calls that were acknowledged so far.
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<anyhow::Result<Told>>>,
}

/// What one caller was answered.
#[derive(Default)]
struct Told {
    acknowledged: Vec<u64>,
    /// Reads after an acknowledged number that did not show it.
    stale: Vec<String>,
    /// How calls failed.
    failed: Vec<String>,
}

/// What all callers were answered.
pub(crate) struct Answers {
    pub(crate) by_actor: BTreeMap<String, Vec<u64>>,
    pub(crate) failed: Vec<String>,
    pub(crate) stale: Vec<String>,
}

impl Callers {
    /// Begins with these hosts.
    ///
    /// Hosts that have just joined are waited for: until all sidecars have the same table of placement, two of them may take an
    /// actor for theirs (seen with Dapr 1.16.2).
    pub(crate) async fn start(chat: &Chat, hosts: &[usize]) -> anyhow::Result<Callers> {
        if hosts.len() > 1 {
            actors_are_spread(chat, hosts).await?;
        }
        Callers::start_after(chat, hosts, 0)
    }

    /// Callers that give each number a key and tell it until somebody has taken it.
    pub(crate) async fn start_with_keys(chat: &Chat, hosts: &[usize]) -> anyhow::Result<Callers> {
        actors_are_spread(chat, hosts).await?;
        Callers::start_callers(chat, hosts, 0, true)
    }

    /// Begins with this number.
    pub(crate) fn start_after(chat: &Chat, hosts: &[usize], first: u64) -> anyhow::Result<Callers> {
        Callers::start_callers(chat, hosts, first, false)
    }

    fn start_callers(chat: &Chat, hosts: &[usize], first: u64, with_keys: bool) -> anyhow::Result<Callers> {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default());
        let client = client()?;
        let callers = (0..ACTORS).map(|actor| {
            let url = |host: &usize| chat.hosts[*host].app.url(&format!("/ledger/{}", name(actor)));
            let urls = hosts.iter().map(url).collect::<Vec<_>>();
            let numbers = first + actor as u64 * 10_000..;
            let caller =
                Caller { client: client.clone(), urls, stop: stop.clone(), answered: answered.clone() };
            tokio::spawn(caller.tell(numbers, with_keys))
        });
        let callers = callers.collect();
        Ok(Callers { stop, answered, callers })
    }

    /// Waits until so many more calls are answered.
    pub(crate) async fn until_answered(&self, more: usize) -> anyhow::Result<()> {
        let least = self.answered.load(Ordering::Relaxed) + more;
        eventually(&format!("{more} more calls are answered"), async || {
            Ok((self.answered.load(Ordering::Relaxed) >= least).then_some(()))
        })
        .await
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> anyhow::Result<Answers> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = Answers { by_actor: BTreeMap::new(), failed: Vec::new(), stale: Vec::new() };
        for (actor, caller) in self.callers.into_iter().enumerate() {
            let told = caller.await??;
            answers.by_actor.insert(name(actor), told.acknowledged);
            answers.failed.extend(told.failed);
            answers.stale.extend(told.stale);
        }
        Ok(answers)
    }
}

fn name(actor: usize) -> String {
    format!("actor-{actor}")
}

struct Caller {
    client: reqwest::Client,
    urls: Vec<String>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Caller {
    /// A call that failed may have been kept, so its number is told again only with its key. What was acknowledged is read over
    /// the next host.
    async fn tell(self, mut numbers: std::ops::RangeFrom<u64>, with_keys: bool) -> anyhow::Result<Told> {
        let Caller { client, urls, stop, answered } = self;
        let mut told = Told::default();
        let (mut untold, mut since) = (None, Instant::now());
        for turn in 0.. {
            let [url, reader] = [turn, turn + 1].map(|at| &urls[at % urls.len()]);
            let Some(number) = untold.take().or_else(|| numbers.next()) else { break };
            let mut request = client.post(url).body(json!({"number": number}).to_string());
            if with_keys {
                request = request.header("Idempotency-Key", number.to_string());
            }
            let failed = match request.send().await {
                // Where nobody listens, a caller goes elsewhere.
                Err(error) if error.is_connect() => None,
                Err(error) => Some(error.to_string()),
                Ok(answer) if answer.status() == 200 => {
                    told.acknowledged.push(number);
                    answered.fetch_add(1, Ordering::Relaxed);
                    told.stale.extend(stale(&client, reader, number).await);
                    None
                }
                Ok(answer) => Some(format!("{} {}", answer.status(), answer.text().await?)),
            };
            if with_keys && told.acknowledged.last() != Some(&number) {
                anyhow::ensure!(since.elapsed() < TAKEN_WITHIN, "{number} is taken by nobody: {failed:?}");
                untold = Some(number);
            } else {
                since = Instant::now();
            }
            told.failed.extend(failed);
            if stop.load(Ordering::Relaxed) && untold.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Ok(told)
    }
}

/// What a read shows that does not show a number. None when it shows it or fails.
async fn stale(client: &reqwest::Client, url: &str, number: u64) -> Option<String> {
    let answer = client.get(url).send().await.ok()?;
    let text = (answer.status() == 200).then_some(answer)?.text().await.ok()?;
    let entries = serde_json::from_str::<Value>(&text).ok()?["entries"].take();
    let shows = entries.as_array().is_some_and(|entries| entries.iter().any(|entry| *entry == number));
    (!shows).then(|| format!("{number} was acknowledged and then not in {entries} of {url}"))
}

/// The part of the answered calls that may be followed by a stale read while a host joins, on Dapr 1.16: a fourth. The window
/// lasts for a moment of a load of seconds, and only for the actors that move.
const STALE_AT_MOST: usize = 4;

impl Answers {
    /// The same after a host has joined, or joined again, under load.
    ///
    /// The placement service of Dapr 1.16 sends each sidecar that it is to stop, what the new table is, and that it is to go on, and
    /// waits for none of them (`disseminateOperation` in `pkg/placement/membership.go`). One that is slow serves by its old
    /// table for a moment, and an actor lives on two hosts. In 1.18 it waits, and nothing may be stale.
    pub(crate) async fn kept_through_a_join(
        mut self,
        chat: &Chat,
        host: usize,
        what: &str,
    ) -> anyhow::Result<usize> {
        let release = chat.hosts[host].sidecar.metadata().await?["runtimeVersion"].clone();
        if release.as_str().is_some_and(|release| release.starts_with("1.16.")) {
            let (stale, answered) = (self.stale.len(), self.by_actor.values().map(Vec::len).sum::<usize>());
            println!("{what}: {stale} stale reads in Dapr's own window, {answered} calls answered");
            anyhow::ensure!(stale <= answered / STALE_AT_MOST, "{what}: stale reads: {:#?}", self.stale);
            self.stale.clear();
        }
        self.kept(chat, host, what).await
    }

    /// Each number that was acknowledged is there. Answers how many are there twice.
    pub(crate) async fn kept(&self, chat: &Chat, host: usize, what: &str) -> anyhow::Result<usize> {
        anyhow::ensure!(self.stale.is_empty(), "{what}: stale reads: {:#?}", self.stale);
        let count = self.by_actor.values().map(Vec::len).sum::<usize>();
        anyhow::ensure!(count >= MIN_ANSWERED, "{what}: only {count} calls were answered");
        println!("{what}: {count} calls answered, {} failed", self.failed.len());
        let mut twice = 0;
        for (actor, acknowledged) in &self.by_actor {
            let entries = chat.entries(host, actor).await?;
            let kept = entries.iter().collect::<BTreeSet<_>>();
            let lost = acknowledged.iter().filter(|number| !kept.contains(number)).collect::<Vec<_>>();
            anyhow::ensure!(
                lost.is_empty(),
                "{actor} has lost {lost:?}: {entries:?}; failed: {:#?}",
                self.failed
            );
            anyhow::ensure!(entries.is_sorted(), "{actor}: {entries:?}");
            twice += entries.len() - kept.len();
        }
        Ok(twice)
    }
}

/// Each host has some of the actors, and no actor is on two.
pub(crate) async fn actors_are_spread(chat: &Chat, hosts: &[usize]) -> anyhow::Result<()> {
    eventually("each actor is on one host, and each host has some", async || {
        // An actor that has moved is active again when somebody calls it.
        for actor in (0..ACTORS).map(name) {
            if chat.entries(hosts[0], &actor).await.is_err() {
                return Ok(None);
            }
        }
        let mut all = Vec::new();
        for host in hosts {
            let active = chat.active(*host).await?;
            if active.is_empty() {
                return Ok(None);
            }
            all.extend(active);
        }
        let different = all.iter().collect::<BTreeSet<_>>().len();
        Ok((all.len() == ACTORS && different == ACTORS).then_some(()))
    })
    .await
}

/// Waits until calls of all actors succeed over a host.
pub(crate) async fn until_all_answer(chat: &Chat, host: usize) -> anyhow::Result<()> {
    let start = Instant::now();
    for actor in (0..ACTORS).map(name) {
        eventually(&format!("{actor} answers"), async || {
            Ok(chat.entries(host, &actor).await.is_ok().then_some(()))
        })
        .await?;
    }
    println!("all actors answer after {:?}", start.elapsed());
    Ok(())
}

async fn all_entries(chat: &Chat, host: usize) -> anyhow::Result<Vec<Vec<u64>>> {
    let actors = (0..ACTORS).map(name).collect::<Vec<_>>();
    futures::future::try_join_all(actors.iter().map(|actor| chat.entries(host, actor))).await
}

#[tokio::test]
async fn actors_are_spread_over_hosts_that_join_and_every_host_reaches_each_of_them() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let mut chat = Chat::start_on(options, 2, &ledger_manifest("event sms", "")).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    assert_eq!(load.stop().await?.kept(&chat, 0, "two hosts").await?, 0);
    actors_are_spread(&chat, &[0, 1]).await?;

    // The agent's refusal arrives as such, wherever the actor lives.
    for host in 0..2 {
        for actor in (0..ACTORS).map(name) {
            let answer = chat.post_to(host, &format!("/ledger/{actor}"), &json!({"number": "x"})).await?;
            assert_eq!(answer.0, 400, "{answer:?}");
        }
    }
    let before = all_entries(&chat, 0).await?;
    assert_eq!(before, all_entries(&chat, 1).await?);

    let load = Callers::start_after(&chat, &[0, 1], 1_000_000)?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.add_host().await?;
    load.until_answered(MIN_ANSWERED).await?;
    assert_eq!(load.stop().await?.kept_through_a_join(&chat, 2, "a third host joins").await?, 0);
    actors_are_spread(&chat, &[0, 1, 2]).await
}

#[tokio::test]
async fn a_host_that_is_stopped_under_load_loses_nothing_and_its_actors_come_back_with_all_they_had()
-> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    // More time than a busy machine needs for it.
    let manifest = ledger_manifest("event sms", "shutdown-grace = \"40s\"");
    let chat = Chat::start_on(options, 2, &manifest).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    // As Kubernetes stops a pod: both containers at once.
    let leaving = &chat.hosts[1];
    let start = Instant::now();
    tokio::try_join!(leaving.app.process.stop(), leaving.sidecar.process.stop())?;
    println!("both have ended after {:?}", start.elapsed());
    until_all_answer(&chat, 0).await?;
    assert!(!leaving.app.process.log_contains("shutdown-incomplete")?);
    load.until_answered(MIN_ANSWERED).await?;

    tokio::try_join!(leaving.app.start_again(), leaving.sidecar.start_again())?;
    leaving.wait_ready().await?;
    load.until_answered(MIN_ANSWERED).await?;
    let twice =
        load.stop().await?.kept_through_a_join(&chat, 1, "a host is stopped, and starts again").await?;
    assert_eq!(twice, 0);
    actors_are_spread(&chat, &[0, 1]).await?;
    assert_eq!(all_entries(&chat, 0).await?, all_entries(&chat, 1).await?);
    Ok(())
}

/// Nobody who calls a host that stays notices that others come and go.
#[tokio::test]
async fn hosts_that_come_and_go_fail_no_call_and_double_none() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let mut chat = Chat::start_on(options, 2, &ledger_manifest("event", "")).await?;
    let load = Callers::start(&chat, &[0, 1]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.add_host().await?;
    for _round in 0..2 {
        load.until_answered(MIN_ANSWERED).await?;
        let third = &chat.hosts[2];
        // As Kubernetes stops a pod: both containers at once.
        tokio::try_join!(third.app.process.stop(), third.sidecar.process.stop())?;
        load.until_answered(MIN_ANSWERED).await?;
        tokio::try_join!(third.app.start_again(), third.sidecar.start_again())?;
        third.wait_ready().await?;
    }
    load.until_answered(MIN_ANSWERED).await?;
    let answers = load.stop().await?;
    let failed = answers.failed.clone();
    let twice = answers.kept_through_a_join(&chat, 0, "hosts come and go").await?;
    println!("hosts come and go, calls without keys: {} failed, {twice} doubled", failed.len());
    assert_eq!((failed, twice), (Vec::new(), 0));
    Ok(())
}

#[tokio::test]
async fn hosts_that_are_killed_lose_nothing_that_was_acknowledged() -> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 3, &ledger_manifest("event sms", "")).await?;
    let load = Callers::start(&chat, &[0, 1, 2]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[2].app.process.kill()?;
    chat.hosts[2].sidecar.process.kill()?;
    until_all_answer(&chat, 0).await?;
    load.until_answered(MIN_ANSWERED).await?;

    // The sidecar sees by its health check that its host is gone, and gives the actors up.
    chat.hosts[1].app.process.kill()?;
    until_all_answer(&chat, 0).await?;
    load.until_answered(MIN_ANSWERED).await?;
    let twice = load.stop().await?.kept(&chat, 0, "one host is killed with its sidecar, one without").await?;
    // A sidecar calls again when the other sidecar dies before it answers (`pkg/actors/router`). The next host finds in the
    // actor's state what the dead one had kept.
    assert_eq!(twice, 0);

    chat.hosts[1].app.start_again().await?;
    chat.hosts[1].wait_ready().await?;
    eventually("the host has some of the actors again", async || {
        all_entries(&chat, 0).await?;
        Ok((!chat.active(1).await?.is_empty()).then_some(()))
    })
    .await?;
    assert_eq!(all_entries(&chat, 0).await?, all_entries(&chat, 1).await?);
    Ok(())
}

#[tokio::test]
async fn calls_with_keys_are_handled_exactly_once_although_hosts_and_sidecars_are_killed()
-> anyhow::Result<()> {
    let (options, _components) = support::without_kafka()?;
    let chat = Chat::start_on(options, 3, &ledger_manifest("event sms", "")).await?;
    let load = Callers::start_with_keys(&chat, &[0, 1, 2]).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[2].app.process.kill()?;
    chat.hosts[2].sidecar.process.kill()?;
    until_all_answer(&chat, 0).await?;
    load.until_answered(MIN_ANSWERED).await?;
    chat.hosts[1].sidecar.process.kill()?;
    until_all_answer(&chat, 0).await?;
    chat.hosts[1].sidecar.start_again().await?;
    chat.hosts[1].wait_ready().await?;
    load.until_answered(MIN_ANSWERED).await?;
    let answers = load.stop().await?;
    let by_actor = answers.by_actor.clone();
    let what = "with keys: a host is killed with its sidecar, then a sidecar";
    assert_eq!(answers.kept_through_a_join(&chat, 0, what).await?, 0);
    for (actor, told) in &by_actor {
        assert_eq!(&chat.entries(0, actor).await?, told, "{actor}");
    }
    Ok(())
}
