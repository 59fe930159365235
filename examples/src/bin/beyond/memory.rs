//! The memory of sessions that nobody uses: allocations that are counted as they are made, not what the system has granted.

use allocation_counter::{AllocationInfo, measure};
use futures::FutureExt as _;

use crate::day::{Plan, Refreshing, World};
use crate::machine::Jitter;
use crate::store::Locking;

/// What so many sessions hold in one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) refreshing: Refreshing,
    pub(crate) sessions: u32,
    pub(crate) bytes: i64,
    pub(crate) allocations: i64,
    /// What the second thread that uses them adds: a copy of each header.
    pub(crate) thread: i64,
}

/// Counts what the sessions of a process hold which have been used once: the pool, the sessions, their tokens and their
/// timers; not the store, nor the server.
///
/// # Panics
///
/// Where a session cannot be had: nothing goes wrong in this world.
pub(crate) fn idle(sessions: u32, refreshing: Refreshing, seed: u64) -> Memory {
    let plan = Plan {
        sessions,
        processes: 2,
        homes: 1,
        hours: 1,
        window: 300,
        seed,
        refreshing,
        jitter: Jitter::Drawn,
        locking: Locking::Rows,
    };
    let world = World::new(plan);
    let runtime = &world.machine.runtime;
    for user in 0..sessions {
        runtime.block_on(world.sign_in(user, 1)).expect("a sign-in");
        world.pools[1].remove(&user);
    }
    let held = measure(|| {
        for user in 0..sessions {
            let session = world.pools[0].get(&user).expect("a session");
            let turn = runtime.block_on(session.lease()).expect("a lease");
            assert!(!turn.header().1.is_empty(), "the header is made when it is first used");
        }
        runtime.run_until_stalled();
    });
    let AllocationInfo { count_current, bytes_current, .. } = held;
    Memory { refreshing, sessions, bytes: bytes_current, allocations: count_current, thread: thread(&world) }
}

/// The bytes that stay when another thread has used every session.
fn thread(world: &World) -> i64 {
    let use_each = || {
        for user in 0..world.plan.sessions {
            let session = world.pools[0].get(&user).expect("a session");
            let turn = session.lease().now_or_never().expect("a fresh token").expect("a lease");
            assert!(!turn.header().1.is_empty(), "the header is made when it is first used");
        }
    };
    let counted = std::thread::scope(|scope| scope.spawn(|| measure(use_each)).join());
    counted.expect("a thread").bytes_current
}
