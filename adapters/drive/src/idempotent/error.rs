//! What a caller gets.

use core::convert::Infallible;
use core::fmt;

use fusebox::Rejected;

use super::Store;

/// What a call with an operation that fails with `E`, and the records of the store `S`, comes to.
pub type Called<S, E> =
    Result<Answer<<S as Store>::Value, <S as Store>::Error>, IdempotentError<E, <S as Store>::Error>>;

/// An answer, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<V, S = Infallible> {
    /// The answer.
    pub value: V,
    /// How it came.
    pub origin: Origin<S>,
}

/// How an answer came. `S` is the error of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<S = Infallible> {
    /// The operation ran, and its answer is stored.
    Ran,
    /// The operation ran for longer than its lease, and somebody else took over: the answer is not stored, and the
    /// operation may have run twice.
    Late,
    /// The operation ran, and the store failed to keep its answer: once the lease is over it may run again.
    Unstored(S),
    /// The operation had run before.
    Stored,
    /// Somebody else ran the operation meanwhile, and this one waited.
    Shared,
}

impl<S> Origin<S> {
    /// Whether the operation did not run in this call.
    #[must_use]
    pub const fn is_replayed(&self) -> bool {
        matches!(self, Self::Stored | Self::Shared)
    }
}

/// Why there is no answer. `E` is the error of the operation, `S` that of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotentError<E, S = Infallible> {
    /// The operation did not run in this call. By its reason:
    ///
    /// - [`KeyConflict`](fusebox::Reason::KeyConflict): the key stands for another request (HTTP 422).
    /// - [`KeyInFlight`](fusebox::Reason::KeyInFlight): somebody else still ran at the deadline (409).
    /// - [`QueueFull`](fusebox::Reason::QueueFull): somebody else runs, and there is no place to wait (409, 503).
    /// - [`RecordsFull`](fusebox::Reason::RecordsFull): the store has no place (503).
    Refused(Rejected),
    /// The store failed before it had said that this one may run: the operation did not run in this call. Should the
    /// store have taken the key all the same, that is free again when its lease is over.
    Store(S),
    /// The operation ran and failed; its error is not stored.
    Operation(E),
}

impl<E: fmt::Display, S: fmt::Display> fmt::Display for IdempotentError<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(rejected) => write!(f, "not run: {rejected}"),
            Self::Store(error) => write!(f, "not run: the store of idempotency keys failed: {error}"),
            Self::Operation(error) => write!(f, "the operation failed: {error}"),
        }
    }
}

impl<E, S> core::error::Error for IdempotentError<E, S>
where
    E: core::error::Error + 'static,
    S: core::error::Error + 'static,
{
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(rejected) => Some(rejected),
            Self::Store(error) => Some(error),
            Self::Operation(error) => Some(error),
        }
    }
}
