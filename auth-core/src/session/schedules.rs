//! Schedules: the queue, the watches and whole sessions under the model checker `shuttle`.
//!
//! Each test runs a small program many times. Every lock, every atomic and every yield is a point where the scheduler may let
//! another task go on; tasks stand for threads. `check` says how schedules are chosen and how one is run again, `world` has
//! the tasks and the time, `scene` a session with its `server` and its `shelf`, `chronicle` what events must say.
//!
//! What a task does between two such points is one step for the model. So it sees all that may happen between locks, and
//! nothing of weak memory orderings. `futures::Shared`, oneshots and `arc-swap` are the real ones: no such point is inside
//! them.

mod check;
mod chronicle;
mod pool;
mod queue;
mod runtimes;
mod scene;
mod server;
mod session;
mod shelf;
mod stores;
mod trouble;
mod watch;
mod world;
