//! Tests of the lanes, on records by hand.

use std::time::Duration;

use auth_core::{ErrorKind, Event, SessionState};

use super::super::scenes::{self, Scene, failed, flights, refreshed, started, token_of};
use super::*;
use crate::simulation::record::{StoreOp, StoreOutcome};

fn lanes(scene: &mut Scene) -> Lanes {
    Lanes::new(&scene.record(), Duration::ZERO)
}

fn lane(lanes: &Lanes, of: Of) -> &Lane {
    lanes.all.iter().find(|lane| lane.of == of).unwrap()
}

fn request(lanes: &Lanes, number: u32) -> &Lane {
    lane(lanes, Of::Process(0, Own::Request(number)))
}

/// What a lane's spans are, with their times in microseconds.
fn phases(lane: &Lane) -> Vec<(Phase, u128, u128)> {
    lane.spans.iter().map(|span| (span.phase, span.from.as_micros(), span.to.as_micros())).collect()
}

fn signs(lane: &Lane) -> Vec<(Sign, u128)> {
    lane.marks.iter().map(|mark| (mark.sign, mark.at.as_micros())).collect()
}

#[test]
fn a_rejected_request_is_queued_until_it_is_sent_again() {
    let mut scene = Scene::default();
    scene.submitted(7).sent(7, 1).at(10).answered(7, 401).at(30).replayed(7, 3, 0);
    scene.at(40).answered(7, 200).settled(7, Ok(200));

    let lanes = lanes(&mut scene);

    let lane = request(&lanes, 7);
    let expected = [(Phase::Sent, 0, 10), (Phase::Queued, 10, 30), (Phase::Replayed, 30, 40)];
    assert_eq!(phases(lane), expected);
    assert_eq!(signs(lane), [(Sign::Rejected, 10), (Sign::Ok, 40)]);
    assert_eq!((lane.spans[0].label.as_str(), lane.spans[2].label.as_str()), ("a1", "a3"));
}

#[test]
fn a_request_that_is_not_sent_at_once_is_queued_first() {
    let mut scene = Scene::default();
    scene.at(5).submitted(0).at(25).sent(0, 3).at(30).answered(0, 503).settled(0, Ok(503));

    let lanes = lanes(&mut scene);

    assert_eq!(phases(request(&lanes, 0)), [(Phase::Queued, 5, 25), (Phase::Sent, 25, 30)]);
    assert_eq!(signs(request(&lanes, 0)), [(Sign::Refused, 30)], "its response says no");
}

#[test]
fn a_request_that_fails_in_line_was_queued_to_its_end() {
    let mut scene = Scene::default();
    scene.submitted(0).sent(0, 1).at(10).answered(0, 401).at(15).settled(0, Err(ErrorKind::SessionEnded));

    let lanes = lanes(&mut scene);

    assert_eq!(phases(request(&lanes, 0)), [(Phase::Sent, 0, 10), (Phase::Queued, 10, 15)]);
    assert_eq!(signs(request(&lanes, 0)), [(Sign::Rejected, 10), (Sign::Failed, 15)]);
}

#[test]
fn a_cancelled_request_is_over_and_a_parked_one_stays() {
    let mut scene = Scene::default();
    scene.submitted(0).sent(0, 1).submitted(1).sent(1, 1);
    scene.at(10).add(What::Cancelled { request: 0 }).add(What::Parked { request: 1 });
    scene.at(50).add(What::Healed);

    let lanes = lanes(&mut scene);

    assert_eq!(phases(request(&lanes, 0)), [(Phase::Sent, 0, 10)]);
    assert_eq!(signs(request(&lanes, 0)), [(Sign::Cancelled, 10)]);
    assert_eq!(phases(request(&lanes, 1)), [(Phase::Sent, 0, 10), (Phase::Parked, 10, 50)]);
    assert_eq!(request(&lanes, 1).spans[1].ended, None, "the record ends first");
}

#[test]
fn a_kill_ends_what_its_process_was_doing() {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.submitted(0).sent(0, 1).add(started(flight)).add(What::State(SessionState::Refreshing));
    scene.process(1).submitted(1).sent(1, 1);
    scene.process(0).at(10).add(What::Killed);
    scene.process(1).at(20).answered(1, 200).settled(1, Ok(200));

    let lanes = lanes(&mut scene);

    assert_eq!(phases(request(&lanes, 0)), [(Phase::Sent, 0, 10)]);
    assert_eq!(signs(request(&lanes, 0)), [(Sign::Killed, 10)]);
    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!((phases(flown), signs(flown)), (vec![(Phase::Flight, 0, 10)], vec![(Sign::Killed, 10)]));
    let session = lane(&lanes, Of::Process(0, Own::Session));
    assert_eq!(phases(session), [(Phase::State(SessionState::Refreshing), 0, 10)]);
    let other = lane(&lanes, Of::Process(1, Own::Request(1)));
    assert_eq!(phases(other), [(Phase::Sent, 0, 20)], "the other process lives on");
}

#[test]
fn a_flight_shows_what_it_does() {
    let [flight, _] = flights();
    let save = scenes::save(3);
    let mut scene = Scene::default();
    scene.add(started(flight)).add(What::Presented { call: 1, refresh: token_of(2) });
    scene.at(10).add(What::Exchanged { call: 1, access: token_of(3), refresh: token_of(4) });
    scene.at(15).add(What::Delivered { call: 1 }).store(1, save);
    scene.at(20).store_done(1, save, Some(3)).at(21).add(refreshed(flight, 0));
    scene.at(30).store(2, StoreOp::Load).at(31).store_done(2, StoreOp::Load, Some(3));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    let expected = [(Phase::Flight, 0, 21), (Phase::Asking, 0, 15), (Phase::Saving, 15, 20)];
    assert_eq!(phases(flown), expected, "the last load is no flight's");
    assert_eq!((flown.rows, signs(flown)), (1, vec![(Sign::Published, 21)]));
    let endpoint = lane(&lanes, Of::Endpoint);
    assert_eq!(phases(endpoint), [(Phase::Asking, 0, 15)]);
    assert_eq!(signs(endpoint), [(Sign::Exchanged, 10), (Sign::Ok, 15)]);
    assert_eq!(phases(lane(&lanes, Of::Store)), [(Phase::Saving, 15, 20), (Phase::Loading, 30, 31)]);
}

#[test]
fn a_flight_that_fails_takes_its_parts_with_it() {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.add(started(flight)).add(What::Presented { call: 1, refresh: token_of(2) });
    scene.at(10).add(failed(flight)).at(20).add(What::Abandoned { call: 1 });

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!(phases(flown), [(Phase::Flight, 0, 10), (Phase::Asking, 0, 10)]);
    assert_eq!(signs(flown), [(Sign::Failed, 10)]);
    assert_eq!(phases(lane(&lanes, Of::Endpoint)), [(Phase::Asking, 0, 20)]);
}

#[test]
fn a_flight_that_finds_another_identity_is_over() {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.add(started(flight)).at(10).add(What::Told(Event::IdentityChanged { epoch: 2 }));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!((phases(flown), signs(flown)), (vec![(Phase::Flight, 0, 10)], vec![(Sign::Failed, 10)]));
}

#[test]
fn a_flight_is_as_long_as_its_session_is_refreshing_though_it_is_told_later() {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.at(10).add(What::State(SessionState::Refreshing));
    scene
        .at(11)
        .store(1, StoreOp::Load)
        .at(12)
        .store_done(1, StoreOp::Load, None)
        .at(13)
        .add(started(flight));
    scene
        .at(20)
        .add(What::State(SessionState::Active))
        .at(25)
        .replayed(0, 3, 0)
        .at(30)
        .add(refreshed(flight, 1));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!(phases(flown), [(Phase::Flight, 10, 20), (Phase::Loading, 11, 12)]);
    assert_eq!((flown.spans[0].label.as_str(), signs(flown)), ("flight 1", vec![(Sign::Published, 20)]));
}

#[test]
fn a_flight_whose_end_is_told_late_does_not_push_the_next_aside() {
    let [first, second] = flights();
    let mut scene = Scene::default();
    scene.add(What::State(SessionState::Refreshing)).add(started(first));
    scene.at(10).add(What::State(SessionState::Active));
    scene.at(20).add(What::State(SessionState::Refreshing)).at(21).add(failed(first)).add(started(second));
    scene.at(30).add(What::State(SessionState::Active)).at(31).add(refreshed(second, 0));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!((flown.rows, phases(flown)), (1, vec![(Phase::Flight, 0, 10), (Phase::Flight, 20, 30)]));
    assert_eq!(signs(flown), [(Sign::Failed, 10), (Sign::Published, 30)]);
}

#[test]
fn marks_are_in_order_though_they_are_told_late() {
    let [flight, _] = flights();
    let mut scene = Scene::default();
    scene.add(What::State(SessionState::Refreshing)).add(started(flight));
    scene.at(20).add(What::State(SessionState::Active));
    scene.at(22).add(What::Told(Event::QueueOpened { flight })).at(25).add(refreshed(flight, 1));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    assert_eq!(signs(flown), [(Sign::Published, 20), (Sign::Opened, 22)]);
}

#[test]
fn a_process_without_a_flight_has_no_lane_for_flights() {
    let mut scene = Scene::default();
    scene.add(What::Started).add(What::Told(Event::Loaded { signed_in: false }));

    let lanes = lanes(&mut scene);

    assert_eq!(lanes.all.iter().map(|lane| lane.of).collect::<Vec<_>>(), [Of::Process(0, Own::Session)]);
}

#[test]
fn two_flights_at_once_are_in_two_rows() {
    let [first, second] = flights();
    let mut scene = Scene::default();
    scene.add(started(first)).at(5).add(started(second));
    scene.add(What::Presented { call: 1, refresh: token_of(2) });
    scene.at(10).add(failed(first)).at(12).add(failed(second));

    let lanes = lanes(&mut scene);

    let flown = lane(&lanes, Of::Process(0, Own::Flights));
    let rows: Vec<(Phase, usize)> = flown.spans.iter().map(|span| (span.phase, span.row)).collect();
    assert_eq!(flown.rows, 2);
    assert_eq!(rows, [(Phase::Flight, 0), (Phase::Flight, 1), (Phase::Asking, 1)]);
    assert_eq!(flown.marks.iter().map(|mark| mark.row).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn the_lock_is_held_until_it_is_given_back_or_lost() {
    let lock = StoreOp::Lock;
    let mut scene = Scene::default();
    scene.store(1, lock).at(1).store_done(1, lock, None);
    scene.process(1).at(2).store(2, lock).at(10).store_done(2, lock, None).at(15).add(What::Unlocked);

    let lanes = lanes(&mut scene);

    let held: Vec<_> = lane(&lanes, Of::Store).spans.iter().filter(|s| s.phase == Phase::Holding).collect();
    assert_eq!((held[0].process, held[0].to.as_micros()), (0, 10), "the next has it");
    assert_eq!((held[1].process, held[1].to.as_micros()), (1, 15));
}

#[test]
fn calls_that_overlap_are_in_rows_of_their_own_and_one_that_hangs_keeps_its_row() {
    let mut scene = Scene::default();
    scene.store(1, StoreOp::Load).at(5).store(2, StoreOp::Load).at(10).store_done(2, StoreOp::Load, None);
    scene.at(10).store(3, StoreOp::Clear).at(12).add(What::StoreEnded {
        call: 3,
        op: StoreOp::Clear,
        outcome: StoreOutcome::Conflict,
    });

    let lanes = lanes(&mut scene);

    let store = lane(&lanes, Of::Store);
    assert_eq!(store.spans.iter().map(|span| span.row).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!((store.rows, store.spans[0].ended), (2, None));
    assert_eq!(store.marks[0].label, "lock lost");
}

#[test]
fn shared_lanes_come_first_and_then_each_process_with_its_own() {
    let lanes = Lanes::new(&scenes::storm().record, Duration::ZERO);

    let names: Vec<String> = lanes.all.iter().map(|lane| lane.of.to_string()).collect();

    assert_eq!(names[..5], ["the plan", "token endpoint", "store", "session", "flights"]);
    assert_eq!(names[5..].len(), 8, "and a lane for each request: {names:?}");
}

#[test]
fn lanes_reach_to_what_ends_the_run() {
    let mut scene = Scene::default();
    scene.submitted(0).sent(0, 1);

    let lanes = Lanes::new(&scene.record(), Duration::from_millis(3));

    assert_eq!(lanes.end, Duration::from_millis(3));
    assert_eq!(request(&lanes, 0).reach(), Some((Duration::ZERO, Duration::from_millis(3))));
}
