//! placeholder
mod body;
mod challenge;
mod client;
mod contain;
mod error;
mod event;
mod maybe;
mod refresher;
mod runtime;
mod scheme;
mod session;
mod store;
#[cfg(feature = "json")]
mod token_response;
mod tokens;
mod transport;

pub use async_trait::async_trait;
pub use body::{Body, BodyError};
pub use challenge::*;
pub use client::*;
pub use error::{Advice, BoxError, Error, ErrorKind};
pub use event::*;
pub use maybe::{BoxFuture, MaybeSend, MaybeSync};
pub use refresher::{RefreshError, Refresher, RefresherFn, refresher_fn};
pub use runtime::*;
pub use scheme::{Bearer, Observed, Scheme, SchemeError, TokenHeader};
pub use session::*;
pub use store::{MemoryStore, StoreError, StoreGuard, TokenStore};
#[cfg(feature = "json")]
pub use token_response::{InvalidResponse, TokenEndpointError, TokenResponse};
pub use tokens::{AccessToken, InvalidToken, RefreshToken, SignInId, StoredTokens, Tokens};
pub use transport::{FinalUri, Transport, TransportError};
