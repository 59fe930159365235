//! Scenes of several processes that are about one moment.
#![cfg(unix)]

use std::path::Path;

use auth_core::{StoreError, TokenStore, Tokens, async_trait};
use auth_stores::FileStore;
use auth_testkit::processes::{Crew, Heard, Launch, MemberId, Outcome, Said, Step, Times, member};
use auth_testkit::server::{Policy, TestServer};

#[cfg(target_os = "linux")]
use crate::disk::TinyDisk;
use crate::support::Dir;

/// So many processes on one file, which have signed in and know it.
fn crew(test: &str, file: &Path, count: usize, policy: impl FnOnce(&mut Policy)) -> (Crew, Vec<MemberId>) {
    let server = TestServer::builder().configure(policy).start().unwrap();
    let address = file.to_str().expect("a path that is text").to_owned();
    let mut crew = Crew::new(server, Launch::this_test(test), address, Times::default());
    let members = crew.start(count).unwrap();
    let tokens = crew.server().issue();
    let given = crew.sign_in(members[0], &tokens).unwrap();
    assert!(crew.outcome(given).unwrap().is_done());
    request(&mut crew, &members);
    (crew, members)
}

/// Each of them makes a request, which succeeds.
fn request(crew: &mut Crew, members: &[MemberId]) {
    let outcomes = crew.requests(members, LONG).unwrap();
    assert!(outcomes.iter().all(Outcome::is_done), "{outcomes:?}");
}

/// Longer than anything here takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(30);

fn at(step: Step) -> impl Fn(&Heard) -> bool {
    move |heard| matches!(&heard.said, Said::At(at, _) if *at == step)
}

/// K1: nobody goes on before the new pair is saved, neither the request that was rejected nor those that wait for it.
#[test]
fn the_pair_is_saved_before_any_request_goes_on() {
    member(|opening| async { FileStore::new(opening.address) });
    let dir = Dir::new();
    let test = "scenes::the_pair_is_saved_before_any_request_goes_on";
    let (mut crew, members) = crew(test, &dir.file(), 1, |_| ());
    crew.server().expire_access_tokens();
    let since = crew.heard().len();
    crew.halt(members[0], Step::Saving).unwrap();
    let given: Vec<_> = (0..3).map(|_| crew.request(members[0], LONG).unwrap()).collect();

    crew.halted(since, members[0], Step::Saving).unwrap();

    let with_the_new =
        |crew: &Crew| crew.server().log().iter().filter(|seen| seen.access_label() == Some("T1")).count();
    assert_eq!(with_the_new(&crew), 0);
    crew.go(members[0]).unwrap();
    for given in given {
        assert!(crew.outcome(given).unwrap().is_done());
    }
    assert_eq!(with_the_new(&crew), 3);
    let heard = &crew.heard()[since..];
    let saved = heard.iter().position(at(Step::Saved)).expect("it is saved");
    let ended = heard.iter().position(|heard| matches!(heard.said, Said::Ended(..)));
    assert!(ended.is_some_and(|ended| saved < ended), "{heard:?}");
}

/// K14: the lock is held over load, refresh and save, and nothing else: not while a request is sent again.
#[test]
fn the_lock_is_given_back_before_the_replay_is_answered() {
    member(|opening| async { FileStore::new(opening.address) });
    let dir = Dir::new();
    let test = "scenes::the_lock_is_given_back_before_the_replay_is_answered";
    let (mut crew, members) = crew(test, &dir.file(), 2, |_| ());
    crew.server().expire_access_tokens();
    crew.server().hold_api_when(|seen| seen.access_label() == Some("T1"));
    let since = crew.heard().len();
    let given = crew.request(members[0], LONG).unwrap();
    crew.server().wait_until(|stats| stats.api_held == 1, LONG).expect("it is sent again, and held");

    crew.until(since, "the lock to be given back", at(Step::Released)).unwrap();

    let steps: Vec<_> = crew.heard()[since..]
        .iter()
        .filter_map(|heard| match &heard.said {
            Said::At(step, _) => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, Step::ALL);
    // Somebody else can have it, and adopts; its request is held as well.
    let since = crew.heard().len();
    let another = crew.request(members[1], LONG).unwrap();
    crew.until(since, "somebody else to have had the lock", at(Step::Released)).unwrap();
    crew.server().release_api();
    for given in [given, another] {
        assert!(crew.outcome(given).unwrap().is_done());
    }
    let stats = crew.server().stats();
    assert_eq!((stats.refreshes_granted, stats.reuse_detected), (1, 0));
}

/// K2: a disk that fills up between the refresh and the save. The room was taken with the lock, so the only copy is saved, and a
/// server that grants no grace never learns of it.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_after_the_refresh_has_room_for_its_pair() {
    member(|opening| async { FileStore::new(opening.address) });
    let test = "scenes::a_disk_that_fills_up_after_the_refresh_has_room_for_its_pair";
    if !TinyDisk::may_be_mounted(test) {
        return;
    }
    let disk = TinyDisk::new();
    let (mut crew, members) = crew(test, &disk.file(), 2, |_| ());
    crew.server().expire_access_tokens();
    let since = crew.heard().len();
    crew.halt(members[0], Step::Saving).unwrap();
    let given = crew.request(members[0], LONG).unwrap();
    crew.halted(since, members[0], Step::Saving).unwrap();

    disk.fill();
    crew.go(members[0]).unwrap();

    assert!(crew.outcome(given).unwrap().is_done());
    disk.make_room();
    request(&mut crew, &members[1..]);
    let stats = crew.server().stats();
    assert_eq!((stats.refreshes_granted, stats.reuse_detected), (1, 0));
}

/// As on a disk that knows no locks.
struct Unlocked(FileStore);

#[async_trait]
impl TokenStore for Unlocked {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        self.0.load().await
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        self.0.save(tokens).await
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.0.clear().await
    }
}

/// K6: without a lock two present the same refresh token. By a server that only refuses the second one, it adopts what the first
/// one has saved.
#[test]
fn without_a_lock_whoever_is_refused_adopts_what_another_has_saved() {
    member(|opening| async { Unlocked(FileStore::new(opening.address)) });
    let dir = Dir::new();
    let test = "scenes::without_a_lock_whoever_is_refused_adopts_what_another_has_saved";
    let (mut crew, members) = crew(test, &dir.file(), 2, |policy| policy.detect_reuse = false);
    crew.server().expire_access_tokens();
    let since = crew.heard().len();
    crew.halt(members[0], Step::Presenting).unwrap();
    let given = crew.request(members[0], LONG).unwrap();
    crew.halted(since, members[0], Step::Presenting).unwrap();
    request(&mut crew, &members[1..]);

    crew.go(members[0]).unwrap();

    assert!(crew.outcome(given).unwrap().is_done());
    let stats = crew.server().stats();
    assert_eq!((stats.refreshes_granted, stats.refreshes_refused), (1, 1));
    crew.server().expire_access_tokens();
    request(&mut crew, &members[..1]);
    assert_eq!(crew.server().stats().refreshes_granted, 2, "with what it has adopted");
}
