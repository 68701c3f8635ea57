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
//!
//! # Contract
//! - The total deadline counts everything from [`RetryPolicy::start`]: attempts, delays, waits for gates.
//! - A delay that would end at or after the deadline is not begun: the call ends at once, out of time.
//! - A callee's hint replaces the delay, clamped to `max_hint`, and starts the backoff over (gRFC A6, "Pushback").
//! - With a [retry budget](crate::budget) a retry is paid for as soon as the attempt before it has failed, through
//!   [`Retry::ended_if_paid`]. When it cannot be, the call ends at once, and keeps the operation's own last error.
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
//! Do not retry what must not happen twice unless the callee tells repeats apart. Do not retry at several layers of one
//! system: three layers of three attempts are 27 calls.

use core::time::Duration;

use crate::backoff::{Backoff, Schedule};
use crate::budget::After;
use crate::gate::earlier;
use crate::plan::{Cause, Ended, Plan, Step, Verdict};
use crate::{ConfigError, Instant, Rejected, entropy, nanos};

/// The limits and delays of retries. Share one among all calls; [`start`](RetryPolicy::start) makes the plan of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryPolicy {
    attempts: u16,
    backoff: Backoff,
    /// Nanoseconds, as are all below.
    attempt_timeout: Option<u64>,
    deadline: Option<u64>,
    max_hint: u64,
    wait_for_gates: bool,
}

/// Builds a [`RetryPolicy`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct RetryBuilder {
    attempts: u16,
    backoff: Backoff,
    attempt_timeout: Option<Duration>,
    deadline: Option<Duration>,
    max_hint: Duration,
    wait_for_gates: bool,
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

    /// How long one attempt may take. Default: for ever.
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// How long the whole call may take, everything included. Default: for ever.
    pub const fn deadline(mut self, timeout: Duration) -> Self {
        self.deadline = Some(timeout);
        self
    }

    /// The longest wait that a callee's hint can ask for; a longer one is shortened to this. Default one minute.
    pub const fn max_hint(mut self, max: Duration) -> Self {
        self.max_hint = max;
        self
    }

    /// Wait for a gate that refuses, if it says when to come back and that is before the deadline. Default: a refusal
    /// ends the call, so that callers fail fast while a dependency is down.
    pub const fn wait_for_gates(mut self) -> Self {
        self.wait_for_gates = true;
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// When a limit is zero, the attempt timeout is not below the deadline, or gates are waited for without a deadline.
    pub const fn build(self) -> Result<RetryPolicy, ConfigError> {
        let attempt_timeout = folded(self.attempt_timeout);
        let deadline = folded(self.deadline);
        if self.attempts == 0 {
            return Err(ConfigError::new("attempts", "at least one attempt, the first one counts"));
        }
        if matches!(attempt_timeout, Some(0)) {
            return Err(ConfigError::new("attempt_timeout", "a zero timeout ends every attempt before it starts"));
        }
        if matches!(deadline, Some(0)) {
            return Err(ConfigError::new("deadline", "a zero deadline ends every call before it starts"));
        }
        if self.max_hint.is_zero() {
            return Err(ConfigError::new("max_hint", "a zero maximum would turn every hint into an immediate retry"));
        }
        if let (Some(attempt), Some(total)) = (attempt_timeout, deadline) {
            if attempt >= total {
                return Err(ConfigError::new("attempt_timeout", "must be below the deadline"));
            }
        }
        if self.wait_for_gates && deadline.is_none() {
            return Err(ConfigError::new("wait_for_gates", "needs a deadline, else it may wait for ever"));
        }
        Ok(RetryPolicy {
            attempts: self.attempts,
            backoff: self.backoff,
            attempt_timeout,
            deadline,
            max_hint: nanos(self.max_hint),
            wait_for_gates: self.wait_for_gates,
        })
    }
}

const fn folded(duration: Option<Duration>) -> Option<u64> {
    match duration {
        Some(duration) => Some(nanos(duration)),
        None => None,
    }
}

impl RetryPolicy {
    /// One attempt, no limits: what is left when retrying is not wanted.
    pub const ONCE: Self = Self {
        attempts: 1,
        backoff: Backoff::IMMEDIATE,
        attempt_timeout: None,
        deadline: None,
        max_hint: 60_000_000_000,
        wait_for_gates: false,
    };

    /// Whether a gate's refusal is waited out.
    #[must_use]
    pub const fn waits_for_gates(&self) -> bool {
        self.wait_for_gates
    }

    /// A builder with the defaults.
    pub const fn builder() -> RetryBuilder {
        RetryBuilder {
            attempts: 3,
            backoff: Backoff::IMMEDIATE,
            attempt_timeout: None,
            deadline: None,
            max_hint: Duration::from_secs(60),
            wait_for_gates: false,
        }
    }

    /// The plan of a call that starts at `now`. `entropy` feeds the jitter: give every call another one.
    #[inline]
    pub const fn start(&self, now: Instant, entropy: u32) -> Retry<'_> {
        Retry { policy: self, started: now, schedule: Schedule::new(), entropy, attempt: 0, phase: Phase::Ready }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Ready,
    Running { deadline: Option<Instant> },
    Waiting { since: Instant, until: Instant },
    Done(Verdict),
}

/// The plan of one call: see the [module](self).
#[derive(Clone, Debug)]
#[must_use = "a plan does nothing until a driver follows it"]
pub struct Retry<'p> {
    policy: &'p RetryPolicy,
    started: Instant,
    schedule: Schedule,
    entropy: u32,
    /// The attempt that is out, or was last.
    attempt: u16,
    phase: Phase,
}

impl Retry<'_> {
    /// Attempts started so far, not counting those that a gate refused.
    #[must_use]
    pub const fn attempts(&self) -> u16 {
        self.attempt
    }

    /// As [`ended`](Plan::ended), where a retry has to be paid for: if there is to be one, `pay` is asked whether it can be;
    /// if not, the call is over. An attempt that is put off or waits for a gate was paid for before.
    pub fn ended_if_paid(&mut self, attempt: u16, ended: Ended, now: Instant, pay: impl FnOnce(After) -> bool) {
        let was_out = attempt == self.attempt && matches!(self.phase, Phase::Running { .. });
        self.ended(attempt, ended, now);
        let retries = was_out && matches!(self.phase, Phase::Waiting { .. });
        if let Some(after) = After::of(ended).filter(|_| retries) {
            if !pay(after) {
                self.give_up(Cause::BudgetExhausted);
            }
        }
    }

    /// A clock that stepped back must not lengthen the call beyond its own limits.
    fn mend_clock(&mut self, now: Instant) {
        self.started = self.started.min(now);
        match self.phase {
            Phase::Running { deadline } => {
                self.phase = Phase::Running { deadline: earlier(deadline, self.attempt_deadline(now)) };
            }
            Phase::Waiting { since, until } if now < since => {
                self.phase = Phase::Waiting { since: now, until: now.after(until.nanos_since(since)) };
            }
            Phase::Ready | Phase::Waiting { .. } | Phase::Done(_) => {}
        }
    }

    /// When an attempt that starts at `now` is over.
    fn attempt_deadline(&self, now: Instant) -> Option<Instant> {
        earlier(self.policy.attempt_timeout.map(|timeout| now.after(timeout)), self.deadline())
    }

    fn out_of_time(&self, at: Instant) -> bool {
        self.deadline().is_some_and(|deadline| at >= deadline)
    }

    const fn give_up(&mut self, cause: Cause) {
        self.phase = Phase::Done(Verdict::GaveUp(cause));
    }

    fn begin(&mut self, now: Instant) -> Step {
        if self.out_of_time(now) {
            self.give_up(Cause::OutOfTime);
            return self.next(now);
        }
        self.attempt = self.attempt.saturating_add(1);
        let deadline = self.attempt_deadline(now);
        self.phase = Phase::Running { deadline };
        Step::Start { attempt: self.attempt, deadline }
    }

    fn failed(&mut self, not_before: Option<Instant>, now: Instant) {
        if self.attempt >= self.policy.attempts {
            return self.give_up(Cause::Exhausted);
        }
        let delay = if let Some(hint) = not_before {
            self.schedule = Schedule::new();
            hint.nanos_since(now).min(self.policy.max_hint)
        } else {
            self.policy.backoff.next(&mut self.schedule, entropy::nth(self.entropy, u32::from(self.attempt)))
        };
        self.wait(now, now.after(delay), Cause::OutOfTime);
    }

    fn refused(&mut self, rejected: Rejected, now: Instant) {
        self.attempt = self.attempt.saturating_sub(1);
        match rejected.retry_at {
            // A gate that says "now" although it just refused would be asked in a tight loop: go on by a nanosecond.
            Some(at) if self.policy.wait_for_gates => self.wait(now, at.max(now.after(1)), Cause::Refused(rejected)),
            _ => self.give_up(Cause::Refused(rejected)),
        }
    }

    fn wait(&mut self, now: Instant, until: Instant, otherwise: Cause) {
        if self.out_of_time(until) {
            return self.give_up(otherwise);
        }
        self.phase = Phase::Waiting { since: now, until };
    }
}

impl Plan for Retry<'_> {
    fn next(&mut self, now: Instant) -> Step {
        self.mend_clock(now);
        match self.phase {
            Phase::Ready => self.begin(now),
            Phase::Running { deadline } => Step::Wait { until: deadline },
            Phase::Waiting { until, .. } if now >= until => self.begin(now),
            Phase::Waiting { until, .. } => Step::Wait { until: Some(until) },
            Phase::Done(verdict) => Step::Finish(verdict),
        }
    }

    fn ended(&mut self, attempt: u16, ended: Ended, now: Instant) {
        if attempt != self.attempt || !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        self.mend_clock(now);
        match ended {
            Ended::Success => self.phase = Phase::Done(Verdict::Success),
            Ended::Stop => self.give_up(Cause::Stopped),
            // Out of time says more than "used up" when both are true.
            Ended::TimedOut | Ended::Retry { .. } if self.out_of_time(now) => self.give_up(Cause::OutOfTime),
            Ended::Retry { not_before } => self.failed(not_before, now),
            Ended::TimedOut => self.failed(None, now),
            Ended::Refused(rejected) => self.refused(rejected, now),
            Ended::Postponed => {
                self.attempt = self.attempt.saturating_sub(1);
                self.phase = Phase::Ready;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.policy.deadline.map(|timeout| self.started.after(timeout))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::EPOCH;
    const POLICY: RetryPolicy = crate::checked!(RetryPolicy::builder().attempts(3).build());
    const FAILED: Ended = Ended::Retry { not_before: None };

    #[test]
    fn a_retry_is_paid_for_when_it_is_due_and_once() {
        let (mut plan, mut paid) = (POLICY.start(NOW, 0), 0);
        for (attempt, paid_by_then) in [(1, 1), (2, 2), (3, 2)] {
            assert_eq!(plan.next(NOW), Step::Start { attempt, deadline: None });
            plan.ended_if_paid(attempt, Ended::Postponed, NOW, |_| unreachable!());
            assert_eq!(plan.next(NOW), Step::Start { attempt, deadline: None });
            for _again in 0..2 {
                plan.ended_if_paid(attempt, FAILED, NOW, |after| {
                    paid += 1;
                    after == After::Failure
                });
            }
            assert_eq!(paid, paid_by_then);
        }
        assert_eq!(plan.next(NOW), Step::Finish(Verdict::GaveUp(Cause::Exhausted)));
    }

    #[test]
    fn what_cannot_be_paid_is_not_tried() {
        let mut plan = POLICY.start(NOW, 0);
        plan.next(NOW);
        plan.ended_if_paid(1, Ended::TimedOut, NOW, |after| after != After::Timeout);
        assert_eq!(plan.next(NOW), Step::Finish(Verdict::GaveUp(Cause::BudgetExhausted)));
        plan.ended_if_paid(1, FAILED, NOW, |_| true);
        assert_eq!(plan.next(NOW), Step::Finish(Verdict::GaveUp(Cause::BudgetExhausted)));
    }
}
