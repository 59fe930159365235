//! A small executor that keeps the contract, with a place for each fault in what it does with tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime, StandaloneRuntime};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    DropsTasks,
    RunsThemAtOnce,
    OneAfterAnother,
    RoomForTen,
    IgnoresOwnWakeUps,
    IgnoresOtherThreads,
    KeepsWhatIsDone,
    PollsWhatIsDone,
    DiesOfPanics,
    DiesOfLatePanics,
    DiesOfDestructors,
    KeepsWhatPanicked,
    DropsOthersAtAPanic,
    DropsLaterOnesAfterAPanic,
    DiesOfStaleWakeUps,
    LockedWhilePolling,
    LockedWhileDropping,
    SpawnsOnOneThread,
    KeepsTasksAtTheEnd,
    EndsAtAPanic,
    LockedAtTheEnd,
    KeepsLaterTasks,
    PanicsAfterTheEnd,
    NoClockAfterTheEnd,
}

/// One thread, a queue of what was woken, and a list of all tasks for the end.
pub(crate) struct Own {
    shared: Arc<Shared>,
    timer: StandaloneRuntime,
}

struct Shared {
    fault: Fault,
    woken: Sender<Arc<Task>>,
    all: Mutex<Vec<Arc<Task>>>,
    driver: ThreadId,
    maker: ThreadId,
    ended: AtomicBool,
    spawned: AtomicUsize,
    locked: Mutex<()>,
}

struct Task {
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    shared: Arc<Shared>,
    number: usize,
    polling: AtomicBool,
    polled: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Own {
    pub(crate) fn new(fault: Fault) -> Self {
        let (woken, queue) = channel::<Arc<Task>>();
        let drive = move || queue.iter().for_each(|task| task.run());
        let driver = std::thread::spawn(drive).thread().id();
        let shared = Arc::new(Shared {
            fault,
            woken,
            all: Mutex::default(),
            driver,
            maker: std::thread::current().id(),
            ended: AtomicBool::new(false),
            spawned: AtomicUsize::new(0),
            locked: Mutex::new(()),
        });
        Self { shared, timer: StandaloneRuntime::new() }
    }

    pub(crate) fn shut_down(&self) {
        let fault = self.shared.fault;
        self.shared.ended.store(true, Ordering::SeqCst);
        if fault == Fault::KeepsTasksAtTheEnd {
            return;
        }
        let _locked = (fault == Fault::LockedAtTheEnd).then(|| lock(&self.shared.locked));
        let all = std::mem::take(&mut *lock(&self.shared.all));
        for task in all {
            let future = lock(&task.future).take();
            match fault {
                Fault::EndsAtAPanic => drop(future),
                _ => _ = quietly(|| drop(future)),
            }
        }
    }

    fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::SeqCst)
    }
}

impl Runtime for Own {
    fn now(&self) -> SystemTime {
        self.timer.now()
    }

    fn elapsed(&self) -> Duration {
        assert!(self.shared.fault != Fault::NoClockAfterTheEnd || !self.ended(), "the clock has stopped");
        self.timer.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.timer.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let shared = &self.shared;
        let number = shared.spawned.fetch_add(1, Ordering::SeqCst);
        match shared.fault {
            Fault::DropsTasks => return,
            Fault::RunsThemAtOnce => {
                let _ = std::thread::spawn(|| futures::executor::block_on(task)).join();
                return;
            }
            Fault::RoomForTen if number >= 10 => return,
            Fault::SpawnsOnOneThread if std::thread::current().id() != shared.maker => return,
            Fault::LockedWhilePolling | Fault::LockedWhileDropping | Fault::LockedAtTheEnd => {
                drop(lock(&shared.locked));
            }
            _ => {}
        }
        if self.ended() {
            match shared.fault {
                Fault::KeepsLaterTasks => std::mem::forget(task),
                Fault::PanicsAfterTheEnd => panic!("this runtime has ended"),
                _ => _ = quietly(|| drop(task)),
            }
            return;
        }
        let task = Arc::new(Task {
            future: Mutex::new(Some(task)),
            shared: Arc::clone(shared),
            number,
            polling: AtomicBool::new(false),
            polled: AtomicBool::new(false),
        });
        lock(&shared.all).push(Arc::clone(&task));
        let _ = shared.woken.send(task);
    }
}

impl Task {
    fn run(self: &Arc<Self>) {
        let fault = self.shared.fault;
        if fault == Fault::OneAfterAnother {
            let Some(future) = lock(&self.future).take() else { return };
            let _ = quietly(|| futures::executor::block_on(future));
            return;
        }
        let Some(mut future) = lock(&self.future).take() else {
            assert!(fault != Fault::DiesOfStaleWakeUps, "there is no such task");
            return;
        };
        let waker = Waker::from(Arc::clone(self));
        let mut poll = || {
            let _locked = (fault == Fault::LockedWhilePolling).then(|| lock(&self.shared.locked));
            self.polling.store(true, Ordering::SeqCst);
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            self.polling.store(false, Ordering::SeqCst);
            polled
        };
        let again = self.polled.swap(true, Ordering::SeqCst);
        let polled = match fault {
            Fault::DiesOfPanics => Ok(poll()),
            Fault::DiesOfLatePanics if again => Ok(poll()),
            _ => quietly(poll),
        };
        match (polled, fault) {
            (Ok(Poll::Pending), _) => {
                *lock(&self.future) = Some(future);
                // Of a runtime that has ended meanwhile.
                if self.shared.ended.load(Ordering::SeqCst) && fault != Fault::KeepsTasksAtTheEnd {
                    let _ = quietly(|| drop(lock(&self.future).take()));
                }
            }
            (Ok(Poll::Ready(())), Fault::KeepsWhatIsDone) => std::mem::forget(future),
            (Err(()), Fault::KeepsWhatPanicked) => std::mem::forget(future),
            (Err(()), Fault::DropsOthersAtAPanic) => {
                let before = lock(&self.shared.all).clone();
                let before = before.iter().filter(|task| task.number < self.number);
                before.for_each(|task| _ = lock(&task.future).take());
            }
            (Err(()), Fault::DropsLaterOnesAfterAPanic) => self.shared.ended.store(true, Ordering::SeqCst),
            (Ok(Poll::Ready(())), Fault::DiesOfDestructors) => drop(future),
            (Ok(Poll::Ready(())), Fault::PollsWhatIsDone) if self.number == 0 => {
                let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
            }
            _ => {
                let _locked = (fault == Fault::LockedWhileDropping).then(|| lock(&self.shared.locked));
                let _ = quietly(|| drop(future));
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        let here = std::thread::current().id() == self.shared.driver;
        match self.shared.fault {
            Fault::IgnoresOwnWakeUps if self.polling.load(Ordering::SeqCst) => {}
            Fault::IgnoresOtherThreads if !here => {}
            _ => _ = self.shared.woken.send(Arc::clone(&self)),
        }
    }
}

fn quietly<T>(call: impl FnOnce() -> T) -> Result<T, ()> {
    catch_unwind(AssertUnwindSafe(call)).map_err(drop)
}
