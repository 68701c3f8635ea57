//! Bulkhead: at most so many in flight at once.
//!
//! # Why
//! A callee that has become slow collects callers: each waits, and holds its memory, its thread, its place in a pool.
//! Without a bound one slow dependency takes all of them, and what has nothing to do with it stands still as well. A
//! bulkhead keeps the damage in one compartment: what comes above the limit is refused at once.
//!
//! # State picture
//! ```text
//!                 in flight + n <= limit             release or cancel of n
//!   0 ... in flight ------------------> in flight + n ---------------------> in flight
//!                 otherwise: refused; only a release helps, no time does
//! ```
//! Which of the four:
//!
//! | machine | for |
//! | --- | --- |
//! | [`Bulkhead`] | one limit, resized at run time, permits of any weight |
//! | [`sync::Bulkhead`](crate::sync::Bulkhead) | the same for many threads: one atomic word, no lock |
//! | [`LeasedBulkhead`] | callers that may be lost without a trace: a permit is good for a time |
//! | [`ClassBulkhead`] | calls that are not equally dear: shares kept for some, others shed first |
//!
//! Who would rather wait than be refused stands in a [`WaitQueue`](crate::WaitQueue).
//!
//! # Contract
//! - In flight is what was granted less what came back, at every moment. It is never above the limit, except after the
//!   limit was lowered: nothing is taken away from those in flight, and nobody new is granted until enough came back.
//! - A refusal is [`Reason::InFlight`] without `retry_at`: see [`Reason::frees_on_release`]. More than the whole limit is
//!   refused as [`Reason::OverLimit`]: no release helps either.
//! - A permit cannot come back twice. One that never comes back keeps its place for ever (with a [`LeasedBulkhead`]: until
//!   its lease is over), so hold it in a [`Guard`](crate::Guard).
//! - How it ended does not matter, and cancelling is the same as releasing.
//! - Time does not matter, so neither does a clock that steps back.
//!
//! # Defaults
//! None: the limit depends on what is protected. Calls per second times seconds per call is what is in flight on average
//! (Little's law); twice that is a start.
//!
//! # Example
//! ```
//! use core::num::NonZeroU32;
//! use fusebox::{Bulkhead, Gate, Instant, Outcome, Reason};
//!
//! let mut bulkhead = const { Bulkhead::new(NonZeroU32::new(2).unwrap()) };
//! let at = Instant::from_secs;
//! let first = bulkhead.try_acquire(at(0)).unwrap();
//! let second = bulkhead.try_acquire(at(0)).unwrap();
//! let refused = bulkhead.try_acquire(at(1)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::InFlight, None));
//! bulkhead.release(first, Outcome::Failure, at(2));
//! assert!(bulkhead.try_acquire_n(2, at(2)).is_err()); // one place is free
//! bulkhead.cancel(second, at(3));
//! assert!(bulkhead.try_acquire_n(2, at(3)).is_ok());
//! ```
//!
//! # When not
//! To keep to a quota per second, use a token bucket: a bulkhead lets any number through if they are quick. Where nobody
//! knows the limit, or it moves with the callee's load, let an adaptive limit find it.

mod classes;
mod leased;
mod plain;

pub use classes::{Class, ClassBulkhead, ClassGate, ClassPermit, ClassSnapshot, SharedClass};
pub use leased::{LeasedBulkhead, LeasedConfig, LeasedPermit, LeasedSnapshot, LeasedState};
pub use plain::{Bulkhead, BulkheadConfig, BulkheadState, Permit};

use crate::{Reason, Rejected};

/// What a bulkhead can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BulkheadSnapshot {
    /// Places taken.
    pub in_flight: u32,
    /// Places there are. Fewer than are taken after it was lowered.
    pub limit: u32,
    /// The most that were ever taken at once.
    pub highest: u32,
    /// Times it refused.
    pub refused: u32,
}

impl BulkheadSnapshot {
    /// Places that are free.
    #[must_use]
    pub const fn available(&self) -> u32 {
        self.limit.saturating_sub(self.in_flight)
    }
}

/// The rule: what is in flight when `n` more have started.
#[inline]
pub(crate) const fn admit(in_flight: u32, limit: u32, n: u32) -> Result<u32, Reason> {
    if n > limit {
        return Err(Reason::OverLimit);
    }
    match in_flight.checked_add(n) {
        // Nothing at all is never too much, also after the limit was lowered.
        Some(sum) if sum <= limit || n == 0 => Ok(sum),
        _ => Err(Reason::InFlight),
    }
}

/// A refusal that no time helps against.
pub(crate) const fn refusal(reason: Reason) -> Rejected {
    Rejected { reason, retry_at: None }
}
