//! The plan of one call.

use super::{Hint, RetryPolicy};
use crate::backoff::Schedule;
use crate::budget::After;
use crate::gate::earlier;
use crate::plan::{Call, Cause, Ended, Plan, Stage, Step, Verdict};
use crate::{Clock, Instant, Rejected, entropy};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing keeps the attempt from starting; `by` is the refusal that was waited for, if that was all.
    Ready {
        by: Option<Rejected>,
    },
    Running {
        deadline: Option<Instant>,
    },
    Waiting {
        since: Instant,
        until: Instant,
        stage: Stage,
    },
    Done(Verdict),
}

/// The plan of one call: see the [module](super).
#[derive(Clone, Debug)]
#[must_use = "a plan does nothing until a driver follows it"]
pub struct Retry<'p> {
    policy: &'p RetryPolicy,
    call: Call,
    schedule: Schedule,
    /// The attempt that is out, or was last.
    attempt: u16,
    phase: Phase,
}

impl<'p> Retry<'p> {
    #[inline]
    pub(super) const fn new(policy: &'p RetryPolicy, call: Call) -> Self {
        Self { policy, call, schedule: Schedule::new(), attempt: 0, phase: Phase::Ready { by: None } }
    }

    /// Attempts started so far, not counting those that a gate refused.
    #[must_use]
    pub const fn attempts(&self) -> u16 {
        self.attempt
    }

    /// A clock that stepped back must not lengthen the call beyond its own limits.
    #[inline]
    fn mend_clock(&mut self, now: Instant) {
        self.call.started = self.call.started.min(now);
        match self.phase {
            Phase::Running { deadline } => {
                self.phase = Phase::Running { deadline: earlier(deadline, self.attempt_deadline(now)) };
            }
            Phase::Waiting { since, until, stage } if now < since => {
                self.phase = Phase::Waiting { since: now, until: now.after(until.nanos_since(since)), stage };
            }
            Phase::Ready { .. } | Phase::Waiting { .. } | Phase::Done(_) => {}
        }
    }

    /// When an attempt that starts at `now` is over.
    #[inline]
    fn attempt_deadline(&self, now: Instant) -> Option<Instant> {
        self.policy.limits.end_of_attempt(&self.call, now)
    }

    #[inline]
    fn out_of_time(&self, at: Instant) -> bool {
        self.deadline().is_some_and(|deadline| at >= deadline)
    }

    #[inline]
    const fn give_up(&mut self, cause: Cause) {
        self.phase = Phase::Done(Verdict::GaveUp(cause));
    }

    #[inline]
    fn begin(&mut self, stage: Stage, now: Instant) -> Step {
        if self.out_of_time(now) {
            self.give_up(Cause::OutOfTime(stage));
            return Step::Finish(Verdict::GaveUp(Cause::OutOfTime(stage)));
        }
        self.attempt = self.attempt.saturating_add(1);
        let deadline = self.attempt_deadline(now);
        self.phase = Phase::Running { deadline };
        Step::Start { attempt: self.attempt, deadline }
    }

    fn failed(&mut self, ended: Ended, now: Instant) {
        // Out of time says more than "used up" when both are true.
        if self.out_of_time(now) {
            self.give_up(Cause::OutOfTime(Stage::Attempt));
        } else if self.attempt >= self.policy.attempts {
            self.give_up(Cause::Exhausted);
        } else if !self.policy.limits.may_repeat_after(ended, &self.call) {
            self.give_up(Cause::NotIdempotent);
        } else {
            let delay = self.delay(ended, now);
            self.wait(now, now.after(delay), Stage::Delay, Cause::OutOfTime(Stage::Delay));
        }
    }

    fn delay(&mut self, ended: Ended, now: Instant) -> u64 {
        let hint = match ended {
            Ended::Retry { not_before } => not_before.map(|at| at.nanos_since(now)),
            _ => None,
        };
        if let (Some(hint), Hint::Instead(max)) = (hint, self.policy.hint) {
            self.schedule = Schedule::new();
            return hint.min(max);
        }
        let attempt = u32::from(self.attempt);
        let own = self.policy.backoff.next(&mut self.schedule, entropy::nth(self.call.entropy, attempt));
        match (hint, self.policy.hint) {
            (Some(hint), Hint::OnTop(max)) => hint.clamp(own, own.saturating_add(max)),
            _ => own,
        }
    }

    fn refused(&mut self, rejected: Rejected, now: Instant) {
        self.attempt = self.attempt.saturating_sub(1);
        match rejected.retry_at {
            // A gate that says "now" although it just refused would be asked in a tight loop: go on by a nanosecond.
            Some(at) if self.policy.limits.wait_for_gates => {
                self.wait(now, at.max(now.after(1)), Stage::Gate(rejected.reason), Cause::Refused(rejected));
            }
            _ => self.give_up(Cause::Refused(rejected)),
        }
    }

    fn wait(&mut self, now: Instant, until: Instant, stage: Stage, otherwise: Cause) {
        if self.out_of_time(until) {
            return self.give_up(otherwise);
        }
        self.phase = Phase::Waiting { since: now, until, stage };
    }

    /// The attempt is not the answer: what now?
    #[inline(never)]
    fn went_wrong(&mut self, ended: Ended, now: Instant, pay: impl FnOnce(After) -> bool) {
        self.mend_clock(now);
        match ended {
            Ended::Success | Ended::Stop => self.give_up(Cause::Stopped),
            Ended::TimedOut | Ended::Retry { .. } | Ended::NotSent => self.failed(ended, now),
            Ended::Refused(rejected) => self.refused(rejected, now),
            Ended::Postponed { by } => {
                self.attempt = self.attempt.saturating_sub(1);
                self.phase = Phase::Ready { by };
            }
        }
        let retries = matches!(self.phase, Phase::Waiting { .. });
        if let Some(after) = After::of(ended).filter(|_| retries) {
            if !pay(after) {
                self.give_up(Cause::BudgetExhausted);
            }
        }
    }
}

impl Plan for Retry<'_> {
    /// Retries are paid for when the attempt before has failed, not here.
    #[inline]
    fn next_if_paid(&mut self, now: impl Clock, _pay: impl FnOnce(After) -> bool) -> Step {
        if let Phase::Done(verdict) = self.phase {
            return Step::Finish(verdict);
        }
        let now = now.now();
        self.mend_clock(now);
        match self.phase {
            Phase::Ready { by } => self.begin(by.map_or(Stage::Line, |by| Stage::Gate(by.reason)), now),
            Phase::Running { deadline: Some(deadline) } if now >= deadline => Step::Drop { attempt: self.attempt },
            Phase::Running { deadline } => Step::Wait { until: deadline },
            Phase::Waiting { until, stage, .. } if now >= until => self.begin(stage, now),
            Phase::Waiting { until, .. } => Step::Wait { until: Some(until) },
            Phase::Done(verdict) => Step::Finish(verdict),
        }
    }

    /// If there is to be a retry, `pay` is asked whether it can be paid; if not, the call is over. An attempt that is put
    /// off or waits for a gate was paid for before.
    #[inline]
    fn ended_if_paid(&mut self, attempt: u16, ended: Ended, now: impl Clock, pay: impl FnOnce(After) -> bool) {
        if attempt != self.attempt || !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        match ended {
            Ended::Success => self.phase = Phase::Done(Verdict::Success),
            _ => self.went_wrong(ended, now.now(), pay),
        }
    }

    #[inline]
    fn deadline(&self) -> Option<Instant> {
        self.policy.limits.end_of(&self.call)
    }

    fn feed(&mut self, entropy: u32) {
        self.call.entropy = entropy;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::RetryPolicy;

    const NOW: Instant = Instant::EPOCH;
    const POLICY: RetryPolicy = crate::checked!(RetryPolicy::builder().attempts(3).build());
    const FAILED: Ended = Ended::Retry { not_before: None };

    #[test]
    fn a_retry_is_paid_for_when_it_is_due_and_once() {
        let (mut plan, mut paid) = (POLICY.start(NOW, 0), 0);
        for (attempt, paid_by_then) in [(1, 1), (2, 2), (3, 2)] {
            assert_eq!(plan.next(NOW), Step::Start { attempt, deadline: None });
            plan.ended_if_paid(attempt, Ended::Postponed { by: None }, NOW, |_| unreachable!());
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

    #[test]
    fn a_hint_on_top_lengthens_the_delay_and_no_more() {
        let backoff = crate::Backoff::constant(Duration::from_millis(50)).unwrap();
        let policy = RetryPolicy::builder().attempts(2).backoff(backoff).hint_on_top(Duration::from_secs(5));
        let policy = policy.build().unwrap();
        for (hint, delay) in [(0, 50), (30, 50), (1_500, 1_500), (5_050, 5_050), (10_000, 5_050)] {
            let mut plan = policy.start(NOW, 0);
            plan.next(NOW);
            plan.ended(1, Ended::Retry { not_before: Some(Instant::from_millis(hint)) }, NOW);
            assert_eq!(plan.next(NOW), Step::Wait { until: Some(Instant::from_millis(delay)) }, "{hint} ms");
        }
    }
}
