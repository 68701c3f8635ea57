//! What a call has to show so far.

use fusebox::{Cause, Clock, Ended, Instant, Outcome, Verdict};

use crate::{CallError, Class};

pub(crate) struct Progress {
    pub(crate) started: Instant,
    /// What the last attempt to end says about the callee.
    pub(crate) outcome: Outcome,
    pub(crate) attempts: u16,
    timed_out: u16,
}

impl Progress {
    pub(crate) const fn new(started: Instant) -> Self {
        Self { started, outcome: Outcome::Ignored, attempts: 0, timed_out: 0 }
    }

    /// Whether an attempt has started.
    pub(crate) const fn has_begun(&self) -> bool {
        self.attempts > 0
    }

    /// An attempt starts.
    pub(crate) const fn begin(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// An attempt has ended, with `None` because its time is over: what the plan is to be told.
    #[inline]
    pub(crate) fn ended(&mut self, class: Option<Class>, now: &impl Clock) -> Ended {
        let Some(class) = class else {
            self.timed_out = self.timed_out.saturating_add(1);
            self.outcome = Outcome::Failure;
            return Ended::TimedOut;
        };
        self.outcome = class.outcome(now);
        class.ended(now)
    }

    /// What the caller gets.
    #[inline]
    pub(crate) fn answer<V, E>(
        &self,
        verdict: Verdict,
        last: Option<Result<V, E>>,
        now: &impl Clock,
    ) -> Result<V, CallError<E>> {
        match last {
            Some(Ok(value)) => Ok(value),
            other => Err(self.error(verdict, other.and_then(Result::err), now.now())),
        }
    }

    const fn error<E>(&self, verdict: Verdict, last: Option<E>, now: Instant) -> CallError<E> {
        let cause = match verdict {
            Verdict::GaveUp(cause) => cause,
            // Only seen if the classifier calls an error a success: then it is final.
            Verdict::Success => Cause::Stopped,
        };
        let elapsed = now.saturating_since(self.started);
        CallError { cause, last, attempts: self.attempts, timed_out: self.timed_out, elapsed }
    }
}
