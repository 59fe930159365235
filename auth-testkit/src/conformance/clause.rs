//! A clause of any suite: its name, what the documentation of the trait says, and what tries it.

use auth_core::BoxFuture;

/// `Err` says what was seen instead.
pub(super) type Verdict = Result<(), String>;

/// Nothing that a clause asks for is missing.
pub(super) const KEPT: Verdict = Ok(());

/// `W` is what it has in hand, `A` what it asks for besides.
pub(super) struct Clause<W, A> {
    pub(super) name: &'static str,
    /// Verbatim.
    pub(super) promise: &'static str,
    pub(super) asks: A,
    pub(super) check: fn(W) -> BoxFuture<'static, Verdict>,
}

/// The clause that is named as the function that tries it. What it asks for is the suite's `Asks`.
macro_rules! clause {
    ($promise:expr, $module:ident::$name:ident) => {
        clause!($promise, $module::$name, Asks::Nothing)
    };
    ($promise:expr, $module:ident::$name:ident, $asks:expr) => {
        $crate::conformance::clause::Clause {
            name: stringify!($name),
            promise: $promise,
            asks: $asks,
            check: |world| Box::pin(async move { $module::$name(&world).await }),
        }
    };
}
pub(super) use clause;

/// `Err` with a sentence unless it holds.
macro_rules! ensure {
    ($holds:expr, $($sentence:tt)+) => {
        if !$holds {
            return Err(format!($($sentence)+));
        }
    };
}
pub(super) use ensure;
