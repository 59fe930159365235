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
//! #     transport: T,
//! #     refresher: impl FnOnce(DpopTransport<T>) -> R,
//! # ) -> Result<AuthClient<T>, Box<dyn std::error::Error>> {
//! // Keep it beside the tokens: they are worth nothing without it.
//! let dpop = Dpop::new(DpopKey::generate()?);
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
//! request there. A request that was refused for want of one is sent once more, with the same token: by the client, or by
//! [`DpopTransport`]. No refresh is made for that.
//!
//! # Fidelity
//!
//! A proof names the URI without query and fragment, with host and port in their normal form (§4.3, RFC 3986 §6.2). An HTTP library
//! that writes a path otherwise than it was given (`/a/../b`) sends a request that its proof is not for.
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
