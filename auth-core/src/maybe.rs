//! Whether parts and futures have to be `Send`.
//!
//! Everywhere but in a browser they have to. On wasm32 futures cannot be, so nothing demands it there; the
//! flag `--cfg auth_local` gives an ordinary build the same arrangement, so that it can be checked.

use std::pin::Pin;

/// A boxed future, `Send` where futures can be.
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A boxed future; in a local build it need not be `Send`.
#[cfg(any(target_arch = "wasm32", auth_local))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// `Send`, except in a local build (wasm32, `--cfg auth_local`), where every type has it.
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
pub trait MaybeSend: Send {}
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
impl<T: Send + ?Sized> MaybeSend for T {}
/// `Send`, except in a local build (wasm32, `--cfg auth_local`), where every type has it.
#[cfg(any(target_arch = "wasm32", auth_local))]
pub trait MaybeSend {}
#[cfg(any(target_arch = "wasm32", auth_local))]
impl<T: ?Sized> MaybeSend for T {}

/// `Sync`, except in a local build (wasm32, `--cfg auth_local`), where every type has it.
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
pub trait MaybeSync: Sync {}
#[cfg(not(any(target_arch = "wasm32", auth_local)))]
impl<T: Sync + ?Sized> MaybeSync for T {}
/// `Sync`, except in a local build (wasm32, `--cfg auth_local`), where every type has it.
#[cfg(any(target_arch = "wasm32", auth_local))]
pub trait MaybeSync {}
#[cfg(any(target_arch = "wasm32", auth_local))]
impl<T: ?Sized> MaybeSync for T {}

/// Forwards a trait through `Arc`, `Box` and `&'static`: the three ways in which a part is shared.
///
/// One list of methods for all three, so that a forwarding impl can never miss a provided method.
macro_rules! forward {
    ($(#[$attr:meta])* impl $name:ident { $($body:tt)* }) => {
        $(#[$attr])*
        #[deny(clippy::missing_trait_methods)]
        impl<T: $name + ?Sized> $name for std::sync::Arc<T> { $($body)* }
        $(#[$attr])*
        #[deny(clippy::missing_trait_methods)]
        impl<T: $name + ?Sized> $name for Box<T> { $($body)* }
        $(#[$attr])*
        #[deny(clippy::missing_trait_methods)]
        impl<T: $name + ?Sized> $name for &'static T { $($body)* }
    };
}
pub(crate) use forward;
