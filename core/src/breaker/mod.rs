//! Circuit breaker: stop calling what does not work, and find out carefully when it does again.
//!
//! # Why
//! Calls to a dead callee cost their caller time, memory and places in queues, and keep the callee from getting up. A
//! breaker refuses them at once, and lets single trials through after a while.
//!
//! # State picture
//! ```text
//!             the rule trips                    now >= until
//!   Closed --------------------> Open --------------------------> HalfOpen
//!     ^                           ^                                |    |
//!     |                           | too many trials failed or slow,|    |
//!     |                           | or no verdict in time          |    |
//!     |                           +--------------------------------+    |
//!     +-----------------------------------------------------------------+
//!                       enough trials succeeded
//!
//!   ForcedOpen, ForcedClosed: by hand, from anywhere, until `reset`, which leads to Closed.
//! ```
//!
//! | state | asked | success | failure or slow | ignored, cancelled | time |
//! | --- | --- | --- | --- | --- | --- |
//! | closed | granted; a growing share of calls during a slow start | recorded | recorded; opens when the rule says so | nothing | a slow start ends |
//! | open | refused until `until` | late: dropped | late: dropped | nothing | half-open at `until` |
//! | half-open | granted while a trial is left | counts; closes when enough | counts; reopens when too many | place given back | a lapsed trial's place is given back; reopens after `half_open_for` |
//! | forced open | refused, no `retry_at` | dropped | dropped | nothing | nothing |
//! | forced closed | granted | dropped | dropped | nothing | nothing |
//!
//! # Contract
//! - A success in time never trips the breaker. A call longer than `slow_after` is slow; a slow trial is a failed trial.
//! - The open interval ends inclusively: admitted when `now >= until`. It is the [`Backoff`](crate::Backoff)'s next
//!   delay, growing with each reopening and back to the first on close, or what the callee asked for within
//!   `max_hint`.
//! - Half-open: at most `TRIALS` out at once, and never more than could still matter. It closes as soon as
//!   `successes_to_close` trials succeeded, and reopens as soon as that cannot happen any more: after more than
//!   `TRIALS - successes_to_close` failures (none, when that is negative).
//! - A trial that is not back within `trial_ttl` has lapsed: its place is free, its late outcome is dropped. So a trial
//!   that was dropped, forgotten or hangs holds the breaker half-open for `trial_ttl` at most.
//! - An outcome of an earlier phase changes nothing: permits carry the generation they were given in.
//! - Every refusal's `retry_at` is exact if nobody else comes; forced open has none.
//! - A clock that steps back lengthens no interval beyond its configured length.
//! - No operation panics, allocates, or takes longer than a look at each of the `TRIALS`.
//!
//! # Trip rules
//! | rule | trips | bytes |
//! | --- | --- | --- |
//! | [`Consecutive`] | at so many failures in a row | 4 |
//! | [`FailureCount`] over either window | at so many failures in the last so many calls, or within a span of time | the window's |
//! | [`FailureRate`] over a [`CountWindow`] | at a share of failures in the last so many calls | 6 + 1 per 8 calls |
//! | [`FailureRate`] over a [`TimeWindow`] | at a share of failures within a span of time | 24 + 8 per bucket |
//! | [`SlowRate`] over either | at a share of slow calls | the same |
//! | [`Ewma`] | at a share of failures, newer calls weighing more | 24 |
//! | [`Either`] of two | when one of them says so | of both |
//!
//! One's own is a [`TripRule`].
//!
//! # Defaults
//! Open for 30 s, the same each time; one trial, one success to close; a lease of 30 s; no call is slow; hints are not
//! heeded; no slow start; half-open until there is a verdict.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{Breaker, BreakerConfig, Consecutive, Gate, Instant, Outcome, State, checked};
//!
//! let mut breaker = const {
//!     Breaker::new(checked!(
//!         BreakerConfig::builder(checked!(Consecutive::new(2))).open_for(Duration::from_secs(5)).build()
//!     ))
//! };
//! let at = Instant::from_secs;
//! for _ in 0..2 {
//!     let permit = breaker.try_acquire(at(0)).unwrap();
//!     breaker.release(permit, Outcome::Failure, at(0));
//! }
//! assert_eq!(breaker.try_acquire(at(1)).unwrap_err().retry_at, Some(at(5)));
//! let trial = breaker.try_acquire(at(5)).unwrap();
//! assert_eq!(breaker.state(), State::HalfOpen);
//! breaker.release(trial, Outcome::Success, at(5));
//! assert_eq!(breaker.state(), State::Closed);
//! ```
//!
//! # When not
//! Not around work that cannot fail for the same reason twice, and not one breaker over many endpoints: one sick
//! endpoint would cut off the healthy ones. Against overload a bulkhead or a limiter acts earlier.

mod config;
mod holder;
mod machine;
mod permit;
mod ramp;
mod rule;
mod trials;
mod window;

pub use config::{BreakerBuilder, BreakerConfig};
pub use holder::Breaker;
pub use machine::BreakerState;
#[cfg(target_has_atomic = "64")]
pub(crate) use machine::Standing;
pub use permit::Permit;
pub use rule::{
    Consecutive, Counts, Either, Ewma, EwmaMemory, FailureCount, FailureRate, Rate, Sample, SlowRate, TripRule,
};
pub use window::{CountMemory, CountWindow, Tally, TimeMemory, TimeWindow, Window};

use crate::Instant;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Lets calls through and records how they end.
    Closed,
    /// Refuses calls for a while.
    Open,
    /// Lets trials through.
    HalfOpen,
    /// Refuses calls until it is reset by hand.
    ForcedOpen,
    /// Lets calls through, and records nothing, until it is reset by hand.
    ForcedClosed,
}

impl core::fmt::Display for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::ForcedClosed => "forced closed",
        })
    }
}

/// One or more transitions that nobody has taken yet, made into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Transition {
    /// The state before the first of them.
    pub from: State,
    /// The state after the last. Equal to `from` when the breaker left and came back in between, or when only a dry run
    /// began or ended.
    pub to: State,
    /// Whether it is in a dry run after the last.
    pub dry_run: bool,
    /// When the last one happened.
    pub at: Instant,
}

/// What a breaker can tell about itself. Totals count from its making and stop at their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The state. It is as of the last call; time alone shows only after `handle_timeout` or `try_acquire`.
    pub state: State,
    /// Since when; the epoch if it never changed.
    pub since: Instant,
    /// For how long, in nanoseconds.
    pub nanos_in_state: u64,
    /// Whether it only measures and announces, and refuses nothing.
    pub dry_run: bool,
    /// What the trip rule remembers: of calls while closed, of trials while half-open, of what was there when it opened
    /// while open; nothing while forced.
    pub counts: Counts,
    /// Calls refused (in a dry run: that would have been).
    pub refused: u32,
    /// Trials that lapsed.
    pub lapsed: u32,
    /// Times it opened.
    pub trips: u32,
}
