//! Segments that are written again.

use super::*;

/// After a crash it would be sent from there, even if somebody has discarded it by then.
#[tokio::test]
async fn what_became_a_dead_letter_has_left_its_segment() {
    let mut host = Stored::new();
    host.turn(vec![event("1"), sized("2", MAX_HEAD), event("3")]).await;
    assert!(host.value(&segment_key(1)).is_some(), "the backlog is long");
    let reason =
        GivenUp { reason: "no such topic".into(), code: "invalid".into(), attempts: 1, at_unix_ms: 7 };
    host.first().give_up(reason);
    let mut commit = TurnCommit::default();
    let staged = host.log.stage(Vec::new(), &host.log.given_up(), &mut commit);
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    host.log.committed(staged);
    assert_eq!(host.next().await.1, ids(&["2", "3"]));
    // Somebody retries it.
    host.turn(vec![event("1")]).await;
    assert_eq!(host.next().await.1, ids(&["2", "3", "1"]));
    let stored = StoredLog::read(&*host.backend, &actor("a")).await.expect("the log is read");
    assert_eq!(host.log.reload(stored).len(), 0);
    assert_eq!(host.waiting(), ids(&["2", "3", "1"]));
}

/// An effect that waits for a day would keep in the store all that has left since, and after a crash all of it would
/// leave again.
#[tokio::test]
async fn a_segment_of_which_little_waits_is_written_again() {
    let mut host = Stored::new();
    host.turn(vec![sized("1", MAX_HEAD), event("2")]).await;
    host.leave(1);
    host.log.forget_sent();
    host.turn(vec![event("3")]).await;
    let segment = host.value(&segment_key(1)).expect("an effect of it waits");
    assert!(segment.len() < MAX_HEAD / 4, "{segment}");
    assert_eq!((host.next().await.1, host.log.entries.len()), (ids(&["2", "3"]), 2));
    host.leave(1);
    host.turn(Vec::new()).await;
    assert_eq!((host.next().await.1, host.value(&segment_key(1))), (ids(&["3"]), None));

    // A turn has no room for what waits.
    let mut host = Stored::new();
    host.turn(vec![sized("1", MAX_HEAD), sized("2", MAX_HEAD / 2)]).await;
    host.leave(1);
    let before = host.value(&segment_key(1));
    host.turn(vec![event("3")]).await;
    assert_eq!(host.value(&segment_key(1)), before);
}

/// Nobody could write a long one again, and after a crash all of it would leave again.
#[tokio::test]
async fn a_turn_with_many_effects_has_several_segments_and_a_removal_leaves_nothing_that_has_left() {
    let mut host = Stored::new();
    let all = (0..300).map(|number| sized(&number.to_string(), MAX_HEAD / 64)).collect::<Vec<_>>();
    let names = all.iter().map(|effect| effect.id.clone()).collect::<Vec<_>>();
    host.turn(all).await;
    assert_eq!(host.next().await.1, names);
    for left in [1, 100, 250, 299] {
        host.leave(left - (300 - host.waiting().len()));
        host.log.forget_sent();
        assert!(host.log.is_behind());
        let mut commit = TurnCommit::default();
        let staged = host.log.stage_removal(&mut commit);
        let written = commit.writes.values().map(|write| match write {
            StateWrite::Set { value, .. } => value.len(),
            StateWrite::Delete => 0,
        });
        assert!(written.sum::<usize>() < 3 * MAX_HEAD, "{left}");
        host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
        host.log.committed(staged);
        assert_eq!(host.next().await.1, names[left..], "{left}");
        assert!(!host.log.is_behind() && !host.log.is_outdated(), "{left}");
    }
    host.leave(1);
    assert!(host.log.is_outdated());
    host.turn(Vec::new()).await;
    assert_eq!((host.value(HEAD), host.next().await.1.len()), (None, 0));
}

/// Commits a removal.
async fn remove(host: &mut Stored) {
    let mut commit = TurnCommit::default();
    let staged = host.log.stage_removal(&mut commit);
    let is_unfinished = staged.is_unfinished();
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    host.log.committed(staged);
    assert_eq!(is_unfinished, host.log.is_behind());
}

/// Of two targets one is away, so that most of each segment waits. After a crash all of the rest would leave again.
#[tokio::test]
async fn what_is_not_worth_the_writes_of_a_turn_is_removed_in_rounds_that_end() {
    let mut host = Stored::new();
    let bytes = |number: usize| if number.is_multiple_of(2) { 0 } else { MAX_HEAD / 32 };
    let effects = (0..400).map(|number| sized(&number.to_string(), bytes(number))).collect::<Vec<_>>();
    let waiting = effects.iter().skip(1).step_by(2).map(|effect| effect.id.clone()).collect::<Vec<_>>();
    host.turn(effects).await;
    let effects = host.log.entries.iter().step_by(2).filter_map(|entry| entry.effect.as_ref());
    effects.for_each(|effect| effect.left());
    host.turn(Vec::new()).await;
    assert!(!host.log.is_outdated(), "nothing is worth the writes of a turn");
    assert_eq!((host.next().await.1.len(), host.log.is_behind()), (400, true));
    let mut rounds = 0;
    while host.log.is_behind() {
        assert!(rounds < host.log.segments.len(), "each round writes a segment");
        remove(&mut host).await;
        rounds += 1;
    }
    assert!(rounds > 1, "a removal has no room for all");
    assert_eq!((host.next().await.1, host.waiting()), (waiting.clone(), waiting));
}

/// As another release may have written one.
#[tokio::test]
async fn a_segment_that_is_too_long_for_any_removal_does_not_keep_them_going() {
    let host = Stored::new();
    let text = |name| StoredEffect::new(sized(name, MAX_HEAD), 5).expect("it can be stored").text;
    let texts = ["1", "2", "3"].map(text);
    let set = |value| StateWrite::Set { value, ttl: None };
    let segment = set(stored::text(&[], &texts.each_ref()));
    let writes = [(segment_key(1), segment), (HEAD.to_owned(), set(stored::text(&[1], &[])))].into();
    let commit = TurnCommit { writes, ..TurnCommit::default() };
    host.backend.commit(&actor("a"), &commit).await.expect("it is kept");
    let (log, _) = host.next().await;
    let mut next = Stored { backend: host.backend.clone(), log };
    next.leave(1);
    assert!(next.log.is_behind());
    remove(&mut next).await;
    assert!(!next.log.is_behind());
    next.leave(1);
    remove(&mut next).await;
    assert_eq!(next.next().await.1, ids(&["3"]), "what waits is not longer than the room any more");
}

/// Turns of an actor must not become slower with its backlog.
#[tokio::test]
async fn a_turn_looks_at_a_backlog_once_a_good_part_of_it_has_ended_and_the_host_always() {
    let mut host = Stored::new();
    for turn in 0..10 {
        let effects = (0..10).map(|effect| sized(&format!("{turn}/{effect}"), MAX_HEAD / 8));
        host.turn(effects.collect()).await;
    }
    let looks = |host: &Stored, names: &[&str]| {
        let new = names.iter().map(|name| event(name)).collect();
        let new = logged(new, 5).expect("it can be stored");
        host.log.stage(new, &[], &mut TurnCommit::default()).looked
    };
    assert!(!looks(&host, &["new"]) && !host.log.is_outdated());
    host.leave(12);
    assert!(!looks(&host, &["new"]) && host.log.is_outdated(), "12 of 100");
    assert!(looks(&host, &[]), "in a commit of the host");
    host.leave(1);
    assert!(looks(&host, &["new"]));
    host.turn(vec![event("last")]).await;
    assert_eq!(host.value(&segment_key(1)), None, "nothing of it waits");
    assert!(!looks(&host, &["new"]) && !host.log.is_outdated(), "there is nothing left to do");
    assert_eq!(host.next().await.1.len(), 100 - 10 + 1);
}
