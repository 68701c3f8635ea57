//! The plan of one call.

use super::{HedgeDelay, HedgePolicy};
use crate::budget::After;
use crate::gate::earlier;
use crate::plan::{Call, Cause, Ended, Plan, Stage, Step, Verdict};
use crate::{Clock, Instant, Rejected};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is out and nothing keeps the attempt from starting; `by` is the refusal that was waited for.
    Ready {
        by: Option<Rejected>,
    },
    /// Nothing is out; a gate that refused is waited for.
    Waiting {
        since: Instant,
        until: Instant,
        by: Rejected,
    },
    /// Attempts are out, or the next one is due.
    Racing {
        next: Option<Next>,
    },
    Done(Verdict),
}

/// The next attempt: when it is due, as seen from `since`, and after what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Next {
    since: Instant,
    at: Instant,
    after: After,
}

/// The plan of one call: see the [module](super).
#[derive(Clone, Debug)]
#[must_use = "a plan does nothing until a driver follows it"]
pub struct Hedge<'p, const N: usize, D: HedgeDelay> {
    policy: &'p HedgePolicy<N, D>,
    call: Call,
    /// Read when the first attempt starts.
    delay: u64,
    /// Attempts started.
    attempts: u16,
    /// When those that are out started.
    out: [Option<Instant>; N],
    phase: Phase,
}

impl<'p, const N: usize, D: HedgeDelay> Hedge<'p, N, D> {
    pub(super) const fn new(policy: &'p HedgePolicy<N, D>, call: Call) -> Self {
        Self { policy, call, delay: 0, attempts: 0, out: [None; N], phase: Phase::Ready { by: None } }
    }

    /// Attempts started so far, not counting those that a gate refused.
    #[must_use]
    pub const fn attempts(&self) -> u16 {
        self.attempts
    }

    /// Attempts that are out.
    #[must_use]
    pub fn out(&self) -> usize {
        self.out.iter().flatten().count()
    }

    /// A clock that stepped back must not lengthen anything.
    fn mend_clock(&mut self, now: Instant) {
        self.call.started = self.call.started.min(now);
        for started in self.out.iter_mut().flatten() {
            *started = now.min(*started);
        }
        match &mut self.phase {
            Phase::Waiting { since, until: at, .. } | Phase::Racing { next: Some(Next { since, at, .. }) }
                if now < *since =>
            {
                *at = now.after(at.nanos_since(*since));
                *since = now;
            }
            _ => {}
        }
    }

    fn out_of_time(&self, at: Instant) -> bool {
        self.deadline().is_some_and(|deadline| at >= deadline)
    }

    fn attempt_deadline(&self, started: Instant) -> Option<Instant> {
        self.policy.limits.end_of_attempt(&self.call, started)
    }

    fn has_more(&self) -> bool {
        usize::from(self.attempts) < N
    }

    fn finish(&mut self, verdict: Verdict, now: Instant) {
        self.abandon(now);
        self.phase = Phase::Done(verdict);
    }

    fn give_up(&mut self, cause: Cause, now: Instant) {
        self.finish(Verdict::GaveUp(cause), now);
    }

    /// The first attempt.
    fn begin(&mut self, stage: Stage, now: Instant) -> Step {
        if self.out_of_time(now) {
            self.give_up(Cause::OutOfTime(stage), now);
            return Step::Finish(Verdict::GaveUp(Cause::OutOfTime(stage)));
        }
        self.delay = self.policy.measured.delay(now).unwrap_or(self.policy.delay);
        self.start(now)
    }

    fn start(&mut self, now: Instant) -> Step {
        if let Some(place) = self.out.get_mut(usize::from(self.attempts)) {
            *place = Some(now);
        }
        self.attempts = self.attempts.saturating_add(1);
        let late = self.has_more() && self.policy.limits.may_repeat(&self.call);
        self.phase = Phase::Racing { next: late.then(|| self.later(now)) };
        Step::Start { attempt: self.attempts, deadline: self.attempt_deadline(now) }
    }

    const fn later(&self, now: Instant) -> Next {
        Next { since: now, at: now.after(self.delay), after: After::Delay }
    }

    fn race(&mut self, next: Option<Next>, now: Instant, pay: impl FnOnce(After) -> bool) -> Step {
        let deadlines = || self.out.iter().map(|started| started.and_then(|started| self.attempt_deadline(started)));
        let over = deadlines().position(|deadline| deadline.is_some_and(|deadline| now >= deadline));
        if let Some(attempt) = over.and_then(|place| u16::try_from(place).ok()) {
            return Step::Drop { attempt: attempt.saturating_add(1) };
        }
        let until = deadlines().fold(next.map(|next| next.at), earlier);
        match next.filter(|next| now >= next.at) {
            None => Step::Wait { until },
            Some(_) if self.out_of_time(now) => self.stop_asking(Cause::OutOfTime(Stage::Delay), now),
            Some(next) if pay(next.after) => self.start(now),
            Some(_) => self.stop_asking(Cause::BudgetExhausted, now),
        }
    }

    /// There are no more attempts; the call is over if none is out.
    fn stop_asking(&mut self, cause: Cause, now: Instant) -> Step {
        if self.out() == 0 {
            self.give_up(cause, now);
            return Step::Finish(Verdict::GaveUp(cause));
        }
        self.phase = Phase::Racing { next: None };
        self.race(None, now, |_| false)
    }

    /// An attempt has failed, and the call goes on if it can.
    fn failed(&mut self, next: Option<Next>, ended: Ended, now: Instant) {
        let is_last = self.out() == 0;
        if is_last && self.out_of_time(now) {
            return self.give_up(Cause::OutOfTime(Stage::Attempt), now);
        }
        let may_repeat = self.policy.limits.may_repeat_after(ended, &self.call);
        let cause = if !self.has_more() || self.policy.fails_fast {
            Cause::Exhausted
        } else if may_repeat {
            return self.follow(ended, is_last, now);
        } else {
            Cause::NotIdempotent
        };
        if is_last {
            return self.give_up(cause, now);
        }
        self.phase = Phase::Racing { next };
    }

    /// Makes the next attempt due: at once, or when the callee wants it.
    fn follow(&mut self, ended: Ended, is_last: bool, now: Instant) {
        let wait = match ended {
            Ended::Retry { not_before: Some(at) } => at.nanos_since(now).min(self.policy.max_hint),
            _ => 0,
        };
        let at = now.after(wait);
        if is_last && self.out_of_time(at) {
            return self.give_up(Cause::OutOfTime(Stage::Delay), now);
        }
        let after = After::of(ended).unwrap_or(After::Failure);
        self.phase = Phase::Racing { next: Some(Next { since: now, at, after }) };
    }

    /// A gate refused the last attempt that was started.
    fn refused(&mut self, rejected: Rejected, now: Instant) {
        let at = rejected.retry_at.map(|at| at.max(now.after(1)));
        if self.out() > 0 {
            let next = at.map(|at| Next { at: at.max(now.after(self.delay)), ..self.later(now) });
            self.phase = Phase::Racing { next };
            return;
        }
        match at.filter(|at| self.policy.limits.wait_for_gates && !self.out_of_time(*at)) {
            Some(until) => self.phase = Phase::Waiting { since: now, until, by: rejected },
            None => self.give_up(Cause::Refused(rejected), now),
        }
    }
}

impl<const N: usize, D: HedgeDelay> Plan for Hedge<'_, N, D> {
    /// If the next attempt is due, `pay` is asked whether it can be paid. If not, there are no more, and the call is over if
    /// none is out.
    fn next_if_paid(&mut self, now: impl Clock, pay: impl FnOnce(After) -> bool) -> Step {
        if let Phase::Done(verdict) = self.phase {
            return Step::Finish(verdict);
        }
        let now = now.now();
        self.mend_clock(now);
        match self.phase {
            Phase::Ready { by } => self.begin(by.map_or(Stage::Line, |by| Stage::Gate(by.reason)), now),
            Phase::Waiting { until, by, .. } if now >= until => self.begin(Stage::Gate(by.reason), now),
            Phase::Waiting { until, .. } => Step::Wait { until: Some(until) },
            Phase::Racing { next } => self.race(next, now, pay),
            Phase::Done(verdict) => Step::Finish(verdict),
        }
    }

    /// A further attempt is paid for when it is due, not here.
    fn ended_if_paid(&mut self, attempt: u16, ended: Ended, now: impl Clock, _pay: impl FnOnce(After) -> bool) {
        let now = now.now();
        self.mend_clock(now);
        let Phase::Racing { next } = self.phase else { return };
        let place = self.out.get_mut(usize::from(attempt.wrapping_sub(1)));
        let Some(started) = place.and_then(Option::take) else { return };
        match ended {
            Ended::Refused(_) | Ended::Postponed { .. } if attempt != self.attempts => {
                self.failed(next, Ended::NotSent, now);
            }
            Ended::Success => {
                self.policy.measured.record(now.nanos_since(started), now);
                self.finish(Verdict::Success, now);
            }
            Ended::Stop => self.give_up(Cause::Stopped, now),
            Ended::TimedOut => {
                self.policy.measured.record_at_least(now.nanos_since(started), now);
                self.failed(next, ended, now);
            }
            Ended::Retry { .. } | Ended::NotSent => self.failed(next, ended, now),
            Ended::Refused(rejected) => {
                self.attempts = self.attempts.saturating_sub(1);
                self.refused(rejected, now);
            }
            Ended::Postponed { by } => {
                self.attempts = self.attempts.saturating_sub(1);
                let next = self.later(now);
                self.phase = if self.out() == 0 { Phase::Ready { by } } else { Phase::Racing { next: Some(next) } };
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.policy.limits.end_of(&self.call)
    }

    /// Hedges are not jittered.
    fn feed(&mut self, _entropy: u32) {}

    /// What is out took at least as long as it has by now.
    fn abandon(&mut self, now: impl Clock) {
        if self.out() == 0 {
            return;
        }
        let now = now.now();
        for started in self.out.iter_mut().filter_map(Option::take) {
            self.policy.measured.record_at_least(now.nanos_since(started), now);
        }
    }
}
