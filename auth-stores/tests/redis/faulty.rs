//! Connections that a network has broken: answers that are lost, commands that arrive late.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use auth_core::{StandaloneRuntime, TokenStore};
use auth_stores::RedisStore;
use auth_stores::redis::aio::{ConnectionLike, MultiplexedConnection};
use auth_stores::redis::{Cmd, Pipeline, RedisError, RedisFuture, Value, cmd};
use auth_testkit::{numbered, rotating};

use crate::support::{Server, block_on, on_smol, stored};

/// What is done to the commands that go through it.
#[derive(Clone, Debug)]
enum Fault {
    /// Every second one is carried out, and its answer lost.
    Deaf(Arc<AtomicUsize>),
    /// Each is carried out once more, after the next one.
    Late(Arc<Mutex<Option<Cmd>>>),
}

#[derive(Clone)]
struct Faulty {
    connection: MultiplexedConnection,
    fault: Fault,
}

impl ConnectionLike for Faulty {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let answer = self.connection.req_packed_command(command).await;
            match &self.fault {
                Fault::Deaf(count) if count.fetch_add(1, Ordering::SeqCst) % 2 == 0 => {
                    Err(RedisError::from(io::Error::from(io::ErrorKind::BrokenPipe)))
                }
                Fault::Deaf(_) => answer,
                Fault::Late(before) => {
                    let late = before.lock().unwrap().replace(command.clone());
                    if let Some(late) = late {
                        drop(self.connection.req_packed_command(&late).await);
                    }
                    answer
                }
            }
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        unreachable!("the store sends one command at a time")
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn store(server: &Server, fault: Fault) -> RedisStore<Faulty> {
    // The server knows the scripts by then.
    block_on(async {
        let whole = on_smol(server, "s").await;
        whole.lock().await.unwrap().unwrap().release().await;
        whole.clear().await.unwrap();
    });
    let connection = block_on(async { server.client().get_multiplexed_async_connection().await.unwrap() });
    RedisStore::new(Faulty { connection, fault }, StandaloneRuntime::new(), "s")
}

#[test]
fn a_lost_answer_is_asked_for_once_more_and_nothing_is_done_twice() {
    let server = Server::start();
    let store = store(&server, Fault::Deaf(Arc::default()));
    block_on(async {
        store.save(&numbered(0)).await.unwrap();
        for n in 0..10 {
            let mut guard = store.lock().await.unwrap().unwrap();
            let there = guard.load().await.unwrap().unwrap();
            assert_eq!(there, numbered(n));
            guard.save(&rotating(&there).unwrap()).await.unwrap();
            guard.release().await;
            assert!(!server.ask::<bool>(cmd("EXISTS").arg("{auth:s}:lease")));
        }
        store.clear().await.unwrap();
    });
    assert_eq!(block_on(stored(&store)), None);
}

#[test]
fn a_write_that_arrives_late_does_not_overtake_a_later_one() {
    let server = Server::start();
    let store = store(&server, Fault::Late(Arc::default()));
    block_on(async {
        for n in 0..10 {
            store.save(&numbered(2 * n)).await.unwrap();
            assert_eq!(stored(&store).await, Some(format!("T{}", 2 * n)));
            store.clear().await.unwrap();
            assert_eq!(stored(&store).await, None);
            let mut guard = store.lock().await.unwrap().unwrap();
            guard.save(&numbered(2 * n)).await.unwrap();
            guard.save(&numbered(2 * n + 1)).await.unwrap();
            guard.clear().await.unwrap();
            guard.save(&numbered(2 * n + 1)).await.unwrap();
            assert_eq!(guard.load().await.unwrap(), Some(numbered(2 * n + 1)));
            guard.release().await;
        }
    });
    assert_eq!(block_on(stored(&store)).as_deref(), Some("T19"));
}
