//! Origins: where a request goes, and whether the token goes with it, beside a reading of the same texts by hand.

use proptest::prelude::*;

use crate::cases;
use crate::laws::origin as laws;

fn scheme() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&["https", "http", "HTTPS", "Http"][..]).prop_map(str::to_owned),
        1 => "[a-z][a-z0-9+.-]{0,4}",
    ]
}

/// Few hosts, so that two are often the same.
fn host() -> impl Strategy<Value = String> {
    let known = [
        "api.example.com",
        "API.example.COM",
        "example.com",
        "api.example.com.",
        "localhost",
        "app.LOCALHOST",
        "localhost.example.com",
        "127.0.0.1",
        "127.1.2.3",
        "127.1",
        "0127.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::1].example.com",
        "[fe80::1]",
    ];
    prop_oneof![8 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[a-z0-9.\\[\\]:_-]{0,8}"]
}

fn port() -> impl Strategy<Value = String> {
    let known =
        ["", "", ":", ":443", ":80", ":8443", ":0443", ":0", ":65535", ":65536", ":99999", ":+443", ":x"];
    prop_oneof![6 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ":[0-9]{1,6}"]
}

fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        1 => prop::sample::select(&["u@", "u:p@", "u:443@", "api.example.com@", "@", "%40@", "[::1]@"][..])
            .prop_map(str::to_owned),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let known = [
        "",
        "/",
        "/notes",
        "/notes?a=b",
        "?a",
        "/?",
        "//evil.example/x",
        "/a//b",
        "/@x:1",
        "#f",
        "/x#f",
        "/é",
    ];
    prop_oneof![4 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "[/?#][!-~]{0,8}"]
}

fn absolute() -> impl Strategy<Value = String> {
    (scheme(), user(), host(), port(), path())
        .prop_map(|(scheme, user, host, port, path)| format!("{scheme}://{user}{host}{port}{path}"))
}

fn origin() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (prop::sample::select(&["https", "http"][..]), host(), port(), prop::sample::select(&["", "/"][..]))
            .prop_map(|(scheme, host, port, slash)| format!("{scheme}://{host}{port}{slash}")),
        1 => absolute(),
    ]
}

fn uri() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => absolute(),
        2 => path(),
        1 => prop::sample::select(&["*", "notes", "api.example.com:443", ""][..]).prop_map(str::to_owned),
        1 => "[!-~]{0,16}",
    ]
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// L2, A9: the token goes to the origin that was named and to no other, whatever the spelling of either; a relative URI
    /// is one at that origin; everything else goes out bare.
    #[test]
    fn a_request_goes_where_it_says(
        origin in origin(),
        uri in uri(),
        any_origin in prop::bool::weighted(0.2),
        insecure in prop::bool::weighted(0.2),
    ) {
        laws::any_request(&origin, &uri, any_origin, insecure);
    }

    /// L2: the same of an origin beside itself in another spelling.
    #[test]
    fn an_origin_is_itself_in_every_spelling(host in host(), port in port(), user in user(), path in path()) {
        for scheme in ["https", "http"] {
            laws::any_request(
                &format!("{scheme}://{host}{port}"),
                &format!("{}://{user}{}{port}{path}", scheme.to_uppercase(), host.to_uppercase()),
                false,
                false,
            );
        }
    }

    /// L2: and of any bytes.
    #[test]
    fn any_bytes_keep_the_laws(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[!-~\n]{0,60}") {
        laws::any_bytes(&bytes);
        laws::any_bytes(text.as_bytes());
        laws::any_bytes(format!("https://{text}").as_bytes());
    }
}
