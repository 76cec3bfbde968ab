use std::time::Duration;

use super::*;

fn public(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([203, 0, 113, last]))
}

fn enter(connections: &Connections, address: Option<IpAddr>) -> Place {
    connections.enter(address).expect("a place")
}

/// A table whose places are all taken, each by another address.
fn full(places: u8) -> (Connections, Vec<Place>) {
    let connections = Connections::new(places.into(), 100);
    let places = (0..places).map(|last| enter(&connections, public(last)));
    let places = places.collect();
    (connections, places)
}

/// Some time after the start of `connections`.
fn later(connections: &Connections) -> Instant {
    connections.0.started + Duration::from_secs(1000)
}

/// Records that at [`later`], `place` will have had this activity for `ms`.
fn since(place: &Place, activity: Activity, ms: u64) {
    let time = place.shared.started + Duration::from_millis(1_000_000 - ms);
    place.record(activity, time);
}

fn evicted(places: &[Place]) -> Vec<bool> {
    places.iter().map(Place::is_evicted).collect()
}

#[test]
fn a_public_address_has_a_maximum_and_a_private_one_has_not() {
    let connections = Connections::new(100, 2);
    let first = enter(&connections, public(1));
    let _second = enter(&connections, public(1));
    let refused = connections.enter(public(1)).err();
    assert_eq!(refused, Some(Reason::AddressCap));
    let _other = enter(&connections, public(2));
    let private = Some(IpAddr::from([10, 0, 0, 1]));
    let _proxy: Vec<_> = (0..10).map(|_| enter(&connections, private)).collect();
    drop(first);
    let _third = enter(&connections, public(1));
    assert_eq!(connections.closed().count(Reason::AddressCap), 1);
    assert_eq!(connections.open(), 13);
}

#[test]
fn the_longest_idle_connection_is_evicted_first() {
    let (connections, places) = full(4);
    since(&places[0], Activity::Idle, 1500);
    since(&places[1], Activity::Receiving, 100_000);
    since(&places[2], Activity::Idle, 9000);
    since(&places[3], Activity::Busy, 200_000);
    let _new = connections.enter_at(public(9), later(&connections));
    assert_eq!(evicted(&places), [false, false, true, false]);
    assert_eq!(connections.open(), 4);
}

#[test]
fn without_an_idle_connection_the_slowest_is_evicted_and_a_busy_one_never() {
    let (connections, places) = full(3);
    since(&places[0], Activity::Busy, 500_000);
    since(&places[1], Activity::Receiving, 3000);
    since(&places[2], Activity::Stalled, 4000);
    let new = connections
        .enter_at(public(9), later(&connections))
        .unwrap();
    assert_eq!(evicted(&places), [false, false, true]);
    new.change_activity(Activity::Busy);
    places[1].change_activity(Activity::Busy);
    assert_eq!(connections.enter(public(8)).err(), Some(Reason::NoPlace));
    // Dropping the place of an evicted connection must not remove another entry.
    drop(places);
    assert_eq!(connections.open(), 1);
}

#[test]
fn a_new_connection_whose_request_may_be_on_the_way_outlasts_half_sent_heads() {
    let (connections, places) = full(3);
    since(&places[0], Activity::Receiving, 700);
    since(&places[1], Activity::Idle, 300);
    since(&places[2], Activity::Receiving, 200);
    let _new = connections.enter_at(public(9), later(&connections));
    assert_eq!(evicted(&places), [true, false, false]);
}

#[test]
fn an_evicted_connection_is_woken() {
    use futures_util::task::noop_waker;

    let connections = Connections::new(1, 100);
    let place = enter(&connections, None);
    place.wake_when_evicted(&noop_waker());
    let _new = enter(&connections, None);
    assert!(place.is_evicted());
    assert!(place.entry.waker.take().is_none(), "it was not woken");
}

#[test]
fn above_the_maximum_of_stalled_responses_the_first_one_is_evicted() {
    let connections = Connections::new(10_000, 10_000);
    let places: Vec<_> = (0..=MAX_STALLED_RESPONSES)
        .map(|_| enter(&connections, None))
        .collect();
    for (secs, place) in places.iter().enumerate() {
        place.stall(place.shared.started + Duration::from_secs(secs as u64));
    }
    let evicted = places.iter().filter(|place| place.is_evicted()).count();
    assert!(places[0].is_evicted());
    assert!((1..20).contains(&evicted), "{evicted}");
    assert!(!places[MAX_STALLED_RESPONSES].is_evicted());
}

#[test]
fn few_connections_keep_large_buffers() {
    let connections = Connections::new(10_000, 10_000);
    let mut places: Vec<_> = (0..=MAX_LARGE_BUFFERS)
        .map(|_| enter(&connections, None))
        .collect();
    let last = places.pop().unwrap();
    assert!(places.iter().all(Place::keep_large_buffers));
    assert!(!last.keep_large_buffers());
    assert!(
        places[0].keep_large_buffers(),
        "a granted connection stays granted"
    );
    drop(places.pop());
    assert!(last.keep_large_buffers());
}
