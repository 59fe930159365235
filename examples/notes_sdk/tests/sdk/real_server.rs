//! Over real sockets: reqwest, tokio, and a server that revokes the whole family of a refresh token it sees twice.

use std::time::Duration;

use auth_core::{Body, SessionState};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use futures::future::{join, join_all};
use notes_sdk::testing::Shelf;
use notes_sdk::{NewNote, Notes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_over_real_sockets_is_one_refresh() {
    let server = TestServer::start().unwrap();
    let transport = ReqwestTransport::new(ReqwestTransport::client_builder().no_proxy().build().unwrap());
    let notes = Notes::builder(Shelf::new(transport))
        .service(format!("{}/api", server.base_url()))
        .login(server.base_url())
        .runtime(TokioRuntime::current())
        .build()
        .unwrap();
    notes.sign_in(server.issue()).await.unwrap();

    let everything = async {
        let note = notes.create(&NewNote { title: "Milk".into(), text: String::new() }).await.unwrap();
        server.expire_access_tokens();
        // None is answered before all have been sent.
        server.hold_api();
        let all_sent = async {
            server.when(|stats| stats.api_held == 20).await;
            server.release_api();
        };
        let (all, ()) = join(join_all((0..20).map(|_| notes.get(note.id))), all_sent).await;
        assert!(all.iter().all(|got| got.as_ref().unwrap() == &note));

        let photo = Body::replayable(|| futures::stream::iter([Ok::<_, std::io::Error>("a photo"), Ok("!")]));
        assert_eq!(notes.attach(note.id, photo).await.unwrap().bytes, 8);
        notes.delete(note.id).await.unwrap();
        assert!(notes.list().await.unwrap().is_empty());

        notes.sign_out().await.unwrap();
        server.when(|stats| stats.revocations == 1).await;
    };
    tokio::time::timeout(Duration::from_secs(30), everything).await.expect("it hangs");

    let stats = server.stats();
    assert_eq!((stats.token_requests, stats.unauthorized, stats.reuse_detected), (1, 20, 0));
    assert_eq!(notes.session().state(), SessionState::SignedOut);
}
