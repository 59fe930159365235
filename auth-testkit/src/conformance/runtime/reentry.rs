//! Who spawns: tasks, their destructors, and threads that know nothing of the runtime.

use std::sync::Arc;

use auth_core::Runtime;
use futures::StreamExt as _;
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::channel::oneshot;

use super::world::{OnDrop, Ready, World, panic_quietly, thread};
use crate::conformance::clause::{KEPT, Verdict, ensure};

const GENERATIONS: usize = 50;
const THREADS: usize = 8;

pub(super) async fn tasks_spawn(world: &World) -> Verdict {
    fn generation(runtime: &Arc<dyn Runtime>, left: usize, done: oneshot::Sender<()>) {
        let next = Arc::clone(runtime);
        runtime.spawn(Box::pin(async move {
            match left {
                0 => _ = done.send(()),
                _ => generation(&next, left - 1, done),
            }
        }));
    }

    let (done, wait) = oneshot::channel();
    generation(&world.runtime, GENERATIONS, done);

    world.done("a task of a task of a task, and so on", wait).await
}

pub(super) async fn destructors_spawn(world: &World) -> Verdict {
    let spawns = || {
        let (runtime, (done, wait)) = (Arc::clone(&world.runtime), oneshot::channel());
        let spawn = move || runtime.spawn(Box::pin(async move { _ = done.send(()) }));
        (OnDrop::new(spawn), wait)
    };

    let (held, task) = spawns();
    world.runtime.spawn(Box::pin(Ready { _held: held }));
    world.done("a task that the destructor of one that is done spawns", task).await?;

    let (held, task) = spawns();
    world.runtime.spawn(Box::pin(async move {
        let _held = held;
        panic_quietly();
    }));
    world.done("a task that the destructor of one that panics spawns", task).await
}

pub(super) async fn threads_spawn(world: &World) -> Verdict {
    let (ran, mut answers) = unbounded();
    for number in 0..THREADS {
        let (runtime, ran) = (Arc::clone(&world.runtime), ran.clone());
        thread(move || each(&*runtime, number, &ran))?;
    }
    drop(ran);

    let mut count = 0;
    while world.wait("tasks that threads outside of the runtime spawn", answers.next()).await.is_some() {
        count += 1;
    }
    ensure!(count == THREADS * THREADS, "of {} tasks {count} ran", THREADS * THREADS);
    KEPT
}

fn each(runtime: &dyn Runtime, number: usize, ran: &UnboundedSender<usize>) {
    for task in 0..THREADS {
        let ran = ran.clone();
        runtime.spawn(Box::pin(async move {
            let _ = ran.unbounded_send(number * THREADS + task);
        }));
    }
}
