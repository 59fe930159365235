//! A world whose session runs apart: its tasks on a runtime of their own, which can be left undriven, shut down or changed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth_core::{BoxFuture, Runtime};
use auth_testkit::{ManualRuntime, Running, numbered};

use crate::world::{Answer, World};

/// A runtime that hands tasks and sleeps to another one, which can be changed, while its clocks go on.
#[derive(Clone)]
pub struct Switch {
    clock: ManualRuntime,
    tasks: Arc<Mutex<ManualRuntime>>,
}

impl Switch {
    /// With the clocks of this runtime, which has the tasks as well until that is changed.
    pub fn new(clock: &ManualRuntime) -> Self {
        Self { clock: clock.clone(), tasks: Arc::new(Mutex::new(clock.clone())) }
    }

    pub fn to(&self, runtime: &ManualRuntime) {
        *self.tasks.lock().unwrap() = runtime.clone();
    }

    fn current(&self) -> ManualRuntime {
        self.tasks.lock().unwrap().clone()
    }
}

impl Runtime for Switch {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.current().sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.current().spawn(task);
    }

    fn random(&self) -> u64 {
        self.clock.random()
    }
}

/// A world whose session's tasks run on a runtime of their own, while requests and clocks are the world's.
pub struct Apart {
    pub world: World,
    pub switch: Switch,
    pub tasks: ManualRuntime,
}

impl Apart {
    /// Nobody is signed in.
    pub fn new() -> Self {
        let clock = ManualRuntime::new();
        let switch = Switch::new(&clock);
        let runtime = switch.clone();
        let mut world = World::with(|session| session.runtime(runtime), |client| client);
        world.runtime = clock;
        world.store.lockable();
        let tasks = ManualRuntime::new();
        switch.to(&tasks);
        Self { world, switch, tasks }
    }

    pub fn signed_in() -> Self {
        let apart = Self::new();
        let written = apart.world.runtime.start(apart.world.session.sign_in(numbered(0)));
        apart.drive();
        written.take().unwrap().unwrap();
        apart
    }

    /// Lets both sides go on as far as they go without time passing.
    pub fn drive(&self) {
        for _ in 0..20 {
            self.tasks.run_until_stalled();
            self.world.settle();
        }
    }

    /// A request that was rejected and waits for the refresh.
    pub fn rejected(&self, path: &str) -> Running<Answer> {
        let running = self.world.rejected(path);
        self.drive();
        running
    }

    /// From now on the session's tasks run where its requests do.
    pub fn move_home(&self) {
        self.switch.to(&self.world.runtime);
    }
}
