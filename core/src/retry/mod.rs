//! Retry: try again, within limits.
//!
//! # Why
//! Many failures are gone a moment later. But every retry is extra load on a callee that may be failing from load, so
//! attempts, delays and the total time are bounded, and delays are jittered.
//!
//! # State picture
//! ```text
//!            Start                     Retry / TimedOut, attempts and time left
//!   Ready ------------> Running ----------------------------------------------> Waiting
//!     ^                   |  \                                                     |
//!     |                   |   \ Success, Stop, last attempt, no time, refused      | until
//!     +-- Postponed ------+    `-----------------------------> Done                v
//!     +--------------------------------------------------------------------------- +
//! ```
//! In `Running`, once the attempt's deadline is there, each question is answered by `Drop`.
//!
//! # Contract
//! - The total deadline counts everything from the start of the call: attempts, delays, waits for gates. Of a policy's
//!   deadline and that of the call it is part of ([`Call::deadline`]), the nearer one holds.
//! - A delay that would end at or after the deadline is not begun: the call ends at once, out of time.
//! - A callee's hint replaces the delay, clamped to `max_hint`, and starts the backoff over (gRFC A6, "Pushback"); or,
//!   with `hint_on_top`, it lengthens the delay by so much at most, and the backoff goes on (the AWS SDKs).
//! - What is not idempotent is tried again only if it was not sent.
//! - With a [retry budget](crate::budget) a retry is paid for as soon as the attempt before it has failed, through
//!   [`Plan::ended_if_paid`](crate::Plan::ended_if_paid). When it cannot be, the call ends at once, and keeps the operation's own last error.
//! - A gate's refusal never counts as an attempt. It ends the call, or, with `wait_for_gates`, is waited out when its
//!   `retry_at` lies before the deadline.
//!
//! # Defaults
//! Three attempts in all, as gRPC and the AWS SDKs ship. No attempt timeout and no deadline, because only the caller
//! knows them: set both. `max_hint` is one minute.
//!
//! # Example
//! ```
//! use core::time::Duration;
//! use fusebox::{Backoff, Cause, Ended, Instant, Plan, RetryPolicy, Step, Verdict, checked};
//!
//! const POLICY: RetryPolicy = checked!(
//!     RetryPolicy::builder()
//!         .attempts(2)
//!         .backoff(checked!(Backoff::constant(Duration::from_millis(10))))
//!         .build()
//! );
//! let at = Instant::from_millis;
//! let mut plan = POLICY.start(at(0), 0);
//! assert_eq!(plan.next(at(0)), Step::Start { attempt: 1, deadline: None });
//! plan.ended(1, Ended::Retry { not_before: None }, at(3));
//! assert_eq!(plan.next(at(3)), Step::Wait { until: Some(at(13)) });
//! assert_eq!(plan.next(at(13)), Step::Start { attempt: 2, deadline: None });
//! plan.ended(2, Ended::Retry { not_before: None }, at(14));
//! assert_eq!(plan.next(at(14)), Step::Finish(Verdict::GaveUp(Cause::Exhausted)));
//! ```
//!
//! # When not
//! Do not retry what must not happen twice unless the callee tells repeats apart (say so: `not_idempotent`). Do not retry at several layers of one
//! system: three layers of three attempts are 27 calls.

use core::time::Duration;

mod plan;

pub use plan::Retry;

use crate::backoff::Backoff;
use crate::limits::{Limits, limit_setters};
use crate::plan::{Call, Policy};
use crate::review::{Facts, Review};
use crate::{ConfigError, Instant, nanos};

/// The limits and delays of retries. Share one among all calls; [`start`](RetryPolicy::start) makes the plan of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryPolicy {
    attempts: u16,
    backoff: Backoff,
    hint: Hint,
    limits: Limits,
}

/// What a callee's hint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Hint {
    /// It is the delay, up to so much, and the backoff starts over.
    Instead(u64),
    /// It lengthens the delay, by up to so much.
    OnTop(u64),
}

/// Builds a [`RetryPolicy`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryBuilder {
    attempts: u16,
    backoff: Backoff,
    max_hint: Duration,
    hint_on_top: Option<Duration>,
    limits: Limits,
}

impl RetryBuilder {
    /// How many attempts at most, the first included. Default 3.
    pub const fn attempts(mut self, attempts: u16) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long to wait between attempts. Default [`Backoff::IMMEDIATE`].
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The longest wait that a callee's hint can ask for; a longer one is shortened to this. Default one minute.
    pub const fn max_hint(mut self, max: Duration) -> Self {
        self.max_hint = max;
        self
    }

    /// A callee's hint does not replace the delay, but lengthens it, by `max` at most: as the AWS SDKs do, with 5 s.
    pub const fn hint_on_top(mut self, max: Duration) -> Self {
        self.hint_on_top = Some(max);
        self
    }

    limit_setters! {
        /// Wait for a gate that refuses, if it says when to come back and that is before the deadline. Default: a
        /// refusal ends the call, so that callers fail fast while a dependency is down.
    }

    /// The policy.
    ///
    /// # Errors
    /// When a limit is zero, the attempt timeout is not below the deadline, or gates are waited for without a deadline.
    pub const fn build(self) -> Result<RetryPolicy, ConfigError> {
        if self.attempts == 0 {
            return Err(ConfigError::new("attempts", "at least one attempt, the first one counts"));
        }
        if self.max_hint.is_zero() {
            return Err(ConfigError::new("max_hint", "a zero maximum would turn every hint into an immediate retry"));
        }
        let hint = match self.hint_on_top {
            Some(max) if max.is_zero() => return Err(ConfigError::new("hint_on_top", "no hint could be heeded")),
            Some(max) => Hint::OnTop(nanos(max)),
            None => Hint::Instead(nanos(self.max_hint)),
        };
        match self.limits.check() {
            Ok(()) => Ok(RetryPolicy { attempts: self.attempts, backoff: self.backoff, hint, limits: self.limits }),
            Err(error) => Err(error),
        }
    }
}

const MAX_HINT: Duration = Duration::from_secs(60);

impl RetryPolicy {
    /// One attempt, no limits: what is left when retrying is not wanted.
    pub const ONCE: Self =
        Self { attempts: 1, backoff: Backoff::IMMEDIATE, hint: Hint::Instead(nanos(MAX_HINT)), limits: Limits::NONE };

    /// A builder with the defaults.
    pub const fn builder() -> RetryBuilder {
        RetryBuilder {
            attempts: 3,
            backoff: Backoff::IMMEDIATE,
            max_hint: MAX_HINT,
            hint_on_top: None,
            limits: Limits::NONE,
        }
    }

    /// The plan of a call that starts at `now`. `entropy` feeds the jitter: give every call another one.
    #[inline]
    pub const fn start(&self, now: Instant, entropy: u32) -> Retry<'_> {
        Retry::new(self, Call::new(now, entropy))
    }
}

impl Policy for RetryPolicy {
    type Plan<'p> = Retry<'p>;

    #[inline]
    fn plan(&self, call: Call) -> Retry<'_> {
        Retry::new(self, call)
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

impl Review for RetryPolicy {
    fn review(&self, facts: &mut Facts) {
        facts.retries(self.attempts, self.backoff);
        facts.limits(&self.limits);
    }
}
