//! Retry budget: retry only as much as the calls of late can pay for.
//!
//! # Why
//! A limit of three attempts bounds one call. When a callee fails for all, it is three times the load for a callee that
//! may be failing from load: a retry storm. A budget bounds all calls together: calls pay in, retries take out, and when
//! there is nothing left a failed call stays failed.
//!
//! # State picture
//! ```text
//!   deposit: a share of a token per call ---> [ deposits: oldest first, gone after `ttl` ] --+
//!   success: as configured               --->   at most `capacity`                           +---> withdraw: 1 retry
//!   time: so many tokens per second      ---> [ floor: at most `up_to`; does not expire ] ---+     refund: back again
//! ```
//! Who pays in and what a retry costs differs from system to system; one machine has them all:
//!
//! | preset | pays in | a retry | refund | starts with |
//! | --- | --- | --- | --- | --- |
//! | [`BudgetConfig::finagle`] | each call a share; the floor | 1 | none | the floor |
//! | [`BudgetConfig::grpc`] | each success `token_ratio` | 1, paid even when refused; more than half must be left | none | all |
//! | [`BudgetConfig::AWS`] | each first attempt that succeeds 1 | 5, after a timeout 10 | when it succeeds | all: 500 |
//! | [`BudgetConfig::AWS_2026`] | the same | 14, after throttling 5 | when it succeeds | all: 500 |
//!
//! Another rule, with the same use: [`ConcurrencyBudget`] counts the retries in flight (Envoy, failsafe-go).
//!
//! # Contract
//! - A call [deposits](Budget::deposit) once, when its first attempt starts, and [settles](Budget::settle) once, when it
//!   is over. A retry is paid for when the attempt before it has failed, before the delay.
//! - A token is spent once, or expires once: deposited = spent + left + expired, to the billionth, at every moment. What
//!   is left is never below zero, nor above `capacity` and the floor's `up_to`.
//! - Over any interval, spent is at most what was left at its start, and what was deposited and what the floor gave in it.
//! - A refusal is [`Reason::BudgetExhausted`](crate::Reason::BudgetExhausted). Its `retry_at` is when the floor will pay,
//!   with what expires by then taken into account; without a floor only other calls help, and there is none.
//! - Cancelling gives back what was paid. A withdrawal that never comes back is spent.
//! - A clock that steps back gives nothing, keeps no deposit longer than `ttl` from then on, and the floor goes on from
//!   there.
//!
//! # Defaults
//! One retry for five calls (200 permille), kept for 10 s in 10 pieces, and a floor of 10 retries per second, saved up to
//! 100, as Finagle and Linkerd ship; each retry costs one token. Share one budget among all calls to one callee, and
//! between retries and hedges.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::budget::After;
//! use fusebox::{Budget, BudgetConfig, Instant, Reason, RetryBudget, checked};
//!
//! // A retry for two calls; without calls one in ten seconds.
//! let mut budget: RetryBudget = const {
//!     RetryBudget::new(checked!(BudgetConfig::builder().deposit_permille(500).floor(1, 1).build()))
//! };
//! let at = Instant::from_secs;
//! for _ in 0..4 {
//!     budget.deposit(at(100));
//! }
//! assert_eq!(budget.balance(at(100)).whole(), 3);
//! for _ in 0..3 {
//!     budget.try_withdraw(After::Failure, at(100)).unwrap();
//! }
//! let refused = budget.try_withdraw(After::Failure, at(100)).unwrap_err();
//! assert_eq!((refused.reason, refused.retry_at), (Reason::BudgetExhausted, Some(at(101))));
//! ```
//!
//! # When not
//! With one caller that retries rarely, the limit on attempts is enough. A budget does not protect from the calls
//! themselves: for that there are the breaker, the [throttle](crate::throttle) and limits.

mod concurrency;
mod config;
mod credit;
mod machine;
mod shared;

pub use concurrency::{ConcurrencyBudget, ConcurrencySnapshot, InFlight};
pub use config::{BudgetBuilder, BudgetConfig};
pub use credit::Credit;
pub use machine::{BudgetSnapshot, RetryBudget, Withdrawal};
pub use shared::{NoBudget, SharedBudget};

use crate::{Ended, Gate, Instant, Outcome, Rejected};

/// How the attempt ended that a further one follows: they do not all cost the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum After {
    /// It failed.
    Failure,
    /// Its deadline came.
    Timeout,
    /// The callee asked to be left alone for a while.
    Throttled,
    /// It has not ended yet: a hedge.
    Delay,
}

impl After {
    /// How it ended, if it may be tried again.
    #[must_use]
    pub const fn of(ended: Ended) -> Option<Self> {
        match ended {
            Ended::Retry { not_before: None } | Ended::NotSent => Some(Self::Failure),
            Ended::Retry { not_before: Some(_) } => Some(Self::Throttled),
            Ended::TimedOut => Some(Self::Timeout),
            Ended::Success | Ended::Stop | Ended::Refused(_) | Ended::Postponed { .. } => None,
        }
    }
}

/// What pays for retries: a [`Gate`] for every attempt but the first, whose permit is what a retry was paid with.
///
/// As a gate it asks for a retry after a failure; release says how the retry ended, cancel that it never started.
pub trait Budget: Gate {
    /// A call starts its first attempt.
    fn deposit(&mut self, now: Instant);

    /// Pays for a retry.
    ///
    /// # Errors
    /// [`Reason::BudgetExhausted`](crate::Reason::BudgetExhausted), and when there will be enough without anybody's doing.
    fn try_withdraw(&mut self, after: After, now: Instant) -> Result<Self::Permit, Rejected>;

    /// The call is over. `last` is what its last retry was paid with, if there was one and it is not back yet; `outcome` is
    /// a failure only if the last attempt might have been tried again and nobody asked for that, and `Ignored` when it is
    /// neither that nor a success.
    fn settle(&mut self, last: Option<Self::Permit>, outcome: Outcome, now: Instant);
}
