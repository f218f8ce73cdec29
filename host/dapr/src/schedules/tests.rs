use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use daca_base::memory::MemoryBudget;
use daca_model::backend::EFFECTS;
use prost::Message as _;
use tonic::Status;

use super::super::{connection, fake};
use super::*;

/// No type has a limit.
fn timers() -> Timers {
    Timers::within([].into(), MemoryBudget::unlimited())
}

/// A turn that registers a reminder of this name. That of the effects repeats.
fn registers(name: &str) -> TurnCommit {
    let key = WakeupKey { kind: WakeupKind::Reminder, name: name.to_owned() };
    let period = (name == EFFECTS).then_some(Duration::from_secs(60));
    let registration = Registration { due: Duration::ZERO, period, ttl: None, data: Bytes::new() };
    TurnCommit { wakeups: [(key, Some(registration))].into(), ..TurnCommit::default() }
}

/// Whatever the host has forgotten: by the id alone.
#[tokio::test]
async fn the_effects_of_an_actor_whose_id_the_scheduler_refuses_have_a_reminder_elsewhere()
-> anyhow::Result<()> {
    let requests = Arc::<Mutex<Vec<_>>>::default();
    let seen = requests.clone();
    let address = fake::sidecar(move |method, message| {
        // Both messages have type, id and name in the first three fields.
        let request = proto::UnregisterActorReminderRequest::decode(message.clone()).ok();
        let data = proto::RegisterActorReminderRequest::decode(message).ok().map(|request| request.data);
        let request = request.map(|request| (request.actor_type, request.actor_id, request.name));
        seen.lock().push((method.to_owned(), request, data));
        Ok(Vec::new())
    })
    .await?;
    let (client, epoch) = connection::client(&address, None)?;
    let reminders = Reminders::new(client.clone(), fake::http("").await?, None)?;
    let schedules = Schedules::new(client, epoch, SidecarStatus::default(), reminders, timers());
    let key = WakeupKey { kind: WakeupKind::Reminder, name: EFFECTS.to_owned() };
    let named = |actor: &ActorAddress, name: &str| {
        Some((actor.agent_type.to_string(), actor.id.to_string(), name.to_owned()))
    };
    let (odd, plain) = ("A/ada@example.com".parse()?, "A/ada".parse()?);
    let expected = [
        (&odd, named(&effects_proxy(&odd), EFFECTS_OF_ANOTHER), "ada@example.com"),
        (&plain, named(&plain, EFFECTS), ""),
    ];
    for (actor, named, data) in expected {
        schedules.register_all(actor, &registers(EFFECTS)).await?;
        assert!(!schedules.lacks_effect_reminder(actor));
        schedules.remove_after_commit(actor, &key).await?;
        let seen = std::mem::take(&mut *requests.lock());
        let [registered, removed] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((&*registered.0, &*removed.0), ("RegisterActorReminder", "UnregisterActorReminder"));
        assert_eq!((&registered.1, &removed.1), (&named, &named));
        assert_eq!(registered.2.as_deref(), Some(data.as_bytes()));
    }
    Ok(())
}

#[tokio::test]
async fn an_id_that_the_scheduler_refuses_fails_only_turns_that_ask_for_reminders() -> anyhow::Result<()> {
    let refuses = || Status::unknown("job name is invalid: 'ada@example.com'");
    let address = fake::sidecar(move |_, _| Err(refuses())).await?;
    let (client, epoch) = connection::client(&address, None)?;
    let reminders = Reminders::new(client.clone(), fake::http("").await?, None)?;
    let schedules = Schedules::new(client, epoch, SidecarStatus::default(), reminders, timers());
    let actor = "A/ada@example.com".parse()?;
    assert!(!schedules.lacks_effect_reminder(&actor));
    schedules.register_all(&actor, &registers(EFFECTS)).await?;
    assert!(schedules.lacks_effect_reminder(&actor));
    let key = WakeupKey { kind: WakeupKind::Reminder, name: EFFECTS.to_owned() };
    schedules.remove_after_commit(&actor, &key).await?;
    assert!(!schedules.lacks_effect_reminder(&actor), "nothing is left to be woken for");
    let refused = schedules.register_all(&actor, &registers("mine")).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    Ok(())
}

/// What Dapr 1.16 shows of a one-shot reminder with the identity 1.
const SHOWN: &str =
    r#"{"dueTime":"1s","period":"@every 10s","data":"/2RhY2E6b25jZToAAAAAAAAAAAAAAAAAAAABaGk="}"#;

#[tokio::test]
async fn an_actor_does_not_wait_long_for_a_scheduler_to_end_its_reminder() -> anyhow::Result<()> {
    let reads = fake::sidecar(|method, _| Err(Status::unimplemented(method))).await?;
    let (reads, _) = connection::client(&reads, None)?;
    let reminders = Reminders::new(reads, fake::http(SHOWN).await?, None)?;
    // It accepts connections, and answers nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (client, epoch) = connection::client(&format!("http://{}", silent.local_addr()?), None)?;
    let schedules = Schedules::new(client, epoch, SidecarStatus::default(), reminders, timers());
    let key = WakeupKey { kind: WakeupKind::Reminder, name: "r".to_owned() };
    let commit = TurnCommit { handled: Some(FiredWakeup { key, token: 1 }), ..TurnCommit::default() };
    let actor = "A/a".parse()?;
    let ending = schedules.end_once(&actor, &commit);
    assert!(tokio::time::timeout(STORE_TIMEOUT / 2, ending).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn a_one_shot_reminder_repeats_until_the_commit_of_its_turn() -> anyhow::Result<()> {
    let requests = Arc::<Mutex<Vec<(String, Bytes)>>>::default();
    let seen = requests.clone();
    let address = fake::sidecar(move |method, message| match method {
        "RegisterActorReminder" | "UnregisterActorReminder" => {
            seen.lock().push((method.to_owned(), message));
            Ok(Vec::new())
        }
        other => Err(Status::unimplemented(other)),
    })
    .await?;
    let (client, epoch) = connection::client(&address, None)?;
    let reminders = Reminders::new(client.clone(), fake::http(SHOWN).await?, None)?;
    let schedules = Schedules::new(client, epoch, SidecarStatus::default(), reminders, timers());
    let actor = "A/a".parse()?;
    let registering = registers("r");
    schedules.register_all(&actor, &registering).await?;
    let (method, message) = requests.lock().pop().expect("it was registered");
    let registered = proto::RegisterActorReminderRequest::decode(message)?;
    assert_eq!((&*method, &*registered.period), ("RegisterActorReminder", "10000ms"));
    let key = || WakeupKey { kind: WakeupKind::Reminder, name: "r".to_owned() };
    let fired = |token, wakeups| TurnCommit {
        handled: Some(FiredWakeup { key: key(), token }),
        wakeups,
        ..TurnCommit::default()
    };
    for (commit, ends) in [
        (fired(1, BTreeMap::new()), true),
        (fired(2, BTreeMap::new()), false),
        (fired(0, BTreeMap::new()), false),
        (fired(1, registering.wakeups.clone()), false),
        (registers("other"), false),
    ] {
        schedules.end_once(&actor, &commit).await;
        let ended = requests.lock().drain(..).map(|(method, _)| method).collect::<Vec<_>>();
        let expected = if ends { vec!["UnregisterActorReminder"] } else { Vec::new() };
        assert_eq!(ended, expected, "{commit:?}");
    }
    Ok(())
}
