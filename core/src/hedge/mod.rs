//! Hedge: when an answer is late, ask a second time and take whichever comes first.
//!
//! # Why
//! Of many calls a few take far longer than the rest, for reasons that have nothing to do with the call: a queue, a pause
//! for collecting garbage, a lost packet. A second attempt started once most calls would have answered cuts these off, and
//! costs little, because few calls live that long (Jeffrey Dean and Luiz Barroso, "The Tail at Scale", CACM 2013).
//!
//! # State picture
//! ```text
//!            Start 1                      a success, a fatal error,
//!   Ready ------------> Racing -----------------------------------------> Done
//!     ^                 |  ^  |           or all attempts have failed
//!     |                 |  |  | late, or one failed: paid for, Start n
//!     |                 |  +--+
//!     +-- Postponed ----+
//! ```
//!
//! # Contract
//! - The next attempt starts `delay` after the last one, at most `N` in all, and at once when one fails that may be tried
//!   again (gRFC A6, Polly); with [`fail_fast`](HedgeBuilder::fail_fast) a failure starts none (Finagle).
//! - The first success is the answer. A fatal error ends the call too. All attempts still out are then to be dropped; they
//!   are neutral for every gate.
//! - Every attempt but the first is paid for by the [retry budget](crate::budget) when it becomes due. One that cannot be
//!   paid, or that a gate refuses, does not fail the call: it goes on with the attempts that are out.
//! - The total deadline counts everything. An attempt whose own timeout comes counts as failed.
//! - A measured delay is read once per call. Successes are recorded with their own time, and what is dropped or times out as
//!   "at least so long"; else only the fast half of each race would be known and the delay would shrink from call to call.
//! - What is not idempotent is asked a second time only if it was not sent.
//!
//! # Defaults
//! Two attempts (`N`), no timeout, no deadline. There is no default delay: take the time within which 95 of 100 calls
//! answer, or have it [measured](HedgePolicy::measured).
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{Ended, HedgePolicy, Instant, Plan, Step, Verdict, checked};
//!
//! const POLICY: HedgePolicy<2> = checked!(HedgePolicy::builder(Duration::from_millis(30)).build());
//! let at = Instant::from_millis;
//! let mut plan = POLICY.start(at(0));
//! assert_eq!(plan.next(at(0)), Step::Start { attempt: 1, deadline: None });
//! assert_eq!(plan.next(at(0)), Step::Wait { until: Some(at(30)) });
//! assert_eq!(plan.next(at(30)), Step::Start { attempt: 2, deadline: None }); // the first one is late
//! plan.ended(2, Ended::Success, at(34));
//! assert_eq!(plan.next(at(34)), Step::Finish(Verdict::Success)); // attempt 1 is dropped
//! ```
//!
//! # When not
//! Do not hedge what must not happen twice. Do not hedge against a callee that is slow because it is overloaded, without a
//! budget: the second attempts are what it needs least. Do not hedge inside a retry: the attempts multiply.

mod delay;
mod plan;
#[cfg(test)]
mod tests;

pub use delay::{Fixed, HedgeDelay, Measured, Quantile, SharedLatencies};
pub use plan::Hedge;

use core::time::Duration;

use crate::limits::{Limits, limit_setters};
use crate::plan::{Call, Policy};
use crate::review::{Facts, Review};
use crate::{ConfigError, Instant, nanos};

/// The limits and the delay of hedges, of which there are at most `N` attempts per call, the first included. Share one among
/// all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HedgePolicy<const N: usize, D = Fixed> {
    /// Nanoseconds, as below.
    delay: u64,
    max_hint: u64,
    fails_fast: bool,
    limits: Limits,
    measured: D,
}

/// Builds a [`HedgePolicy`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct HedgeBuilder<const N: usize> {
    delay: Duration,
    max_hint: Duration,
    fails_fast: bool,
    limits: Limits,
}

impl<const N: usize> HedgeBuilder<N> {
    /// The longest time that a callee's hint can put off the next attempt; a longer one is shortened. Default one minute.
    pub const fn max_hint(mut self, max: Duration) -> Self {
        self.max_hint = max;
        self
    }

    /// A failure starts no further attempt: only lateness does. Default: it does, and at once.
    pub const fn fail_fast(mut self) -> Self {
        self.fails_fast = true;
        self
    }

    limit_setters! {
        /// Wait for a gate that refuses the first attempt, if it says when to come back and that is before the
        /// deadline. Default: its refusal ends the call.
    }

    /// The policy.
    ///
    /// # Errors
    /// When a limit is zero, the delay is not below the timeout of an attempt or the attempt timeout not below the deadline,
    /// or gates are waited for without a deadline.
    pub const fn build(self) -> Result<HedgePolicy<N>, ConfigError> {
        if self.delay.is_zero() {
            return Err(ConfigError::new("delay", "without a delay every call would be made twice"));
        }
        if self.max_hint.is_zero() {
            return Err(ConfigError::new("max_hint", "a zero maximum would turn every hint into an immediate attempt"));
        }
        if let Err(error) = self.limits.check() {
            return Err(error);
        }
        let (delay, max_hint) = (nanos(self.delay), nanos(self.max_hint));
        match (self.limits.attempt_timeout, self.limits.deadline) {
            (Some(limit), _) | (None, Some(limit)) if delay >= limit => Err(ConfigError::new(
                "delay",
                "must be below the attempt timeout and the deadline: it is never over in time",
            )),
            _ => {
                let (fails_fast, limits) = (self.fails_fast, self.limits);
                Ok(HedgePolicy { delay, max_hint, fails_fast, limits, measured: Fixed })
            }
        }
    }
}

impl<const N: usize> HedgePolicy<N> {
    /// A builder with the defaults: a further attempt after `delay`.
    pub const fn builder(delay: Duration) -> HedgeBuilder<N> {
        const { assert!(N >= 2, "a hedge needs two attempts at least") };
        HedgeBuilder { delay, max_hint: Duration::from_secs(60), fails_fast: false, limits: Limits::NONE }
    }

    /// The same policy, whose delay is what `delay` says: a rule of one's own.
    pub const fn with_delay<D: HedgeDelay>(self, delay: D) -> HedgePolicy<N, D> {
        let Self { delay: otherwise, max_hint, fails_fast, limits, measured: Fixed } = self;
        HedgePolicy { delay: otherwise, max_hint, fails_fast, limits, measured: delay }
    }

    /// The same policy, whose delay is what `quantile` of the calls of late took; the fixed delay serves until enough is
    /// known. Give all policies for one callee, and one kind of call, the same `latencies`.
    pub const fn measured<L: SharedLatencies>(self, quantile: Quantile, latencies: L) -> HedgePolicy<N, Measured<L>> {
        self.with_delay(Measured { quantile, latencies })
    }
}

impl<const N: usize, D: HedgeDelay> HedgePolicy<N, D> {
    /// The plan of a call that starts at `now`. Nothing in it is left to chance.
    #[inline]
    pub fn start(&self, now: Instant) -> Hedge<'_, N, D> {
        self.plan(Call::new(now, 0))
    }
}

impl<const N: usize, D: HedgeDelay> Policy for HedgePolicy<N, D> {
    type Plan<'p>
        = Hedge<'p, N, D>
    where
        D: 'p;

    #[inline]
    fn plan(&self, call: Call) -> Hedge<'_, N, D> {
        Hedge::new(self, call)
    }

    #[inline]
    fn waits_for_gates(&self) -> bool {
        self.limits.wait_for_gates
    }

    fn deadline(&self) -> Option<Duration> {
        self.limits.deadline()
    }

    fn attempt_timeout(&self) -> Option<Duration> {
        self.limits.attempt_timeout()
    }
}

impl<const N: usize, D> Review for HedgePolicy<N, D> {
    fn review(&self, facts: &mut Facts) {
        facts.hedges(u16::try_from(N).unwrap_or(u16::MAX));
        facts.limits(&self.limits);
    }
}
