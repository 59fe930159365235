//! Redirects, and the URI that a response came from.

use auth_core::FinalUri;
use http::header::{AUTHORIZATION, COOKIE, LOCATION};
use http::{HeaderValue, Response, Uri};

use super::world::{World, bare};
use crate::conformance::clause::{KEPT, Verdict, ensure};
use crate::server::{ApiAnswer, TestServer};

pub(super) async fn redirects(world: &World) -> Verdict {
    let elsewhere = world.server.public("/elsewhere");
    for status in [301, 302, 303, 307, 308] {
        let headers = vec![("location".to_owned(), elsewhere.clone())];
        world.server.next_api_answers([ApiAnswer::Status { status, headers, body: String::new() }]);

        let (head, _) = world.exchange(world.notes("GET", ())).await?;

        let followed = world.server.stats().public_requests;
        ensure!(followed == 0, "it followed a {status}");
        ensure!(head.status() == status, "a {status} came as {}", head.status());
        let location = head.headers().get(LOCATION);
        ensure!(location.is_some_and(|value| *value == elsewhere), "a {status} came with {location:?}");
    }
    KEPT
}

pub(super) async fn final_uri(world: &World) -> Verdict {
    for url in [world.server.api("/notes?a=1&b=%20x"), world.server.redirect_to(&world.server.public("/x"))] {
        let (head, _) = world.exchange(world.request("GET", &url, ())).await?;

        came_from(&head, &url)?;
    }
    KEPT
}

pub(super) async fn followed(world: &World) -> Verdict {
    let elsewhere = world.server.public("/elsewhere?a=1");

    let (head, _) = world.exchange(bare("GET", &world.server.redirect_to(&elsewhere), ())).await?;

    let arrived = world.server.stats().public_requests;
    ensure!(arrived == 1, "it was told to follow, and {arrived} requests arrived there");
    came_from(&head, &elsewhere)
}

pub(super) async fn followed_elsewhere(world: &World) -> Verdict {
    let other = TestServer::start().map_err(|error| format!("no server could be started: {error}"))?;
    let mut request = world.request("GET", &world.server.redirect_to(&other.public("/elsewhere")), ());
    request.headers_mut().insert(COOKIE, HeaderValue::from_static("session=secret"));

    let (head, _) = world.exchange(request).await?;

    came_from(&head, &other.public("/elsewhere"))?;
    let seen = other.log().pop().ok_or("it was told to follow, and did not")?.headers;
    for name in [AUTHORIZATION, COOKIE] {
        ensure!(!seen.contains_key(&name), "{name} was sent to another origin");
    }
    KEPT
}

fn came_from(head: &Response<()>, url: &str) -> Verdict {
    let FinalUri(uri) = head.extensions().get().ok_or("a response came without FinalUri")?;
    let expected: Uri = url.parse().map_err(|_| format!("{url} is no URI"))?;
    ensure!(*uri == expected, "a response from {expected} says that it came from {uri}");
    KEPT
}
