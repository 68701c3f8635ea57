//! What a call has to show so far.

use fusebox::{Cause, Clock, Ended, Guard, Instant, Outcome, SharedGate, Verdict};

use crate::{CallError, Class, Classify};

pub(crate) struct Progress<V, E> {
    pub(crate) started: Instant,
    last: Option<Result<V, E>>,
    /// What the last attempt to end says about the callee.
    outcome: Outcome,
    pub(crate) attempts: u16,
    timed_out: u16,
}

impl<V, E> Progress<V, E> {
    pub(crate) const fn new(started: Instant) -> Self {
        Self { started, last: None, outcome: Outcome::Ignored, attempts: 0, timed_out: 0 }
    }

    /// What the gates of the call are to be told if it is dropped now.
    pub(crate) const fn mark<C: SharedGate, T: Clock>(&self, whole: &mut Option<Guard<'_, C, T>>, outcome: Outcome) {
        if let (Some(whole), true) = (whole, self.has_begun()) {
            whole.on_drop(outcome);
        }
    }

    /// Whether an attempt has started.
    pub(crate) const fn has_begun(&self) -> bool {
        self.attempts > 0
    }

    /// An attempt starts.
    pub(crate) const fn begin(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
    }

    /// An attempt has ended, with `None` because its time is over: tells its gate, and says what the plan is to be told.
    pub(crate) fn ended<G: SharedGate, T: Clock>(
        &mut self,
        answer: Option<Result<V, E>>,
        mut guard: Guard<'_, G, T>,
        classify: &impl Classify<V, E>,
        now: Instant,
    ) -> Ended {
        guard.on_drop(Outcome::Failure); // the classifier may panic
        let ended = if let Some(answer) = answer {
            let class: Class = classify.classify(&answer);
            self.outcome = class.outcome(now);
            self.last = Some(answer);
            class.ended(now)
        } else {
            self.timed_out = self.timed_out.saturating_add(1);
            self.outcome = Outcome::Failure;
            Ended::TimedOut
        };
        guard.release(self.outcome);
        ended
    }

    /// What the call as a whole says about the callee.
    pub(crate) const fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub(crate) fn finish(self, verdict: Verdict, now: Instant) -> Result<V, CallError<E>> {
        let cause = match verdict {
            Verdict::GaveUp(cause) => cause,
            // Only seen if the classifier calls an error a success: then it is final.
            Verdict::Success => Cause::Stopped,
        };
        let last = match self.last {
            Some(Ok(value)) => return Ok(value),
            Some(Err(error)) => Some(error),
            None => None,
        };
        Err(CallError {
            cause,
            last,
            attempts: self.attempts,
            timed_out: self.timed_out,
            elapsed: now.saturating_since(self.started),
        })
    }
}
