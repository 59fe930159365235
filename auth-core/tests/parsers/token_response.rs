//! Token endpoint answers: a grant is read in every spelling, a failure means the same in every one.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use serde_json::Value;

use crate::cases;
use crate::laws::token_response::{self as laws, CONFIGURATION, Grant, received};
use crate::pen::{Pen, pen};

/// Texts that need escapes, texts that do not, and what a header takes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9._~+/=-]{1,24}", "\\PC{1,12}", "[\"\\\\/\n\tA é😀]{1,8}"]
}

/// A lifetime that a double says exactly: seconds and quarters of them.
fn lifetime() -> impl Strategy<Value = f64> {
    let quarters = prop_oneof![Just(0_u32), 1..4_u32, any::<u32>()];
    quarters.prop_map(|quarters| f64::from(quarters) / 4.0)
}

fn grant() -> impl Strategy<Value = Grant> {
    let texts = || prop::option::of(text());
    let kinds = prop::option::of(prop_oneof![Just("Bearer".to_owned()), text()]);
    ("[!-~]([ -~]{0,20}[!-~])?", texts(), kinds, texts(), lifetime(), lifetime()).prop_map(
        |(access, refresh, token_type, scope, lifetime, refresh_lifetime)| Grant {
            access,
            refresh,
            token_type,
            scope,
            lifetime,
            refresh_lifetime,
        },
    )
}

impl Pen {
    /// The grant as JSON: fields in any order, unknown ones among them, white space and escapes anywhere.
    fn grant(&mut self, grant: &Grant) -> String {
        let mut fields = vec![("access_token", self.string(&grant.access))];
        if let Some(refresh) = &grant.refresh {
            fields.push(("refresh_token", self.string(refresh)));
        } else {
            self.absent(&mut fields, "refresh_token", &["null", "\"\""]);
        }
        match &grant.token_type {
            Some(kind) if kind == "Bearer" => {
                let kind = self.letters(kind);
                fields.push(("token_type", self.string(&kind)));
            }
            Some(kind) => fields.push(("token_type", self.string(kind))),
            None => self.absent(&mut fields, "token_type", &["null", "\"\"", "7", "[]"]),
        }
        if let Some(scope) = &grant.scope {
            fields.push(("scope", self.string(scope)));
        } else {
            self.absent(&mut fields, "scope", &["null", "[\"a\", \"b\"]"]);
        }
        self.lifetime(&mut fields, "expires_in", grant.lifetime);
        match self.pick(&["refresh_expires_in", "refresh_token_expires_in"]) {
            "refresh_expires_in" => self.lifetime(&mut fields, "refresh_expires_in", grant.refresh_lifetime),
            name => {
                self.lifetime(&mut fields, "refresh_expires_in", 0.0);
                self.lifetime(&mut fields, name, grant.refresh_lifetime);
            }
        }
        for (name, value) in [("id_token", "\"e30\""), ("error", "null"), ("ext", "{\"expires_in\": []}")] {
            if self.choose(3) == 1 {
                fields.push((name, value.to_owned()));
            }
        }
        let order = self.choose(fields.len());
        fields.rotate_left(order);
        let fields: Vec<String> = fields
            .into_iter()
            .map(|(name, value)| {
                let (before, after) = (self.space(), self.space());
                format!("{before}{}{after}:{before}{value}{after}", self.string(name))
            })
            .collect();
        let (before, after) = (self.space(), self.space());
        format!("{before}{{{}}}{after}", fields.join(","))
    }

    /// Left out, or as one of the values that say as little.
    fn absent(&mut self, fields: &mut Vec<(&'static str, String)>, name: &'static str, values: &[&str]) {
        match self.choose(values.len() + 1) {
            0 => {}
            n => fields.push((name, values[n - 1].to_owned())),
        }
    }

    /// A number or a number in a string, in any notation.
    fn lifetime(&mut self, fields: &mut Vec<(&'static str, String)>, name: &'static str, seconds: f64) {
        if seconds == 0.0 {
            return self.absent(fields, name, &["null", "0", "-1", "\"0.0\"", "-1e9", "\"-1\""]);
        }
        let number = match self.choose(6) {
            0 => format!("{seconds}"),
            1 => format!("{seconds:.3}"),
            2 => format!("{seconds:e}"),
            3 => format!("{seconds:E}"),
            4 => format!("{}e-2", seconds * 100.0),
            _ => format!("{}.{:02}E+0", seconds.trunc(), seconds.fract() * 100.0),
        };
        let value = match self.choose(4) {
            0 => number,
            1 => format!("\"{number}\""),
            2 => format!("\"+{number}\""),
            _ => format!("\" \\t00{number} \""),
        };
        fields.push((name, value));
    }

    /// A JSON string with escapes where they have to be, and anywhere else.
    fn string(&mut self, text: &str) -> String {
        let mut out = String::from('"');
        for c in text.chars() {
            let must = c < ' ' || matches!(c, '"' | '\\');
            if !must && self.choose(4) != 3 {
                out.push(c);
                continue;
            }
            match c {
                '"' | '\\' | '/' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                _ => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        out.push_str(&match self.choose(2) {
                            0 => format!("\\u{unit:04x}"),
                            _ => format!("\\u{unit:04X}"),
                        });
                    }
                }
            }
        }
        out.push('"');
        out
    }

    fn space(&mut self) -> &'static str {
        ["", " ", "\n\t", "\r\n"][self.choose(4)]
    }
}

fn headers(after: Option<&str>, kind: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(after) = after {
        headers.insert(RETRY_AFTER, after.parse().unwrap());
    }
    if !kind.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    headers
}

/// Whatever the answer calls itself: servers get that wrong.
fn content_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &["", "application/json", "application/json;charset=UTF-8", "text/html", "text/plain", "/"][..],
    )
}

fn status() -> impl Strategy<Value = StatusCode> {
    let telling = [200, 201, 204, 299, 301, 400, 401, 403, 404, 408, 429, 499, 500, 502, 503, 504, 599];
    prop_oneof![2 => prop::sample::select(telling.to_vec()), 1 => 200..600_u16]
        .prop_map(|status| StatusCode::from_u16(status).unwrap())
}

fn code() -> impl Strategy<Value = String> {
    let known = ["invalid_grant", "temporarily_unavailable", "server_error", "slow_down", ""];
    let known: Vec<&str> = known.into_iter().chain(CONFIGURATION).collect();
    prop_oneof![4 => prop::sample::select(known).prop_map(str::to_owned), 1 => "[a-z_ -]{0,20}", 1 => text()]
}

/// A body about an error: as OAuth says it, beside other fields, as something else than a text, or not as JSON.
fn refusal() -> impl Strategy<Value = Vec<u8>> {
    code().prop_flat_map(|code| {
        let json = |value: Value| value.to_string().into_bytes();
        prop::sample::select(vec![
            json(serde_json::json!({ "error": code })),
            json(serde_json::json!({ "error": code, "error_description": "Zq7x", "access_token": null })),
            json(serde_json::json!({ "error": code, "access_token": "T1" })),
            json(serde_json::json!({ "error": code, "access_token": "" })),
            json(serde_json::json!({ "error": code, "access_token": "T1", "expires_in": [] })),
            json(serde_json::json!({ "error": [code] })),
            json(serde_json::json!([{ "error": code }])),
            json(serde_json::json!({ "ERROR": code })),
            format!("error={code}").into_bytes(),
            format!("<title>{code}</title>").into_bytes(),
        ])
    })
}

/// JSON of the fields that count, each of any shape.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    const FIELDS: [&str; 8] = [
        "access_token",
        "refresh_token",
        "token_type",
        "scope",
        "expires_in",
        "refresh_expires_in",
        "refresh_token_expires_in",
        "error",
    ];
    let value = prop_oneof![
        text().prop_map(Value::from),
        "[-+]?[0-9]{0,3}\\.?[0-9]{0,3}([eE][-+]?[0-9]{0,3})?".prop_map(Value::from),
        "( |\t|\u{a0})?(inf|nan|-Infinity|0x1F|1_0|1e999|-1e999|٣)( )?".prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        Just(serde_json::json!([{}])),
    ];
    let others = prop::collection::vec((prop::sample::select(&FIELDS[..]), value), 0..5);
    (prop::option::of("[!-~]{1,12}"), others).prop_map(|(access, others)| {
        let mut fields = serde_json::Map::new();
        if let Some(access) = access {
            fields.insert("access_token".to_owned(), access.into());
        }
        fields.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(fields).to_string().into_bytes()
    })
}

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time in the three forms of a date (RFC 9110 §5.6.7), counted out by hand from the first day of 1970, a Thursday.
fn dates(unix: u64) -> [String; 3] {
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let (mut days, time) = (unix / 86_400, unix % 86_400);
    let weekday = DAYS[usize::try_from(days % 7).unwrap()];
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (month, day, short) = (MONTHS[month], days + 1, &weekday[..3]);
    let time = format!("{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
    [
        format!("{short}, {day:02} {month} {year:04} {time} GMT"),
        format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        format!("{short} {month} {day:2} {time} {year:04}"),
    ]
}

proptest! {
    #![proptest_config(cases(500))]

    /// J5, J12, J14: what was granted is read, in every spelling of JSON, of its fields and of its lifetimes.
    #[test]
    fn a_grant_is_read_in_every_spelling(grant in grant(), mut pen in pen(), kind in content_type()) {
        let body = pen.grant(&grant);

        let tokens = auth_core::TokenResponse::parse(body.as_bytes(), received());
        let Ok(tokens) = tokens else { return Err(TestCaseError::fail(format!("refused: {body}"))) };
        grant.assert_is(&tokens);
        laws::any_response(StatusCode::OK, &headers(None, kind), body.as_bytes());
    }

    /// G1, G3, G4, G15: a failure means what its status and its code say, whatever the answer calls itself.
    #[test]
    fn a_failure_means_the_same_in_every_answer(
        status in status(),
        body in refusal(),
        kind in content_type(),
        after in prop::option::of("[0-9]{1,3}|[ -~]{0,8}"),
    ) {
        laws::any_response(status, &headers(after.as_deref(), kind), &body);
    }

    /// F10: `Retry-After` is so many seconds, or until a date, written in any of the three forms of one.
    #[test]
    fn retry_after_is_read_in_every_form(seconds in 0..1_000_000_000_u64, status in status()) {
        let now = received().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let pause = |text: &str| {
            let response = http::Response::builder().status(status).header(RETRY_AFTER, text);
            let read = auth_core::TokenResponse::read(
                response.body(auth_core::Body::from("{\"error\": \"slow_down\"}")).unwrap(),
                received(),
            );
            futures::executor::block_on(read).unwrap_err().retry_after_hint()
        };

        prop_assert_eq!(pause(&seconds.to_string()), Some(Duration::from_secs(seconds)));
        prop_assert_eq!(pause(&format!("000{seconds} ")), Some(Duration::from_secs(seconds)));
        let [imf, rfc850, asctime] = dates(now + seconds);
        prop_assert_eq!(pause(&imf), Some(Duration::from_secs(seconds)), "{}", imf);
        prop_assert_eq!(pause(&asctime), Some(Duration::from_secs(seconds)), "{}", asctime);
        // Two digits of a year are of this century as far as 2069.
        prop_assert_eq!(pause(&rfc850), Some(Duration::from_secs(seconds)), "{}", rfc850);
        let [past, ..] = dates(now.saturating_sub(seconds));
        prop_assert_eq!(pause(&past), Some(Duration::ZERO), "{}", past);
    }

    /// J5, L6: the laws hold of answers whose fields have any shape.
    #[test]
    fn any_answer_keeps_the_laws(body in answer(), status in status(), cut in any::<prop::sample::Index>()) {
        laws::any_body(&body);
        laws::any_response(status, &HeaderMap::new(), &body);
        laws::any_body(&body[..cut.index(body.len() + 1)]);
    }

    /// L6: and of any bytes, with any status and any headers.
    #[test]
    fn any_bytes_keep_the_laws(
        status in status(),
        after in prop::collection::vec(prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8], 0..24),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(&after).unwrap());
        laws::any_response(status, &headers, &body);
        laws::any_bytes(&body);
    }
}
