//! A member: a process with one session on the shared store, which does what its crew tells it.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth_core::{
    Advice, AuthClient, Body, BoxFuture, Error, RefreshError, Runtime, Session, StandaloneRuntime,
    StoredTokens, TokenResponse, TokenStore, Tokens, Transport as _, refresher_fn,
};
use futures::channel::oneshot;
use http::Request;

use super::launch::Told;
use super::watched::{Watched, label};
use super::wire::Wire;
use super::words::{Order, Outcome, Said, Step};
use crate::lock::lock;

/// What precedes a line that is the member's, and not the test harness's.
pub(super) const MARK: &str = "> ";

/// The header by which the server's log says which member a token request came from.
pub(super) const NAME: &str = "x-member";

/// The path of the API that members ask for.
const PATH: &str = "/api/shared";

/// Where a member's store is, and what it has to live up to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Opening {
    /// What the crew was given: a path, a URL.
    pub address: String,
    /// How long a lock has to live where it ends by itself.
    pub lease: Duration,
}

/// In a process that a crew has started: opens the store, does what the crew says, and ends the process when the crew has
/// gone. In every other process it returns at once, and `open` is not called.
///
/// # Panics
///
/// In a member, where the crew says what it does not understand.
pub fn member<S: TokenStore, F: Future<Output = S>>(open: impl FnOnce(Opening) -> F) {
    let Some(told) = Told::read() else { return };
    let opening = Opening { address: told.address.clone(), lease: told.times.lease() };
    let store = futures::executor::block_on(open(opening));
    work(&told, store);
    std::process::exit(0);
}

fn work(told: &Told, store: impl TokenStore) {
    let voice = Arc::new(Voice::default());
    let runtime =
        Arc::new(Skewed { inner: StandaloneRuntime::new(), ahead: told.ahead, behind: told.behind });
    let store = Arc::new(Watched { store, voice: Arc::clone(&voice) });
    let open = || client(told, Arc::clone(&store), &runtime, &voice);
    let mut client = open();
    voice.say(&Said::Ready);
    // Where the crew has gone, this ends.
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let order = Order::read(&line).expect("the crew and its members are one program");
        if let Order::Reopen { number } = order {
            client = open();
            voice.say(&Said::Ended(number, Outcome::Done));
        } else if let Some(doing) = obey(order, &client, &runtime, &voice) {
            runtime.spawn(doing);
        }
    }
}

type Client = AuthClient<Wire>;

fn client(told: &Told, store: impl TokenStore, runtime: &Arc<Skewed>, voice: &Arc<Voice>) -> Client {
    let (clock, voice) = (Arc::clone(runtime), Arc::clone(voice));
    let (endpoint, name) = (format!("{}/token", told.server), told.name.clone());
    let refresher = refresher_fn(move |current: Tokens| {
        let (clock, voice) = (Arc::clone(&clock), Arc::clone(&voice));
        let (endpoint, name) = (endpoint.clone(), name.clone());
        async move {
            voice.at(Step::Presenting, &label(&current)).await;
            let answer = refresh(&endpoint, &name, &current, &*clock).await;
            let with = answer.as_ref().map_or_else(|_| "-".to_owned(), label);
            voice.at(Step::Answered, &with).await;
            answer
        }
    });
    let session = Session::builder(refresher)
        .store(store)
        .runtime(Arc::clone(runtime))
        .refresh_timeout(told.times.refresh)
        .attempt_timeout(told.times.attempt)
        .lock_timeout(told.times.lock)
        .store_timeout(told.times.store)
        // Rounds follow each other as fast as they can.
        .cooldown(Duration::from_millis(50), Duration::from_millis(200))
        .max_rejections(None)
        .build();
    AuthClient::builder(Wire, session).origin(&told.server).build().expect("a server's address is an origin")
}

async fn refresh(
    endpoint: &str,
    name: &str,
    current: &Tokens,
    clock: &impl Runtime,
) -> Result<Tokens, RefreshError> {
    let token = current.refresh_token().ok_or_else(|| RefreshError::rejected("no refresh token"))?;
    // The server's tokens are letters, digits and dots: nothing has to be encoded.
    let form = format!("grant_type=refresh_token&refresh_token={}", token.reveal());
    let request = Request::post(endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .header(NAME, name)
        .body(Body::from(form))
        .map_err(RefreshError::misconfigured)?;
    TokenResponse::read(Wire.send(request).await?, clock.now()).await
}

/// What it comes to, if that takes time.
fn obey(
    order: Order,
    client: &Client,
    runtime: &Arc<Skewed>,
    voice: &Arc<Voice>,
) -> Option<BoxFuture<'static, ()>> {
    let (client, runtime, voice) = (client.clone(), Arc::clone(runtime), Arc::clone(voice));
    let doing: BoxFuture<'static, ()> = match order {
        Order::Halt(step) => {
            lock(&voice.halts).insert(step);
            return None;
        }
        Order::Go => {
            voice.go();
            return None;
        }
        Order::Reopen { .. } => return None,
        Order::Request { number, patience } => Box::pin(async move {
            let outcome = request(&client, &*runtime, patience).await;
            voice.say(&Said::Ended(number, outcome));
        }),
        Order::SignIn { number, tokens } => Box::pin(async move {
            let tokens: StoredTokens = serde_json::from_str(&tokens).expect("the crew has written it");
            let tokens = Tokens::try_from(tokens).expect("the server has issued them");
            voice.say(&Said::Ended(number, outcome(client.session().sign_in(tokens).await)));
        }),
        Order::SignOut { number } => Box::pin(async move {
            voice.say(&Said::Ended(number, outcome(client.session().sign_out().await)));
        }),
    };
    Some(doing)
}

fn outcome<T>(result: Result<T, Error>) -> Outcome {
    result.map_or_else(|error| Outcome::Failed(error.kind().as_str().to_owned()), |_| Outcome::Done)
}

/// One request, and the same again while that is what the error says to do.
async fn request(client: &Client, runtime: &impl Runtime, patience: Duration) -> Outcome {
    let until = runtime.elapsed() + patience;
    loop {
        let request = Request::get(PATH).body(Body::empty()).expect("a path is a URI");
        let error = match client.send(request).await {
            Ok(response) if response.status().is_success() => return Outcome::Done,
            Ok(response) => return Outcome::Failed(format!("status_{}", response.status().as_u16())),
            Err(error) => error,
        };
        let Advice::RetryLater { after } = error.advice() else { return outcome(Err::<(), _>(error)) };
        let pause = after.unwrap_or(Duration::from_millis(50));
        if runtime.elapsed() + pause > until {
            return outcome(Err::<(), _>(error));
        }
        runtime.sleep(pause).await;
    }
}

/// What it says, and where it waits.
#[derive(Default)]
pub(super) struct Voice {
    halts: Mutex<HashSet<Step>>,
    halted: Mutex<Option<oneshot::Sender<()>>>,
}

impl Voice {
    /// The line is out when this returns: whatever kills the process now, it was said.
    fn say(&self, said: &Said) {
        let mut out = std::io::stdout().lock();
        // A crew that has gone hears nothing, and ends this process.
        drop(writeln!(out, "{MARK}{said}").and_then(|()| out.flush()));
    }

    pub(super) async fn at(&self, step: Step, label: &str) {
        if !lock(&self.halts).remove(&step) {
            return self.say(&Said::At(step, label.to_owned()));
        }
        let (go, told) = oneshot::channel();
        *lock(&self.halted) = Some(go);
        self.say(&Said::Halted(step, label.to_owned()));
        let _ = told.await;
    }

    fn go(&self) {
        let halted = lock(&self.halted).take();
        if let Some(halted) = halted {
            // Whoever waited may have been given up.
            let _ = halted.send(());
        }
    }
}

/// A runtime whose wall clock is off.
struct Skewed {
    inner: StandaloneRuntime,
    ahead: Duration,
    behind: Duration,
}

impl Runtime for Skewed {
    fn now(&self) -> SystemTime {
        self.inner.now() + self.ahead - self.behind
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.inner.spawn(task);
    }
}
