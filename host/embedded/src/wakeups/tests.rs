use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use daca_model::CallError;
use daca_model::backend::{EventOutcome, Registration};

use super::*;
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

/// The first time it has a defect.
struct Defective(AtomicU32, tokio::sync::mpsc::UnboundedSender<String>);

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
    let folder = tempfile::TempDir::new().expect("a folder");
    let clock = Clock::of_process().clone();
    let (store, _) = Store::open(folder.path(), HashMap::new(), clock.clone()).expect("a state file");
    let registration = Registration { due: Duration::ZERO, period: None, ttl: None, data: Bytes::new() };
    let wakeups = [(key("r"), Some(registration))].into();
    let turn = Arc::new(TurnCommit { wakeups, ..TurnCommit::default() });
    let changes = store.commit(&ActorAddress::unchecked("A", "a"), &turn).await.expect("it is kept");
    let schedule = Arc::new(Schedule::new(clock, &Weights::default()));
    schedule.apply(changes);
    let (sender, mut fired) = tokio::sync::mpsc::unbounded_channel();
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
