//! The command line.

use std::ffi::OsString;

use auth_core::Tokens;
use http::Uri;
use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: storm [--backend reqwest|isahc|both] [--requests N] [--late N] [--json]
       storm --backend reqwest|isahc --api URL --token-endpoint URL --client-id ID
             [--access-token T] [--refresh-token R] [--requests N] [--late N] [--json]

Sends many requests at once with a token that has just expired, against a server of its own or, with --api, against
yours: a GET of that URL each, and a refresh at the token endpoint (RFC 6749 section 6, a public client).

  --backend B          the HTTP library: reqwest (on tokio), isahc (without), or both in turn (default: both)
  --requests N         how many requests (default: 100)
  --late N             of these, how many are held back until the first refresh has ended (default: 0)
  --json               print one JSON object for each backend, and nothing else
  --api URL            your server: the URL to GET; https needs a build with the feature `tls`
  --token-endpoint URL your server's token endpoint
  --client-id ID       the client that it knows
  --access-token T     instead of the environment's STORM_ACCESS_TOKEN
  --refresh-token R    instead of the environment's STORM_REFRESH_TOKEN

Exit status: 0 if every request succeeded, 1 if one did not, 2 if the command line is wrong.";

/// What is wrong with the command line.
pub(crate) struct Usage(pub(crate) String);

pub(crate) enum Command {
    Help,
    Run(Box<Plan>),
}

/// What to do.
pub(crate) struct Plan {
    pub(crate) backends: Vec<Backend>,
    pub(crate) requests: usize,
    pub(crate) late: usize,
    pub(crate) json: bool,
    /// The server to use; `None`: one of its own.
    pub(crate) server: Option<Server>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Reqwest,
    Isahc,
}

impl Backend {
    /// In the order in which they run.
    pub(crate) const ALL: [Self; 2] = [Self::Reqwest, Self::Isahc];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reqwest => "reqwest",
            Self::Isahc => "isahc",
        }
    }
}

/// Somebody's server, and what opens it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) api: Uri,
    pub(crate) token_endpoint: Uri,
    pub(crate) client_id: String,
    pub(crate) tokens: Tokens,
}

#[derive(Default)]
struct Given {
    backend: Option<String>,
    requests: Option<usize>,
    late: Option<usize>,
    json: bool,
    api: Option<Uri>,
    token_endpoint: Option<Uri>,
    client_id: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Usage> {
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Command::Help),
            Long("backend") => given.backend = Some(text(&mut parser)?),
            Long("requests") => given.requests = Some(number("--requests", &mut parser)?),
            Long("late") => given.late = Some(number("--late", &mut parser)?),
            Long("json") => given.json = true,
            Long("api") => given.api = Some(url("--api", &mut parser)?),
            Long("token-endpoint") => given.token_endpoint = Some(url("--token-endpoint", &mut parser)?),
            Long("client-id") => given.client_id = Some(text(&mut parser)?),
            Long("access-token") => given.access_token = Some(text(&mut parser)?),
            Long("refresh-token") => given.refresh_token = Some(text(&mut parser)?),
            other => return Err(other.unexpected().into()),
        }
    }
    given.plan().map(Box::new).map(Command::Run)
}

impl Given {
    fn plan(self) -> Result<Plan, Usage> {
        let requests = self.requests.unwrap_or(100);
        let late = self.late.unwrap_or(0);
        if requests == 0 {
            return Err(Usage("--requests is 0: there is nothing to send".to_owned()));
        }
        if late >= requests {
            return Err(Usage(format!("--late {late} has to be fewer than the {requests} requests")));
        }
        let backends = match self.backend.as_deref() {
            None | Some("both") => Backend::ALL.to_vec(),
            Some(name) => Backend::ALL.into_iter().filter(|backend| backend.name() == name).collect(),
        };
        if backends.is_empty() {
            return Err(Usage("no such backend: there are reqwest and isahc, or both".to_owned()));
        }
        // The tokens are spent by the first of them.
        if self.api.is_some() && backends.len() > 1 {
            return Err(Usage("--api needs one --backend: reqwest or isahc".to_owned()));
        }
        Ok(Plan { backends, requests, late, json: self.json, server: self.server()? })
    }

    fn server(self) -> Result<Option<Server>, Usage> {
        let Some(api) = self.api else {
            let stray = [
                ("--token-endpoint", self.token_endpoint.is_some()),
                ("--client-id", self.client_id.is_some()),
                ("--access-token", self.access_token.is_some()),
                ("--refresh-token", self.refresh_token.is_some()),
            ];
            return match stray.iter().find(|(_, given)| *given) {
                Some((option, _)) => Err(Usage(format!("{option} goes with --api"))),
                None => Ok(None),
            };
        };
        let missing = |option: &str| Usage(format!("--api needs {option}"));
        let secret = |given: Option<String>, name: &str| given.or_else(|| std::env::var(name).ok());
        let access = secret(self.access_token, "STORM_ACCESS_TOKEN")
            .ok_or_else(|| missing("--access-token or STORM_ACCESS_TOKEN"))?;
        let refresh = secret(self.refresh_token, "STORM_REFRESH_TOKEN")
            .ok_or_else(|| missing("--refresh-token or STORM_REFRESH_TOKEN"))?;
        let tokens =
            Tokens::new(access).map_err(|error| Usage(error.to_string()))?.with_refresh_token(refresh);
        if tokens.refresh_token().is_none() {
            return Err(Usage("the refresh token is empty".to_owned()));
        }
        Ok(Some(Server {
            api,
            token_endpoint: self.token_endpoint.ok_or_else(|| missing("--token-endpoint"))?,
            client_id: self.client_id.ok_or_else(|| missing("--client-id"))?,
            tokens,
        }))
    }
}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        // Its own words quote values, and a misplaced one may be a token.
        Self(match error {
            lexopt::Error::MissingValue { option: Some(option) } => format!("{option} needs a value"),
            lexopt::Error::UnexpectedOption(option) => format!("there is no option {option}"),
            lexopt::Error::UnexpectedValue { option, .. } => format!("{option} takes no value"),
            lexopt::Error::UnexpectedArgument(_) => "there are only options, no arguments".to_owned(),
            _ => "the command line cannot be read".to_owned(),
        })
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Usage> {
    parser.value()?.into_string().map_err(|_| Usage("a value is not UTF-8".to_owned()))
}

fn number(option: &str, parser: &mut lexopt::Parser) -> Result<usize, Usage> {
    text(parser)?.parse().map_err(|_| Usage(format!("{option} takes a number")))
}

fn url(option: &str, parser: &mut lexopt::Parser) -> Result<Uri, Usage> {
    let wrong = || Usage(format!("{option} takes a URL: http://localhost:8080/path"));
    let uri: Uri = text(parser)?.parse().map_err(|_| wrong())?;
    let web = matches!(uri.scheme_str(), Some("http" | "https"));
    if uri.scheme_str() == Some("https") && !cfg!(feature = "tls") {
        return Err(Usage(format!(
            "{option} is https, and this build has no TLS: build with --features tls"
        )));
    }
    if web && uri.host().is_some_and(|host| !host.is_empty()) { Ok(uri) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan, String> {
        match parse(line.split_whitespace().map(OsString::from)) {
            Ok(Command::Run(plan)) => Ok(*plan),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(Usage(message)) => Err(message),
        }
    }

    #[test]
    fn nothing_means_a_hundred_requests_to_a_server_of_its_own() {
        let plan = plan("").unwrap();

        assert_eq!((plan.requests, plan.late, plan.json), (100, 0, false));
        assert!(plan.server.is_none());
    }

    #[test]
    fn both_backends_run_in_turn_unless_one_is_named() {
        let names =
            |line: &str| plan(line).unwrap().backends.into_iter().map(Backend::name).collect::<Vec<_>>();

        assert_eq!(names(""), ["reqwest", "isahc"]);
        assert_eq!(names("--backend both"), ["reqwest", "isahc"]);
        assert_eq!(names("--backend isahc"), ["isahc"]);
        assert_eq!(names("--backend reqwest"), ["reqwest"]);
    }

    #[test]
    fn a_server_of_yours_takes_everything_that_opens_it() {
        let line = "--backend reqwest --api http://localhost:1/x --token-endpoint http://localhost:1/t --client-id c \
                    --access-token T --refresh-token R --requests 3 --late 2 --json";
        let plan = plan(line).unwrap();

        let server = plan.server.unwrap();
        assert_eq!(server.api, "http://localhost:1/x");
        assert_eq!(server.tokens.refresh_token().unwrap().reveal(), "R");
        assert_eq!((plan.requests, plan.late, plan.json), (3, 2, true));
    }

    #[test]
    fn what_is_wrong_is_said_without_values() {
        let server =
            "--token-endpoint http://localhost/t --client-id c --access-token sesame --refresh-token R";
        for line in [
            "--requests 0",
            "--requests many",
            "--requests",
            "--late 100",
            "--late -1",
            "--backend curl",
            "--backend",
            "--api",
            "--api nowhere --backend reqwest",
            "--api ftp://localhost/ --backend reqwest",
            &format!("--api http://localhost/ {server}"),
            &format!("--api http://localhost/ --backend both {server}"),
            "--api http://localhost/ --backend reqwest",
            "--api http://localhost/ --backend isahc",
            "--client-id c",
            "--loud",
            "sesame",
            "--json=sesame",
        ] {
            let message = plan(line).err().unwrap_or_else(|| panic!("{line} is accepted"));
            assert!(!message.contains("sesame"), "{message}");
        }
    }
}
