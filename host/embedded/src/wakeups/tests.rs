use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use daca_manifest::Manifest;
use daca_model::CallError;
use daca_model::backend::{Backend as _, Error, EventOutcome, Registration, StateStore as _};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::Embedded;
use daca_base::clock::Reading;
use daca_base::clock::moved::Machine;
use daca_base::json::Document;

const START: u64 = 1_000_000_000_000;
const HOUR: Duration = Duration::from_secs(3600);

fn key(name: &str) -> WakeupKey {
    WakeupKey { kind: WakeupKind::Reminder, name: name.to_owned() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A schedule on a machine, with reminders that are due so many seconds after its start, each of another actor.
fn schedule(machine: &Machine, due: &[(&str, u64)]) -> Schedule {
    let schedule = Schedule::new(machine.clock(), &Weights::default());
    let change = |(name, seconds): &(&str, u64)| ScheduleChange {
        actor: ActorAddress::unchecked("A", name),
        key: key(name),
        next: Some(Due { at: START + seconds * 1_000, token: 0 }),
    };
    schedule.apply(due.iter().map(change).collect());
    schedule
}

/// The wake-ups that fire now, and the wait until the next.
fn look(schedule: &Schedule) -> (Vec<String>, Option<Duration>) {
    let mut fired = Vec::new();
    loop {
        match schedule.take_due() {
            Ok(firing) => fired.push(firing.fired.key.name),
            Err(wait) => return (fired, wait),
        }
    }
}

#[test]
fn what_became_due_while_the_machine_slept_fires_at_the_next_look() {
    let machine = Machine::at(START);
    let schedule = schedule(&machine, &[("soon", 20), ("later", 90)]);
    machine.pass(seconds(1));
    assert_eq!(look(&schedule), (vec![], Some(POLL_INTERVAL)));
    machine.sleep(seconds(60));
    assert_eq!(look(&schedule), (vec!["soon".to_owned()], Some(POLL_INTERVAL)));
    machine.pass(Duration::from_millis(28_500));
    assert_eq!(look(&schedule), (vec![], Some(Duration::from_millis(500))));
    machine.pass(seconds(1));
    assert_eq!(look(&schedule), (vec!["later".to_owned()], None));
}

/// A turn that registers a reminder of this name, which is due at once.
fn registers(name: &str) -> TurnCommit {
    let registration = Registration { due: Duration::ZERO, period: None, ttl: None, data: Bytes::new() };
    TurnCommit { wakeups: [(key(name), Some(registration))].into(), ..TurnCommit::default() }
}

/// Tells of the firings.
struct Told(UnboundedSender<String>);

fn told() -> (Arc<Told>, UnboundedReceiver<String>) {
    let (sender, fired) = unbounded_channel();
    (Arc::new(Told(sender)), fired)
}

#[async_trait::async_trait]
impl Inbound for Told {
    async fn wake(&self, _: ActorAddress, fired: FiredWakeup, _: Bytes) -> Result<(), CallError> {
        self.0.send(fired.key.name).ok(); // the test may be over
        Ok(())
    }

    async fn event(&self, _: &str, _: &Document) -> EventOutcome {
        EventOutcome::Success
    }
}

/// The file is away when the writer looks for it after the transaction.
#[tokio::test]
async fn what_a_commit_without_an_answer_has_registered_fires_if_it_is_in_the_file() {
    let folder = TempDir::new().expect("a folder");
    let [path, away] = ["state.redb", "away"].map(|name| folder.path().join(name));
    let loses = Arc::new(AtomicBool::new(false));
    let (started, lost, moved) = (Instant::now(), loses.clone(), (path.clone(), away.clone()));
    let clock = Clock::new(move || {
        // In the transaction the writer reads the time.
        if lost.swap(false, Ordering::Relaxed) {
            std::fs::rename(&moved.0, &moved.1).expect("it is there");
        }
        Reading { wall: SystemTime::now(), monotonic: started.elapsed() }
    });
    let manifest = Manifest::parse(Path::new("agents.toml"), "[agents.A]\ncomponent = \"agent.wasm\"\n");
    let manifest = manifest.expect("a manifest");
    let backend = Embedded::open_with(&manifest, folder.path(), Arc::default(), clock).expect("it opens");
    loses.store(true, Ordering::Relaxed);
    let unknown = backend.commit(&ActorAddress::unchecked("A", "a"), &registers("r")).await;
    assert!(matches!(unknown, Err(Error::Unavailable(_))), "{unknown:?}");
    std::fs::rename(&away, &path).expect("it is there");
    let (inbound, mut fired) = told();
    backend.start(inbound);
    assert_eq!(fired.recv().await.as_deref(), Some("r"));
    backend.shut_down().await;
}

/// A reminder that is not in the file, and one whose turn fails again and again while nothing can be written.
#[tokio::test]
async fn what_is_looked_up_vanishes_if_it_is_not_in_the_file_and_comes_no_earlier_if_it_has_failed() {
    let (folder, machine) = (TempDir::new().expect("a folder"), Machine::at(START));
    let (store, _) = Store::open(folder.path(), HashMap::new(), None, machine.clock()).expect("a state file");
    let actor = ActorAddress::unchecked("A", "failed");
    let schedule = schedule(&machine, &[("failed", 0)]);
    let failed = schedule.take_due().expect("it is due");
    drop(UnderWay { schedule: &schedule, actor: actor.clone(), place: None });
    schedule.retry(failed, seconds(60));
    schedule.look_up(&actor, [key("failed"), key("gone")].iter());
    let gone = schedule.take_due().expect("it is looked for");
    assert_eq!((&*gone.fired.key.name, gone.fired.token), ("gone", 0));
    let under_way = UnderWay { schedule: &schedule, actor, place: None };
    let (inbound, mut fired) = told();
    fire(&schedule, &store, &*inbound, gone).await;
    drop(under_way);
    assert!(fired.try_recv().is_err() && schedule.is_settled());
    assert_eq!(schedule.next_at(), Some(START + 60_000));
}

/// Fails at each firing, and counts the lines of the log about it.
#[derive(Default)]
struct Failing {
    fired: AtomicU32,
    lines: AtomicU32,
}

#[async_trait::async_trait]
impl Inbound for Failing {
    async fn wake(&self, _: ActorAddress, _: FiredWakeup, _: Bytes) -> Result<(), CallError> {
        self.fired.fetch_add(1, Ordering::Relaxed);
        Err(CallError::Failed("no".into()))
    }

    async fn event(&self, _: &str, _: &Document) -> EventOutcome {
        EventOutcome::Success
    }

    fn may_log(&self, agent_type: &str, _: usize) -> bool {
        assert_eq!(agent_type, "A");
        self.lines.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// The file is away, and nothing can be written.
#[tokio::test]
async fn a_firing_that_cannot_be_skipped_comes_again() {
    let (folder, machine) = (TempDir::new().expect("a folder"), Machine::at(START));
    let [path, away] = ["state.redb", "away"].map(|name| folder.path().join(name));
    let (store, _) = Store::open(folder.path(), HashMap::new(), None, machine.clock()).expect("a state file");
    let timer = WakeupKey { kind: WakeupKind::Timer, name: "t".to_owned() };
    let (due, period, data) = (Duration::ZERO, Some(HOUR), Bytes::new());
    let wakeups = [(timer, Some(Registration { due, period, ttl: None, data }))].into();
    let turn = Arc::new(TurnCommit { wakeups, ..TurnCommit::default() });
    let changes = store.commit(&ActorAddress::unchecked("A", "a"), &turn).await.expect("it is kept");
    let schedule = Schedule::new(machine.clock(), &Weights::default());
    schedule.apply(changes);
    let inbound = Failing::default();
    let fails = async || {
        let mut firing = schedule.take_due().expect("it is due");
        let under_way = UnderWay::begin(&schedule, &mut firing);
        fire(&schedule, &store, &inbound, firing).await;
        drop(under_way);
        schedule.next_at()
    };
    std::fs::rename(&path, &away).expect("it is there");
    assert_eq!(fails().await, Some(START + millis(SKIP_RETRY_DELAY)));
    std::fs::rename(&away, &path).expect("it is there");
    machine.pass(SKIP_RETRY_DELAY);
    assert_eq!(fails().await, Some(START + millis(HOUR)), "it is skipped");
    // The turn that skipped it may have been kept, although it was said to be in doubt. Then it has fired once.
    let [fired, lines] = [&inbound.fired, &inbound.lines].map(|counted| counted.load(Ordering::Relaxed));
    assert_eq!(lines, 2 * fired, "of each, its failure and that it is skipped");
}

/// The first time it has a defect.
struct Defective(AtomicU32, UnboundedSender<String>);

#[async_trait::async_trait]
impl Inbound for Defective {
    async fn wake(&self, _: ActorAddress, fired: FiredWakeup, _: Bytes) -> Result<(), CallError> {
        let attempt = self.0.fetch_add(1, Ordering::Relaxed);
        self.1.send(fired.key.name).ok();
        assert!(attempt > 0, "a defect for a test");
        Ok(())
    }

    async fn event(&self, _: &str, _: &Document) -> EventOutcome {
        EventOutcome::Success
    }
}

#[tokio::test]
async fn a_firing_that_panics_is_tried_again() {
    let folder = TempDir::new().expect("a folder");
    let clock = Clock::of_process().clone();
    let (store, _) = Store::open(folder.path(), HashMap::new(), None, clock.clone()).expect("a state file");
    let turn = Arc::new(registers("r"));
    let changes = store.commit(&ActorAddress::unchecked("A", "a"), &turn).await.expect("it is kept");
    let schedule = Arc::new(Schedule::new(clock, &Weights::default()));
    schedule.apply(changes);
    let (sender, mut fired) = unbounded_channel();
    let (inbound, tasks) = (Arc::new(Defective(AtomicU32::new(0), sender)), TaskTracker::new());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(schedule, store, inbound, tasks, shutdown.clone()));
    for _ in 0..2 {
        assert_eq!(fired.recv().await.as_deref(), Some("r"));
    }
    shutdown.cancel();
    running.await.expect("it ends");
}

#[test]
fn what_is_due_or_being_handled_has_not_settled() {
    let machine = Machine::at(START);
    let schedule = schedule(&machine, &[("soon", 20)]);
    assert!(schedule.is_settled());
    machine.pass(seconds(20));
    assert!(!schedule.is_settled(), "it is due");
    let mut firing = schedule.take_due().expect("it is due");
    assert!(!schedule.is_settled(), "it is being handled");
    let under_way = UnderWay::begin(&schedule, &mut firing);
    schedule.forget(&firing);
    drop(under_way);
    assert!(schedule.is_settled());
}

#[test]
fn nothing_stands_still_when_the_clock_is_set_back() {
    let machine = Machine::at(START);
    let schedule = schedule(&machine, &[("once", 20), ("again", 1)]);
    machine.pass(seconds(1));
    let mut again = schedule.take_due().expect("it is due");
    let under_way = UnderWay::begin(&schedule, &mut again);
    machine.set_back(HOUR);
    schedule.retry(again, seconds(2));
    drop(under_way);
    machine.pass(seconds(2));
    assert_eq!(look(&schedule), (vec!["again".to_owned()], Some(POLL_INTERVAL)));
    machine.pass(seconds(16));
    assert_eq!(look(&schedule), (vec![], Some(POLL_INTERVAL)));
    machine.pass(seconds(1));
    assert_eq!(look(&schedule), (vec!["once".to_owned()], None));
}

#[test]
fn an_actor_fires_one_at_a_time_and_a_type_leaves_places_for_the_others() {
    let machine = Machine::at(START);
    let weights = ["A", "B"].map(|name| (Arc::<str>::from(name), 1)).into_iter().collect();
    let schedule = Schedule::new(machine.clock(), &weights);
    let due = |agent_type: &str, id: usize, name: usize| ScheduleChange {
        actor: ActorAddress::unchecked(agent_type, &id.to_string()),
        key: key(&name.to_string()),
        next: Some(Due { at: START, token: 0 }),
    };
    // A reminder of the neighbour behind those of many actors, each with many.
    let many = (0..2 * CONCURRENT).flat_map(|id| (0..3).map(move |name| (id, name)));
    schedule.apply(many.map(|(id, name)| due("A", id, name)).collect());
    let firings = std::iter::from_fn(|| schedule.take_due().ok()).collect::<Vec<_>>();
    let actors = firings.iter().map(|firing| firing.actor.clone()).collect::<BTreeSet<_>>();
    assert_eq!((firings.len(), actors.len()), (CONCURRENT * 7 / 8, CONCURRENT * 7 / 8));
    schedule.apply(vec![due("B", 0, 0)]);
    let neighbour = schedule.take_due().expect("its type has places");
    assert_eq!(&*neighbour.actor.agent_type, "B");
    assert!(!schedule.is_settled());
}
