//! What holds of any stored tokens, and of any text that is to be a token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_core::{
    Error, ErrorKind, InvalidToken, MemoryStore, RefreshError, Session, StoredTokens, Tokens, refresher_fn,
};
use auth_testkit::ManualRuntime;
use http::HeaderValue;

/// Whatever stands in a store's file. What can be read keeps its meaning however often it is written and read again.
pub fn any_bytes(data: &[u8]) {
    any_text(&String::from_utf8_lossy(data));
    let Ok(stored) = serde_json::from_slice::<StoredTokens>(data) else { return };
    any_text(&stored.access_token);
    let debug = format!("{stored:?} {stored:#?}");
    assert_eq!(debug, with_other_secrets(&stored, |stored| format!("{stored:?} {stored:#?}")));

    let tokens = match Tokens::try_from(stored.clone()) {
        Ok(tokens) => tokens,
        Err(error) => {
            assert!(Tokens::new(stored.access_token.as_str()).is_err());
            return assert_is_fixed(error);
        }
    };
    is_what_was_stored(&tokens, &stored);
    let shown = |tokens: &Tokens| format!("{tokens:?} {tokens:#?}");
    let others = with_other_secrets(&stored, |stored| {
        shown(&Tokens::try_from(stored.clone()).expect("the other secrets are tokens"))
    });
    assert_eq!(shown(&tokens), others);
    assert!(again(&tokens) == tokens);
    a_session_lives_with(&tokens);
}

/// An access token is exactly what can be a header's value and is still the same when it arrives: in ASCII, and without
/// the spaces that RFC 9110 §5.5 takes from both ends. RFC 6749 appendix A.12 excludes tabs.
pub fn any_text(text: &str) {
    let made = HeaderValue::from_str(text).ok();
    let arrives =
        made.as_ref().and_then(|value| value.to_str().ok()).map(|value| value.trim_matches([' ', '\t']));
    let expected = arrives == Some(text) && !text.is_empty() && !text.contains('\t');
    match Tokens::new(text) {
        Ok(tokens) => assert!(expected && tokens.access_token().reveal() == text),
        Err(error) => {
            assert!(!expected);
            assert_is_fixed(error);
        }
    }
}

/// Written and read once more.
pub fn again(tokens: &Tokens) -> Tokens {
    let text = serde_json::to_string(&tokens.to_stored()).expect("they can be written");
    let read: StoredTokens = serde_json::from_str(&text).expect("what was written can be read");
    assert!(read == tokens.to_stored());
    Tokens::try_from(read).expect("tokens are read as tokens")
}

fn is_what_was_stored(tokens: &Tokens, stored: &StoredTokens) {
    let at = |millis: Option<u64>| millis.map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
    assert_eq!(tokens.access_token().reveal(), stored.access_token);
    assert_eq!(
        tokens.refresh_token().map(auth_core::RefreshToken::reveal),
        stored.refresh_token.as_deref().filter(|token| !token.is_empty())
    );
    assert_eq!(tokens.expires_at(), at(stored.expires_at_ms));
    assert_eq!(tokens.expires_in(), stored.expires_in_ms.map(Duration::from_millis));
    assert_eq!(tokens.refresh_expires_at(), at(stored.refresh_expires_at_ms));
    assert_eq!(tokens.scope(), stored.scope.as_deref());
    let kind = stored.token_type.as_deref();
    assert!(tokens.token_type() == kind || kind.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    if let Some(id) = tokens.sign_in_id() {
        let text = stored.sign_in_id.as_deref().expect("it was stored").trim_start_matches(['+', '0']);
        assert!(id.to_string().trim_start_matches('0').eq_ignore_ascii_case(text));
    }
}

/// What `show` makes of the same with other secrets in it.
fn with_other_secrets(stored: &StoredTokens, show: impl FnOnce(&StoredTokens) -> String) -> String {
    let mut other = stored.clone();
    other.access_token = "another".to_owned();
    if let Some(token) = other.refresh_token.as_mut().filter(|token| !token.is_empty()) {
        "another".clone_into(token);
    }
    other.token_type = other.token_type.map(|_| "another".to_owned());
    other.scope = other.scope.map(|_| "another".to_owned());
    show(&other)
}

/// One of three texts.
fn assert_is_fixed(error: InvalidToken) {
    let known = ["", "\n", " x"].map(|text| Tokens::new(text).expect_err("no token"));
    assert!(known.contains(&error), "{error:?}");
    assert!(known.iter().any(|known| format!("{known} {known:?}") == format!("{error} {error:?}")));
}

/// A session that finds them in its store neither panics nor hangs, on a clock of today and on one that is far off.
fn a_session_lives_with(tokens: &Tokens) {
    for now in [1_767_225_600, 0, 253_402_300_799] {
        let runtime = ManualRuntime::new();
        runtime.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(now));
        let refresher = refresher_fn(|_| async { Err(RefreshError::misconfigured("there is none")) });
        let session = Session::builder(refresher)
            .store(MemoryStore::with(tokens.clone()))
            .runtime(runtime.clone())
            .build();

        let lease = runtime.start({
            let session = session.clone();
            async move { session.lease().await.map(drop) }
        });
        runtime.run_until_stalled();
        let outcome: Option<Result<(), Error>> = lease.take();

        assert_eq!(runtime.panicked(), 0);
        let Err(error) = outcome.expect("nothing is waited for") else { continue };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::Misconfigured | ErrorKind::SessionEnded | ErrorKind::InvalidToken
            ),
            "{error:?}"
        );
    }
}
