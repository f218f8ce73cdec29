use super::*;

/// The spare connections, and those that may be leaving.
const SPARE: usize = 128;
const LEAVING: usize = SPARE;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn peer(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

impl Connections {
    fn now(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        self.admit(peer, Instant::now()).ok()
    }
}

#[test]
fn a_spare_connection_has_a_moment_to_send_its_request() {
    let connections = Connections::new(1, 1, SPARE, false);
    let start = connections.start;
    let admit = |ms| connections.admit(LOOPBACK, start + Duration::from_millis(ms));
    let works = admit(0).expect("a permit");
    let _handled = works.connection.handle();
    let spare = (0..SPARE as u64).map(|ms| admit(ms).expect("a permit")).collect::<Vec<_>>();
    let evicted = || spare.iter().filter(|one| one.connection.evicted.is_cancelled()).count();
    assert_eq!(admit(200).err().map(|full| full.again_in), Some(Duration::from_millis(50)));
    assert_eq!(evicted(), 0);
    // The first has had its moment, and then the second.
    let next = admit(250).expect("a permit");
    assert!(next.connection.is_spare && spare[0].connection.evicted.is_cancelled());
    assert_eq!(admit(250).err().map(|full| full.again_in), Some(MOMENT));
    assert_eq!(evicted(), 1);
    // One that was answered waits for nothing.
    drop(next.connection.handle());
    next.connection.activity.sent();
    assert!(admit(250).is_ok() && next.connection.evicted.is_cancelled());
    assert_eq!(evicted(), 1);
}

#[test]
fn connections_that_make_room_are_counted_until_they_end() {
    let connections = Connections::new(1, 1, SPARE, false);
    let admit = || connections.admit(LOOPBACK, connections.start).expect("a permit");
    let mut leaving = (0..=LEAVING).map(|_| admit()).collect::<Vec<_>>();
    assert!(leaving.iter().all(|one| !one.connection.is_spare));
    let full = connections.admit(LOOPBACK, connections.start).err();
    assert_eq!(full.map(|full| full.again_in), Some(MOMENT), "too many are leaving");
    leaving.remove(0);
    leaving.push(admit());
    assert!(leaving.iter().all(|one| !one.connection.is_spare));
    drop(leaving);
    assert!(connections.registry().leaving.is_empty() && connections.registry().all.is_empty());
}

#[tokio::test]
async fn who_gets_no_permit_waits_until_one_is_returned() {
    let connections = Connections::new(1, 1, SPARE, false);
    let works = connections.acquire(LOOPBACK).await;
    let _handled = works.connection.handle();
    let mut spare = Vec::new();
    for _ in 0..SPARE {
        spare.push(connections.acquire(LOOPBACK).await);
    }
    let _answered = spare.iter().map(|one| one.connection.handle()).collect::<Vec<_>>();
    let mut waits = Box::pin(connections.acquire(LOOPBACK));
    assert!(futures::poll!(&mut waits).is_pending());
    spare.pop();
    assert!(waits.await.connection.is_spare);
}

#[test]
fn the_longest_idle_makes_room_and_those_that_work_do_not() {
    let connections = Connections::new(2, 2, SPARE, false);
    let first = connections.now(LOOPBACK).expect("a permit");
    let second = connections.now(LOOPBACK).expect("a permit");
    let works = first.connection.handle();
    let third = connections.now(LOOPBACK).expect("a permit");
    assert!(second.connection.evicted.is_cancelled() && !third.connection.is_spare);
    let also_works = third.connection.handle();
    // Now there is none that could go, but health is served.
    let spare = (0..SPARE).map(|_| connections.now(LOOPBACK).expect("a permit")).collect::<Vec<_>>();
    assert!(spare.iter().all(|one| one.connection.is_spare));
    let busy = spare.iter().map(|one| one.connection.handle()).collect::<Vec<_>>();
    assert!(connections.now(LOOPBACK).is_none());
    drop((busy, works, also_works));
    assert!(connections.now(LOOPBACK).is_none(), "the answers are not written yet");
    spare[0].connection.activity.sent();
    assert!(connections.now(LOOPBACK).is_some_and(|one| one.connection.is_spare));
    first.connection.activity.sent();
    third.connection.activity.sent();
    assert!(connections.now(LOOPBACK).is_some_and(|one| !one.connection.is_spare));
    drop((first, second, third, spare));
    assert!(connections.registry().all.is_empty() && connections.registry().spare == 0);
}

#[test]
fn a_peer_takes_its_own_permits_and_nobody_elses() {
    let connections = Connections::new(10, 2, SPARE, false);
    let permits = (0..2).map(|_| connections.now(peer(1)).expect("a permit")).collect::<Vec<_>>();
    let _busy = permits.iter().map(|one| one.connection.handle()).collect::<Vec<_>>();
    assert!(connections.now(peer(1)).is_some_and(|one| one.connection.is_spare));
    assert!(connections.now(peer(2)).is_some_and(|one| !one.connection.is_spare));
    let of_machine = (0..5).map(|_| connections.now(LOOPBACK).expect("a permit")).collect::<Vec<_>>();
    assert!(of_machine.iter().all(|one| !one.connection.is_spare));
    drop(permits);
    assert!(connections.now(peer(1)).is_some_and(|one| !one.connection.is_spare));
}

#[test]
fn others_take_no_permit_of_the_sidecar() {
    let connections = Connections::new(2, 2, SPARE, true);
    let idle = connections.now(LOOPBACK).expect("a permit");
    let others = (1..=2).map(|last| connections.now(peer(last)).expect("a permit")).collect::<Vec<_>>();
    let _busy = others.iter().map(|one| one.connection.handle()).collect::<Vec<_>>();
    assert!(connections.now(peer(3)).is_some_and(|one| one.connection.is_spare));
    assert!(!idle.connection.evicted.is_cancelled());
    let second = connections.now(LOOPBACK).expect("a permit");
    assert!(!second.connection.is_spare);
    // It has a bound as well, and keeps to itself.
    let third = connections.now(LOOPBACK).expect("a permit");
    let evicted = [&idle, &second].map(|one| one.connection.evicted.is_cancelled());
    assert!(evicted.contains(&true) && evicted.contains(&false) && !third.connection.is_spare);
    assert!(others.iter().all(|one| !one.connection.evicted.is_cancelled()));
    drop((idle, second, third, others));
    let registry = connections.registry();
    assert!(registry.all.is_empty() && registry.of_sidecar == 0 && registry.spare == 0);
}

#[test]
fn only_a_sidecar_cuts_calls_off_by_a_half_close() {
    for (behind_sidecar, from, may_half_close) in
        [(true, LOOPBACK, false), (true, peer(1), true), (false, LOOPBACK, true), (false, peer(1), true)]
    {
        let permit = Connections::new(1, 1, SPARE, behind_sidecar).now(from).expect("a permit");
        assert_eq!(permit.connection.may_half_close(), may_half_close, "{behind_sidecar} {from}");
    }
}

#[test]
fn a_machine_is_one_peer() {
    let of = |text: &str| key(text.parse().expect("an address"));
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    assert_eq!((of("::1"), of("127.0.0.2"), of("::ffff:127.0.0.1")), (None, None, None));
}
