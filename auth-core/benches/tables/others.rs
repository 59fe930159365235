//! What one would write otherwise: a fair lock that each waiter takes in turn, and a bare `Shared`.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::HeaderValue;
use tokio::sync::{Mutex, Notify};

use crate::parts::storm::{Round, Tasks, counted, join};

/// `tokio::sync::Mutex`: the first refreshes under it, the others find the new token, one after the other.
pub async fn mutex(size: usize) -> Round {
    let all = Tasks::new(Held::default());
    let mut tasks = Vec::with_capacity(size);
    for at in 0..size {
        let all = Arc::clone(&all);
        tasks.push(tokio::spawn(async move {
            let (header, polls) = counted(pin!(all.what.header(0)), &all.queued).await;
            std::hint::black_box(header);
            if all.start(size) != at as u64 {
                all.out_of_order.fetch_add(1, Ordering::Relaxed);
            }
            polls
        }));
    }
    all.when_all_wait(size).await;
    all.what.open.notify_one();
    let polls = join(tasks).await;
    let ended = all.what.ended.lock().unwrap().unwrap();
    all.round(ended, polls, size)
}

#[derive(Default)]
struct Held {
    token: Mutex<(u64, String)>,
    open: Notify,
    ended: std::sync::Mutex<Option<Instant>>,
}

impl Held {
    async fn header(&self, rejected: u64) -> HeaderValue {
        let mut token = self.token.lock().await;
        if token.0 == rejected {
            self.open.notified().await;
            *token = (rejected + 1, "T1".to_owned());
            *self.ended.lock().unwrap() = Some(Instant::now());
        }
        HeaderValue::try_from(format!("Bearer {}", token.1)).unwrap()
    }
}

type Refresh = Shared<BoxFuture<'static, (String, Instant)>>;

/// A bare `Shared` of the refresh: everybody is woken at once, and polled at each of its steps that falls to them.
pub async fn shared(size: usize) -> Round {
    let open = Arc::new(Notify::new());
    let all = Tasks::new(refresh(Arc::clone(&open)).boxed().shared());
    let mut tasks = Vec::with_capacity(size);
    for at in 0..size {
        let all: Arc<Tasks<Refresh>> = Arc::clone(&all);
        tasks.push(tokio::spawn(async move {
            let ((token, _), polls) = counted(pin!(all.what.clone()), &all.queued).await;
            std::hint::black_box(HeaderValue::try_from(format!("Bearer {token}")).unwrap());
            if all.start(size) != at as u64 {
                all.out_of_order.fetch_add(1, Ordering::Relaxed);
            }
            polls
        }));
    }
    all.when_all_wait(size).await;
    open.notify_one();
    let polls = join(tasks).await;
    let (_, ended) = all.what.clone().await;
    all.round(ended, polls, size)
}

/// As one over a network, it goes on in steps: each wakes all who wait.
async fn refresh(open: Arc<Notify>) -> (String, Instant) {
    open.notified().await;
    let mut stepped = false;
    poll_fn(|cx| {
        if stepped {
            return Poll::Ready(());
        }
        stepped = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    ("T1".to_owned(), Instant::now())
}
