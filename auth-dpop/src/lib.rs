//! DPoP ([RFC 9449]) for [`auth_core`]: tokens that are bound to a key, so that whoever steals one cannot use it.
//!
//! | part | stands in for | |
//! | --- | --- | --- |
//! | [`Dpop`] | [`auth_core::Scheme`] | `Authorization: DPoP …`, and a new proof on each attempt |
//! | [`DpopTransport`] | [`auth_core::Transport`] | a proof on each request of a login or a refresher |
//! | [`DpopKey`] | | the key that the tokens are bound to |
//!
//! ```
//! use auth_core::{AuthClient, Refresher, Session, Transport};
//! use auth_dpop::{Dpop, DpopKey, DpopTransport};
//!
//! # fn client<T: Transport + Clone, R: Refresher>(
//! #     saved: Option<Vec<u8>>,
//! #     save: impl FnOnce(&[u8]) -> std::io::Result<()>,
//! #     transport: T,
//! #     refresher: impl FnOnce(DpopTransport<T>) -> R,
//! # ) -> Result<AuthClient<T>, Box<dyn std::error::Error>> {
//! // Kept beside the tokens, which are worth nothing without it: saved before the first login, and the same for all who share them.
//! let key = match saved {
//!     Some(bytes) => DpopKey::from_bytes(&bytes)?,
//!     None => {
//!         let key = DpopKey::generate()?;
//!         save(&key.to_bytes())?;
//!         key
//!     }
//! };
//! let dpop = Dpop::new(key);
//!
//! // The token endpoint binds what it grants to the key of the proof on the request.
//! let refresher = refresher(DpopTransport::new(transport.clone(), dpop.clone()));
//! let session = Session::builder(refresher).scheme(dpop).build();
//!
//! let client = AuthClient::builder(transport, session).origin("https://api.example.com").build()?;
//! # Ok(client) }
//! ```
//!
//! # Nonces
//!
//! A server that wants its nonce in the proofs gives one with any response (§8, §9). The newest of each origin is kept for the next
//! request there, up to 4 KiB long; an authorization server's and an API's are two, also at one origin. A request that was refused for want of one is
//! sent once more, with the same token: by the client, or by [`DpopTransport`]. No refresh is made for that, nor where a server
//! does not take a proof (`invalid_dpop_proof`): that 401 is the caller's.
//!
//! # Fidelity
//!
//! A proof names the URI without query and fragment, with host and port in their normal form (§4.3, RFC 3986 §6.2). An HTTP library
//! that writes a path otherwise than it was given (`/a/../b`, `/a{b}`, `/é`) sends a request that its proof is not for: give it paths
//! that are encoded and in their normal form. So does one that follows a redirect, and the hop carries the first request's proof: let it
//! follow none.
//!
//! Only `ES256` is spoken. A key that must not be in this process's memory is a [`Scheme`](auth_core::Scheme) of your own.
//!
//! [RFC 9449]: https://www.rfc-editor.org/rfc/rfc9449

mod key;
mod nonces;
mod place;
mod proof;
mod scheme;
mod transport;

pub use key::{DpopKey, KeyError};
pub use scheme::Dpop;
pub use transport::DpopTransport;
