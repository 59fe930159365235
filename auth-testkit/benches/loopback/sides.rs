//! The sides of the comparison, and their turns.

use std::sync::Mutex;

use auth_core::{AuthClient, Body, RefreshError, Session, TokenResponse, Tokens, Transport, refresher_fn};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};

use super::server::{self, Server};
use super::{Backend, cpu, load};

/// What one side costs.
pub(crate) struct Cost {
    /// CPU a request: the median of all rounds.
    pub(crate) us: f64,
    /// The median of the ratios to the raw side of the same round.
    pub(crate) over_raw: f64,
}

const SIDES: usize = 4;

/// Each side is everywhere in turn, and comes after each other one as often.
const TURNS: [[usize; SIDES]; SIDES] = [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]];

pub(crate) struct Sides<'a, B, T> {
    backend: &'a B,
    url: String,
    client: AuthClient<T>,
    fixed: HeaderValue,
    by_hand: Mutex<String>,
}

impl<'a, B: Backend> Sides<'a, B, ()> {
    pub(crate) fn new(backend: &'a B, server: &Server) -> Sides<'a, B, impl Transport> {
        let token = server::access_token(0);
        let fixed = HeaderValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        let client = client(backend, server);
        Sides { backend, url: server.api(), client, fixed, by_hand: Mutex::new(token) }
    }
}

impl<B: Backend, T: Transport> Sides<'_, B, T> {
    /// The costs of raw, ours, the adapter alone and by hand.
    pub(crate) fn measure(&self, rounds: usize, requests: usize) -> [Cost; SIDES] {
        let mut all: [Vec<f64>; SIDES] = Default::default();
        // The first makes the connections.
        for round in 0..=rounds {
            let mut costs = [0.0; SIDES];
            for side in TURNS[round % SIDES] {
                costs[side] = match side {
                    0 => self.cost(requests, async || self.raw().await),
                    1 => self.cost(requests, async || self.ours().await),
                    2 => self.cost(requests, async || self.adapter().await),
                    _ => self.cost(requests, async || self.by_hand().await),
                };
            }
            if round > 0 {
                all.iter_mut().zip(costs).for_each(|(all, cost)| all.push(cost));
            }
        }
        let raw = all[0].clone();
        all.map(|costs| {
            let ratios = costs.iter().zip(&raw).map(|(cost, raw)| cost / raw).collect();
            Cost { us: median(costs), over_raw: median(ratios) }
        })
    }

    fn cost(&self, requests: usize, send: impl AsyncFn() -> bool) -> f64 {
        let before = cpu::used();
        let (_, failed) = self.backend.block_on(load::keep_busy(|sent| sent < requests, send));
        let used = cpu::used() - before;
        assert_eq!(failed, 0, "nothing fails while nothing expires");
        used.as_secs_f64() * 1e6 / requests as f64
    }

    async fn raw(&self) -> bool {
        self.backend.get(&self.url, self.fixed.clone()).await == Some((200, server::ANSWER.len()))
    }

    async fn ours(&self) -> bool {
        get(&self.client, &self.url).await
    }

    /// The transport without the client, with a fixed header.
    async fn adapter(&self) -> bool {
        let request = Request::get(&self.url).header(AUTHORIZATION, self.fixed.clone());
        let request = request.body(Body::empty()).expect("a valid request");
        is_answer(self.client.transport().send(request).await).await
    }

    async fn by_hand(&self) -> bool {
        let text = format!("Bearer {}", self.by_hand.lock().expect("nothing panics with it"));
        let header = HeaderValue::try_from(text).expect("a token is ASCII");
        self.backend.get(&self.url, header).await == Some((200, server::ANSWER.len()))
    }
}

/// A GET through the client, its body read to its end.
pub(crate) async fn get(client: &AuthClient<impl Transport>, url: &str) -> bool {
    let request = Request::get(url).body(Body::empty()).expect("a valid request");
    is_answer(client.send(request).await).await
}

async fn is_answer<E>(response: Result<Response<Body>, E>) -> bool {
    let Ok(response) = response else { return false };
    let status = response.status();
    let body = response.into_body().bytes().await;
    status == 200 && body.is_ok_and(|body| body.len() == server::ANSWER.len())
}

/// A client that is signed in with the server's first tokens, and refreshes them there.
pub(crate) fn client<B: Backend>(backend: &B, server: &Server) -> AuthClient<impl Transport> {
    backend.block_on(async {
        let (transport, endpoint, runtime) =
            (backend.transport(), server.token_endpoint(), backend.runtime());
        let login = transport.clone();
        let refresher =
            refresher_fn(move |current: Tokens| refresh(login.clone(), endpoint.clone(), current));
        // The limit is for a server that accepts no token; this one is to revoke them faster than any would.
        let session = Session::builder(refresher).runtime(runtime).max_rejections(None).build();
        let tokens = Tokens::new(server::access_token(0)).expect("a token is ASCII");
        let tokens = tokens.with_refresh_token(server::refresh_token(0));
        session.sign_in(tokens).await.expect("a store in memory takes them");
        AuthClient::builder(transport, session).origin(server.origin()).build().expect("it is an origin")
    })
}

async fn refresh(login: impl Transport, endpoint: String, current: Tokens) -> Result<Tokens, RefreshError> {
    let token = current.refresh_token().expect("the server gives one").reveal().to_owned();
    let request = Request::post(endpoint)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("grant_type=refresh_token&refresh_token={token}").into())
        .map_err(RefreshError::misconfigured)?;
    TokenResponse::read(login.send(request).await?, std::time::SystemTime::now()).await
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
