//! One flight, one queue.

use auth_testkit::numbered;

use crate::world::{World, status};

/// C1: N parallel 401s for T0 make exactly one refresh and N replays with T1, and all succeed.
#[test]
fn parallel_rejections_make_one_refresh() {
    let world = World::signed_in();
    let waiting: Vec<_> = (0..20).map(|n| world.get(&format!("/{n}"))).collect();
    for _ in 0..20 {
        assert_eq!(world.api_answers(401).as_deref(), Some("T0"));
    }

    world.refresh_answers(numbered(1));
    for _ in 0..20 {
        assert_eq!(world.api_answers(200).as_deref(), Some("T1"));
    }

    assert!(waiting.iter().all(|request| status(request) == 200));
    assert_eq!(world.refresher.calls(), 1);
    assert_eq!(world.bearers()[20..], vec!["T1"; 20]);
    assert_eq!(world.stored().as_deref(), Some("T1"));
}
