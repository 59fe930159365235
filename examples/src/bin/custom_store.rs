//! How do I keep tokens in my own place? A store over the operating system's keyring, or whatever holds texts by name.
#![allow(clippy::print_stdout, reason = "a program for a person")]

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, Mutex, PoisonError};

use auth_core::{
    AuthClient, Body, Error, Session, StoreError, StoredTokens, TokenStore, Tokens, async_trait,
};
use auth_reqwest::{ReqwestTransport, TokioRuntime};
use auth_testkit::server::TestServer;
use http::Request;

/// Stands in for the keyring. The real one is behind the same three calls.
#[derive(Clone, Default)]
struct Keyring(Arc<Mutex<HashMap<&'static str, String>>>);

impl Keyring {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<&'static str, String>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The whole pair is one entry, so that nobody ever sees half of it.
struct KeyringStore {
    keyring: Keyring,
    name: &'static str,
}

#[async_trait]
impl TokenStore for KeyringStore {
    async fn load(&self) -> Result<Option<Tokens>, StoreError> {
        // No entry: nobody is signed in. An entry that cannot be read is another matter, and an error.
        let Some(text) = self.keyring.change(|entries| entries.get(self.name).cloned()) else {
            return Ok(None);
        };
        let stored: StoredTokens =
            serde_json::from_str(&text).map_err(|_| StoreError::new("the entry holds no tokens"))?;
        Tokens::try_from(stored).map(Some).map_err(StoreError::new)
    }

    async fn save(&self, tokens: &Tokens) -> Result<(), StoreError> {
        let text = serde_json::to_string(&tokens.to_stored()).map_err(StoreError::new)?;
        self.keyring.change(|entries| entries.insert(self.name, text));
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.keyring.change(|entries| entries.remove(self.name));
        Ok(())
    }
}

/// One run of a program that uses the keyring.
fn start(server: &TestServer, keyring: &Keyring) -> Result<AuthClient<ReqwestTransport>, Error> {
    let store = KeyringStore { keyring: keyring.clone(), name: "notes" };
    let session =
        Session::builder(examples::login(server)).store(store).runtime(TokioRuntime::current()).build();
    AuthClient::builder(ReqwestTransport::default(), session).origin(server.base_url()).build()
}

async fn get(client: &AuthClient<ReqwestTransport>) -> Result<String, Box<dyn StdError>> {
    let response = client.send(Request::get("/api/notes").body(Body::empty())?).await?;
    let answer: serde_json::Value = response.into_body().json().await?;
    Ok(answer["token"].as_str().unwrap_or("none").to_owned())
}

#[test]
fn it_keeps_the_contract() {
    let open = |keyring: &Keyring| KeyringStore { keyring: keyring.clone(), name: "notes" };
    auth_testkit::conformance::token_store(Keyring::default, open);
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let (server, keyring) = (TestServer::start()?, Keyring::default());

    let first = start(&server, &keyring)?;
    first.session().sign_in(server.issue()).await?;
    server.expire_access_tokens();
    println!("first run: signed in; the token expired; served with {}", get(&first).await?);
    drop(first);

    let second = start(&server, &keyring)?;
    println!("second run: nobody had to sign in; served with {}", get(&second).await?);
    second.session().sign_out().await?;
    println!("signed out: {} entries in the keyring", keyring.change(|entries| entries.len()));

    let third = start(&server, &keyring)?;
    match get(&third).await {
        Err(error) => println!("third run: {error}"),
        Ok(_) => return Err("somebody is still signed in".into()),
    }
    Ok(())
}
