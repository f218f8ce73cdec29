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
    host.turn(vec![sized("1", 2 * MAX_HEAD), sized("2", MAX_HEAD)]).await;
    host.leave(1);
    let before = host.value(&segment_key(1));
    host.turn(vec![event("3")]).await;
    assert_eq!(host.value(&segment_key(1)), before);
}
