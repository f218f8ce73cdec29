use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daca_base::json;
use daca_model::CallContext;
use daca_model::backend::{EFFECTS, EFFECTS_METHOD, Error};
use futures::poll;
use serde::de::DeserializeOwned;

use super::*;
use crate::actor::DeadLetterCounts;
use crate::actor::effect_log::DEAD_LETTERS;
use crate::fake::{FakeBackend, FakeHost, actor};

/// Refuses the event `1`, until it is mended.
async fn broken() -> (FakeHost, Arc<AtomicBool>) {
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let backend = FakeBackend::delivering(move |name| match name {
        "1" if !mended.load(Ordering::Relaxed) => Err(Error::Invalid("no such topic".into())),
        _ => Ok(()),
    });
    let host = FakeHost::start(backend).await;
    assert_eq!(host.call("a", "add", "1").await, Ok("1".to_owned()));
    assert_eq!(host.delivered().await, ["1"]);
    (host, is_mended)
}

async fn ask<T: DeserializeOwned>(host: &FakeHost, request: EffectsRequest) -> Result<T, String> {
    let answer = host.actors.handle_effects_request(&actor("a"), request, CallContext::default()).await;
    let answer = answer.map_err(|error| error.code().to_string())?;
    json::read(&answer).map_err(|error| error.to_string())
}

async fn list(host: &FakeHost, from: usize, payload: bool) -> ActorEffects {
    let page = EffectsPage { from, limit: 1, payload };
    ask(host, EffectsRequest::List(page)).await.expect("it is shown")
}

async fn change(host: &FakeHost, action: EffectsAction, id: Option<&str>) -> Result<Vec<String>, String> {
    let change = EffectsChange { action, id: id.map(str::to_owned) };
    let changed = ask::<EffectsChanged>(host, EffectsRequest::Change(change)).await?;
    Ok(changed.effects)
}

fn counts(host: &FakeHost) -> Vec<DeadLetterCounts> {
    host.actors.agents().iter().map(|(agent, _)| agent.dead_letters.read()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_shown_and_leaves_with_its_identity_once_it_is_retried() {
    let (host, is_mended) = broken().await;
    // Nobody buries it here: whoever asks finds it all the same.
    let shown = list(&host, 0, false).await;
    let [letter] = &shown.effects[..] else { panic!("{shown:?}") };
    assert_eq!((shown.pending, shown.dead, shown.next), (0, 1, None));
    assert_eq!(letter.state, EffectState::Dead.into());
    assert_eq!((letter.target.as_str(), letter.attempts, letter.bytes), ("p/t", 1, 1));
    assert_eq!(letter.reason.as_deref(), Some("no such topic"));
    assert!(letter.since_unix_ms.is_some() && letter.since_unix_ms == shown.dead_since_unix_ms);
    assert_eq!(letter.data, None, "it may be secret");
    assert_eq!(list(&host, 0, true).await.effects[0].data.as_deref(), Some("1"));

    is_mended.store(true, Ordering::Relaxed);
    assert_eq!(change(&host, EffectsAction::Retry, Some(&letter.id)).await, Ok(vec![letter.id.clone()]));
    assert_eq!(host.delivered().await, ["1", "1"]);
    let log = host.backend.value(&actor("a"), EFFECTS).unwrap_or_default();
    assert!(log.contains(&format!("\"id\":\"{}\"", letter.id)), "{log}");
    assert_eq!(host.backend.value(&actor("a"), DEAD_LETTERS), None);
    let shown = list(&host, 0, false).await;
    assert_eq!((shown.pending, shown.dead, shown.effects), (0, 0, Vec::new()));
    assert_eq!(counts(&host), [DeadLetterCounts { buried: 1, retried: 1, ..DeadLetterCounts::default() }]);
    assert_eq!(host.call("a", "get", "").await, Ok("1".to_owned()), "the state is as it was");
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_is_a_dead_letter_again_behind_the_others() {
    let (host, _) = broken().await;
    let first = list(&host, 0, false).await.effects[0].id.clone();
    assert_eq!(host.call("a", "add", "1").await, Ok("11".to_owned()));
    host.delivered().await;
    let second = list(&host, 1, false).await;
    assert_eq!((second.dead, second.next), (2, None));
    let second = second.effects[0].id.clone();
    assert_eq!(list(&host, 0, false).await.next, Some(1));
    assert_eq!(change(&host, EffectsAction::Retry, Some(&first)).await, Ok(vec![first.clone()]));
    host.delivered().await;
    let ids =
        [list(&host, 0, false).await, list(&host, 1, false).await].map(|page| page.effects[0].id.clone());
    assert_eq!(ids, [second, first]);
}

/// The guest is neither needed nor asked.
#[tokio::test(start_paused = true)]
async fn the_dead_letters_of_an_actor_that_is_not_active_are_discarded_for_good() {
    let (host, _) = broken().await;
    assert_eq!(list(&host, 0, false).await.dead, 1);
    let next = FakeHost::start(host.backend.clone()).await;
    assert_eq!(list(&next, 0, false).await.dead, 1);
    assert_eq!(change(&next, EffectsAction::Discard, None).await.map(|ids| ids.len()), Ok(1));
    assert_eq!(change(&next, EffectsAction::Discard, None).await, Ok(Vec::new()));
    assert_eq!((next.instances(), counts(&next)[0].discarded), (0, 1));
    assert_eq!(host.backend.value(&actor("a"), DEAD_LETTERS), None);
    let last = FakeHost::start(host.backend.clone()).await;
    assert_eq!(list(&last, 0, false).await.dead, 0);
    assert_eq!(last.delivered().await, ["1"], "it was never tried again");
}

/// It would be in no list and no number, and lies in the state all the same.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_and_cannot_be_a_dead_letter_is_counted_and_shown() {
    let (host, _) = broken().await;
    let given_up = || host.actors.effects_given_up().into_values().sum::<usize>();
    // Enough for the effect log, and not for the dead letter beside it.
    host.backend.limit_commits(300);
    let shown = list(&host, 0, false).await;
    let [effect] = &shown.effects[..] else { panic!("{shown:?}") };
    assert_eq!((shown.pending, shown.dead, given_up()), (1, 0, 1));
    assert_eq!((&effect.state, effect.attempts), (&EffectState::GivenUp.into(), 1));
    assert_eq!(effect.reason.as_deref(), Some("no such topic"));
    // Not even the log can be written.
    host.backend.limit_commits(1);
    assert_eq!(list(&host, 0, false).await.pending, 1);
    let refused = change(&host, EffectsAction::Discard, None).await;
    assert_eq!(refused, Err("sidecar-message-too-large".to_owned()));
    host.backend.limit_commits(0);
    let shown = list(&host, 0, false).await;
    assert_eq!((shown.pending, shown.dead, given_up()), (0, 1, 0));
}

/// The answer to the first request was lost.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_repeated_tells_what_became_of_the_effect() {
    let (host, is_mended) = broken().await;
    let id = list(&host, 0, false).await.effects[0].id.clone();
    let not_dead = async |action: EffectsAction| {
        let change = EffectsRequest::Change(EffectsChange { action, id: Some(id.clone()) });
        let changed = ask::<EffectsChanged>(&host, change).await?;
        assert_eq!(changed.effects, [""; 0]);
        Ok::<_, String>(changed.not_dead)
    };
    is_mended.store(true, Ordering::Relaxed);
    let held = host.backend.hold_deliveries().await;
    assert_eq!(change(&host, EffectsAction::Retry, Some(&id)).await, Ok(vec![id.clone()]));
    assert_eq!(not_dead(EffectsAction::Retry).await, Ok(Some(NotDead::Pending.into())));
    assert_eq!(not_dead(EffectsAction::Discard).await, Err("dead-letter-unknown".to_owned()));
    drop(held);
    assert_eq!(host.delivered().await, ["1", "1"]);
    assert_eq!(not_dead(EffectsAction::Retry).await, Ok(Some(NotDead::Gone.into())));
    // Another host is asked, which may send it once more.
    let next = FakeHost::start(host.backend.clone()).await;
    let again = EffectsChange { action: EffectsAction::Retry, id: Some(id.clone()) };
    let again = ask::<EffectsChanged>(&next, EffectsRequest::Change(again)).await;
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_has_no_more_than_fits_into_a_message() {
    let (host, _) = broken().await;
    for _ in 0..2 {
        host.call("a", "add", "1").await.expect("it is done");
        host.delivered().await;
    }
    let page = async |from: usize| {
        let page = EffectsPage { from, limit: 100, payload: false };
        ask::<ActorEffects>(&host, EffectsRequest::List(page)).await.expect("it is shown")
    };
    let whole = page(0).await;
    assert_eq!((whole.dead, whole.effects.len(), whole.next), (3, 3, None));
    // A quarter is less than two effects, and one is shown in any case.
    host.backend.limit_commits(400);
    let mut found = Vec::new();
    let mut next = Some(0);
    while let Some(from) = next {
        let page = page(from).await;
        assert_eq!(page.effects.len(), 1);
        found.extend(page.effects);
        next = page.next;
    }
    assert_eq!(found, whole.effects);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_identity_changes_nothing_and_no_caller_reaches_the_method_of_the_hosts() {
    let (host, _) = broken().await;
    let refused = change(&host, EffectsAction::Retry, Some("nobody-0")).await;
    assert_eq!(refused, Err("dead-letter-unknown".to_owned()));
    assert_eq!(list(&host, 0, false).await.dead, 1);
    for method in [EFFECTS_METHOD, "daca:", "daca:anything"] {
        assert_eq!(host.call("a", method, "{}").await, Err("method-reserved".to_owned()), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let (host, _) = broken().await;
    assert_eq!(list(&host, 0, false).await.dead, 1);
    let held = host.backend.hold_reads().await;
    let mut first = pin!(list(&host, 0, false));
    assert!(poll!(first.as_mut()).is_pending());
    host.backend.has_held().await;
    {
        let mut given_up = pin!(change(&host, EffectsAction::Discard, None));
        assert!(poll!(given_up.as_mut()).is_pending(), "it waits for its turn");
    }
    drop(held);
    assert_eq!(first.await.dead, 1);
    assert_eq!(list(&host, 0, false).await.dead, 1);
}
