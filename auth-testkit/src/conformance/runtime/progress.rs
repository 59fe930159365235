//! Tasks run, whoever wakes them and whoever else waits, until they are done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use futures::StreamExt as _;
use futures::channel::{mpsc, oneshot};
use futures::future::join_all;

use super::world::{OnDrop, World, thread};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::lock::lock;

const TIMES: usize = 1_000;

pub(super) async fn task(world: &World) -> Verdict {
    world.done("a task that returns at once", world.spawn(async {})).await
}

/// `spawn` does not wait for the task, which waits for what the spawner does next.
pub(super) async fn background(world: &World) -> Verdict {
    world.stage("within spawn: it waits for the task, which waits for what comes after");
    let (go_on, wait) = oneshot::channel();
    let task = world.spawn(wait);
    let _ = go_on.send(());

    world.done("a task that was told to go on", task).await?.map_err(|error| error.to_string())
}

pub(super) async fn own_wake_ups(world: &World) -> Verdict {
    let mut left = TIMES;
    let task = world.spawn(std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }));

    world.done("a task that wakes itself while it is polled", task).await
}

pub(super) async fn wake_ups_from_threads(world: &World) -> Verdict {
    // One by one: the task is idle whenever the thread wakes it.
    let (there, inbox) = mpsc::unbounded();
    let (back, mut answers) = mpsc::unbounded();
    let task = world.spawn(inbox.for_each(move |number: usize| {
        let _ = back.unbounded_send(number);
        std::future::ready(())
    }));
    let turns = move || {
        futures::executor::block_on(async {
            for number in 0..TIMES {
                if there.unbounded_send(number).is_err() || answers.next().await != Some(number) {
                    break;
                }
            }
        });
    };
    thread(turns)?;
    world.done("a task that another thread wakes again and again", task).await?;

    // All at once: it may be polled at that moment.
    let (there, inbox) = mpsc::unbounded();
    let task = world.spawn(inbox.for_each(|_| std::future::ready(())));
    let crowd = move || (0..TIMES).for_each(|number| drop(there.unbounded_send(number)));
    thread(crowd)?;
    world.done("a task that another thread wakes while it is polled", task).await
}

pub(super) async fn beside_waiting_ones(world: &World) -> Verdict {
    let (held, others): (Vec<_>, Vec<_>) = (0..100)
        .map(|_| {
            let (go_on, wait) = oneshot::channel::<()>();
            (go_on, world.spawn(wait))
        })
        .unzip();

    world.done("a task behind a hundred others that wait", world.spawn(async {})).await?;

    drop(held);
    world.wait("a hundred tasks that waited", join_all(others)).await;
    KEPT
}

/// Each waits for its own signal; the last is signalled first.
pub(super) async fn many(world: &World) -> Verdict {
    let (mut signals, tasks): (Vec<_>, Vec<_>) = (0..TIMES)
        .map(|number| {
            let (signal, wait) = oneshot::channel();
            let task = world.spawn(async move { wait.await.ok().map(|()| number) });
            (signal, task)
        })
        .unzip();
    while let Some(signal) = signals.pop() {
        let _ = signal.send(());
    }

    let answers = world.wait(&format!("{TIMES} tasks"), join_all(tasks)).await;

    let ran = answers.iter().enumerate().filter(|(number, answer)| **answer == Ok(Some(*number))).count();
    ensure!(ran == TIMES, "of {TIMES} tasks {ran} ran to their end");
    KEPT
}

/// It keeps what it holds until it is dropped, so that dropping it can be seen.
pub(super) async fn done_is_dropped(world: &World) -> Verdict {
    let (gone, dropped) = oneshot::channel();
    let held = OnDrop::new(move || _ = gone.send(()));
    let (polls, kept) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None::<Waker>)));
    let (counted, keeps) = (Arc::clone(&polls), Arc::clone(&kept));
    world.runtime.spawn(Box::pin(std::future::poll_fn(move |cx| {
        let _ = &held;
        counted.fetch_add(1, Ordering::Relaxed);
        *lock(&keeps) = Some(cx.waker().clone());
        Poll::Ready(())
    })));
    world.done("a task that is done to be dropped", dropped).await?;
    let polls = polls.load(Ordering::Relaxed);
    ensure!(polls == 1, "a task that was done at its first poll was polled {polls} times");

    let waker = lock(&kept).take();
    if let Some(waker) = waker {
        waker.wake();
    }
    world.done("a task after one that was woken when it was done", world.spawn(async {})).await
}
