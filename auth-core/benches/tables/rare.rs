//! The roads beside the fast one: a late 401, and joining a flight.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Instant;

use auth_core::{Session, StandaloneRuntime};
use auth_testkit::{ScriptedRefresher, numbered};
use futures::FutureExt as _;
use futures::executor::block_on;

use crate::parts::best;
use crate::parts::fast::time;

pub fn print(brief: bool) {
    let (rounds, each) = if brief { (1, 100) } else { (40, 20_000) };
    let (refresher, handle) = ScriptedRefresher::new();
    let session = Session::builder(refresher).runtime(StandaloneRuntime::new()).build();
    block_on(session.sign_in(numbered(0))).unwrap();
    let old = block_on(session.lease()).unwrap().stamp();
    handle.answer_with(|_| Ok(numbered(1)));
    drop(block_on(session.recover(old)).unwrap());
    handle.answer_by_hand();
    let newest = block_on(session.lease()).unwrap().stamp();
    let mut cx = Context::from_waker(Waker::noop());
    // It starts the flight that the others join; its answer never comes.
    let mut first = pin!(session.recover(newest));
    assert!(first.as_mut().poll(&mut cx).is_pending());

    let by_hand = tokio::sync::Mutex::new(());
    let _held = by_hand.try_lock().unwrap();
    let shared = futures::future::pending::<u64>().shared();
    let lock = Mutex::new(0_u64);
    let start = Instant::now();
    let mut late = [f64::MAX; 2];
    let mut join = [f64::MAX; 3];
    for _ in 0..rounds {
        late[0] = best(late[0], time(each, || drop(black_box(session.recover(old).now_or_never()))));
        let floor = || {
            black_box(start.elapsed());
            *lock.lock().unwrap() += 1;
        };
        late[1] = best(late[1], time(each, floor));
        let mut one = || assert!(pin!(session.recover(newest)).poll(&mut cx).is_pending());
        join[0] = best(join[0], time(each, &mut one));
        let mut one = || assert!(pin!(by_hand.lock()).poll(&mut cx).is_pending());
        join[1] = best(join[1], time(each, &mut one));
        let mut one = || assert!(pin!(shared.clone()).poll(&mut cx).is_pending());
        join[2] = best(join[2], time(each, &mut one));
    }
    println!("\na late 401, which finds the newer token at once: ns");
    println!("  this crate               {:6.1}", late[0]);
    println!("  a lock and a clock read  {:6.1}", late[1]);
    println!("joining a flight, one poll, and leaving it: ns");
    println!("  this crate               {:6.1}", join[0]);
    println!("  tokio Mutex              {:6.1}", join[1]);
    println!("  bare Shared              {:6.1}", join[2]);
}
