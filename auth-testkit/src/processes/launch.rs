//! How a member is started: this program once more, told by its environment what it is.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::times::Times;

/// Which program a crew's members are. This one by default, started again: its test, or its `main`, finds out by
/// [`member`](fn@super::member) that it is one.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    program: Option<PathBuf>,
    arguments: Vec<OsString>,
    through: Vec<OsString>,
}

impl Launch {
    /// This program, whose `main` calls [`member`](fn@super::member) before anything else.
    #[must_use]
    pub fn this_program() -> Self {
        Self::default()
    }

    /// This test binary, and of it only the test of this path, `module::the_name_of_the_test`, as the test's own output names it.
    #[must_use]
    pub fn this_test(path: &str) -> Self {
        let arguments = [path, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"];
        Self { arguments: arguments.map(OsString::from).to_vec(), ..Self::default() }
    }

    /// Another program.
    #[must_use]
    pub fn program(path: impl Into<PathBuf>) -> Self {
        Self { program: Some(path.into()), ..Self::default() }
    }

    /// With these arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// By another program, which is given the member's path and arguments after its own, and becomes it by `exec`:
    /// `["setpriv", "--bounding-set=-all"]`, `["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""]`. The one that is named last is
    /// started first.
    #[must_use]
    pub fn through(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.through.splice(0..0, words.into_iter().map(Into::into));
        self
    }

    pub(super) fn command(&self, told: &Told) -> Result<Command, String> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(|error| format!("this program has no path: {error}"))?,
        };
        let mut words = self.through.iter().cloned().chain([program.into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.arguments);
        told.write(&mut command);
        // What it complains of, everybody may read.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(command)
    }
}

/// What a member is told when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) address: String,
    pub(super) server: String,
    pub(super) name: String,
    pub(super) times: Times,
    /// How far its clock is off.
    pub(super) ahead: Duration,
    pub(super) behind: Duration,
}

const ADDRESS: &str = "AUTH_TESTKIT_MEMBER_OF";
const REST: &str = "AUTH_TESTKIT_MEMBER";

impl Told {
    fn write(&self, command: &mut Command) {
        let Self { address, server, name, times, ahead, behind } = self;
        let clock = format!("{} {}", ahead.as_millis(), behind.as_millis());
        command.env(ADDRESS, address).env(REST, format!("{server} {name} {clock} {}", times.write()));
    }

    /// `None`: this process is no member of a crew.
    pub(super) fn read() -> Option<Self> {
        let (address, rest) = (std::env::var(ADDRESS).ok()?, std::env::var(REST).ok()?);
        let mut words = rest.split(' ');
        let mut word = || words.next();
        let millis = |word: Option<&str>| Some(Duration::from_millis(word?.parse().ok()?));
        Some(Self {
            address,
            server: word()?.to_owned(),
            name: word()?.to_owned(),
            ahead: millis(word())?,
            behind: millis(word())?,
            times: Times {
                refresh: millis(word())?,
                attempt: millis(word())?,
                lock: millis(word())?,
                store: millis(word())?,
            },
        })
    }
}
