//! A crew: a server, and processes that share one store and one sign-in there, in the hands of a test.

mod ears;

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use auth_core::Tokens;

use super::launch::{Launch, Told};
use super::member::MARK;
use super::times::Times;
use super::words::{Heard, MemberId, Order, Said, Step};
use crate::server::TestServer;

/// A server, and processes that share one store and one sign-in there.
///
/// Its members do what they are told, and say how far they have come. They can be halted at a [`Step`], killed, stopped and
/// resumed. All of them end with the crew.
///
/// Errors are sentences: the crew is a test's, and an error is the end of the test.
pub struct Crew {
    server: TestServer,
    launch: Launch,
    address: String,
    times: Times,
    members: Vec<Member>,
    says: Sender<Heard>,
    hears: Receiver<Heard>,
    heard: Vec<Heard>,
    orders: u64,
}

struct Member {
    child: Child,
    orders: ChildStdin,
    alive: bool,
}

/// An order that was given: by its number, to that member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Given {
    /// To whom.
    pub member: MemberId,
    /// Its number, which no other order has.
    pub number: u64,
}

impl Crew {
    /// A crew without members. Their stores will be at this address, whatever that means to the program that is launched.
    #[must_use]
    pub fn new(server: TestServer, launch: Launch, address: impl Into<String>, times: Times) -> Self {
        let (says, hears) = mpsc::channel();
        let (address, members, heard) = (address.into(), Vec::new(), Vec::new());
        Self { server, launch, address, times, members, says, hears, heard, orders: 0 }
    }

    /// The server that they talk to.
    #[must_use]
    pub fn server(&self) -> &TestServer {
        &self.server
    }

    /// Starts so many members, and waits until they are ready.
    ///
    /// # Errors
    ///
    /// Where a process cannot be started, or does not turn out to be a member.
    pub fn start(&mut self, count: usize) -> Result<Vec<MemberId>, String> {
        let started: Vec<_> =
            (0..count).map(|_| self.launch(Duration::ZERO, Duration::ZERO)).collect::<Result<_, _>>()?;
        started.iter().try_for_each(|member| self.ready(*member))?;
        Ok(started)
    }

    /// Starts one whose clock is ahead of the others' by the first, and behind them by the second.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_skewed(&mut self, ahead: Duration, behind: Duration) -> Result<MemberId, String> {
        let member = self.launch(ahead, behind)?;
        self.ready(member)?;
        Ok(member)
    }

    fn launch(&mut self, ahead: Duration, behind: Duration) -> Result<MemberId, String> {
        let id = MemberId(self.members.len());
        let told = Told {
            address: self.address.clone(),
            server: self.server.base_url(),
            name: id.0.to_string(),
            times: self.times,
            ahead,
            behind,
        };
        let starting = self.launch.command(&told)?.spawn();
        let mut child = starting.map_err(|error| format!("a member could not be started: {error}"))?;
        let (Some(orders), Some(says)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a member has no pipes".to_owned());
        };
        let heard = self.says.clone();
        thread::spawn(move || {
            let tell = |said| drop(heard.send(Heard { member: id, said }));
            for line in BufReader::new(says).lines().map_while(Result::ok) {
                // A test harness writes as well, and begins lines that it does not end.
                let Some((_, said)) = line.split_once(MARK) else { continue };
                Said::read(said).into_iter().for_each(tell);
            }
            tell(Said::Gone);
        });
        self.members.push(Member { child, orders, alive: true });
        Ok(id)
    }

    fn ready(&mut self, member: MemberId) -> Result<(), String> {
        let what = "a member to be ready (it has to call `member`, and a test to be named by its whole path)";
        let ready = |heard: &Heard| heard.member == member && matches!(heard.said, Said::Ready | Said::Gone);
        match self.until(0, what, ready)?.said {
            Said::Ready => Ok(()),
            _ => Err(format!("a process ended that was to be {what}")),
        }
    }

    /// The members that were not killed, and have not ended.
    pub fn alive(&self) -> impl Iterator<Item = MemberId> {
        let alive = self.members.iter().enumerate().filter(|(_, member)| member.alive);
        alive.map(|(id, _)| MemberId(id))
    }

    /// Tells a member to make a request of the API, and to make it again for so long, while that is what the error advises.
    ///
    /// # Errors
    ///
    /// Where the member has ended.
    pub fn request(&mut self, member: MemberId, patience: Duration) -> Result<Given, String> {
        self.number(member, |number| Order::Request { number, patience })
    }

    /// Tells a member to sign in, as the browser of its user would.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn sign_in(&mut self, member: MemberId, tokens: &Tokens) -> Result<Given, String> {
        let tokens = serde_json::to_string(&tokens.to_stored()).map_err(|error| error.to_string())?;
        self.number(member, |number| Order::SignIn { number, tokens })
    }

    /// Tells a member to sign out.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn sign_out(&mut self, member: MemberId) -> Result<Given, String> {
        self.number(member, |number| Order::SignOut { number })
    }

    /// Tells a member to go on with another session on its store, as a program does that is started again. A session that has ended
    /// stays so until somebody signs in to it.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn reopen(&mut self, member: MemberId) -> Result<Given, String> {
        self.number(member, |number| Order::Reopen { number })
    }

    /// The next time it comes to this step, it waits there.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn halt(&mut self, member: MemberId, step: Step) -> Result<(), String> {
        self.order(member, &Order::Halt(step))
    }

    /// It waits no longer.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub fn go(&mut self, member: MemberId) -> Result<(), String> {
        self.order(member, &Order::Go)
    }

    fn number(&mut self, member: MemberId, order: impl FnOnce(u64) -> Order) -> Result<Given, String> {
        let number = self.orders;
        self.orders += 1;
        self.order(member, &order(number))?;
        Ok(Given { member, number })
    }

    fn order(&mut self, member: MemberId, order: &Order) -> Result<(), String> {
        // In one piece, so that a member that is killed has read all of it or nothing.
        let line = format!("{}\n", order.write());
        let orders = &mut self.members[member.0].orders;
        orders.write_all(line.as_bytes()).map_err(|error| format!("member {member} hears nothing: {error}"))
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// Where the system does not let it.
    pub fn kill(&mut self, member: MemberId) -> Result<(), String> {
        let Member { child, alive, .. } = &mut self.members[member.0];
        *alive = false;
        child
            .kill()
            .and_then(|()| child.wait())
            .map(drop)
            .map_err(|error| format!("a member lives on: {error}"))
    }

    /// `SIGSTOP`: it does nothing until it is resumed, and its clocks go on.
    ///
    /// # Errors
    ///
    /// Where there is no shell to send the signal.
    pub fn stop(&self, member: MemberId) -> Result<(), String> {
        self.signal(member, "STOP")
    }

    /// `SIGCONT`.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub fn resume(&self, member: MemberId) -> Result<(), String> {
        self.signal(member, "CONT")
    }

    fn signal(&self, member: MemberId, signal: &str) -> Result<(), String> {
        let process = self.members[member.0].child.id().to_string();
        // Its own `kill` is a shell's: no program has to be installed.
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &process]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("SIG{signal} could not be sent: {status}")),
            Err(error) => Err(format!("SIG{signal} could not be sent: {error}")),
        }
    }

    /// The process's number.
    #[must_use]
    pub fn process(&self, member: MemberId) -> u32 {
        self.members[member.0].child.id()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("server", &self.server)
            .field("members", &self.members.len())
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
