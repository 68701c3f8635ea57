//! What one call owes its retry budget.

use fusebox::budget::After;
use fusebox::{Cause, Clock, Outcome, SharedBudget, Verdict};

use crate::Attempt;

/// Pays in when the first attempt starts, pays for each retry once the attempt before it has failed, and settles when it
/// is dropped, whatever happened: a retry that was paid for and never started is cancelled.
pub(crate) struct Account<'a, B: SharedBudget, C: Clock> {
    budget: &'a B,
    clock: &'a C,
    /// Whether it is already counted: it is not to be paid in again, nor settled.
    counted: bool,
    /// Whether it has paid in.
    open: bool,
    /// What the retry was paid with that has not started yet.
    due: Option<B::Withdrawal>,
    /// What the retry was paid with that runs, or was last.
    last: Option<B::Withdrawal>,
    outcome: Outcome,
}

impl<'a, B: SharedBudget, C: Clock> Account<'a, B, C> {
    /// For a call within `outer`, if within one.
    pub(crate) fn new(budget: &'a B, clock: &'a C, outer: Option<Attempt>) -> Self {
        let counted = outer.is_some_and(|outer| outer.counted);
        Self { budget, clock, counted, open: false, due: None, last: None, outcome: Outcome::Ignored }
    }

    /// An attempt starts. Whether it is counted from now on.
    pub(crate) fn start(&mut self, attempt: u16) -> bool {
        if let Some(due) = self.due.take() {
            self.last = Some(due); // every attempt but the first was paid for
        } else if B::COUNTS && !self.counted {
            self.open = true;
            self.budget.deposit(self.clock.now());
        }
        B::COUNTS || self.counted || attempt > 1
    }

    /// Pays for a retry; whether it could.
    pub(crate) fn pay(&mut self, after: After) -> bool {
        if !B::COUNTS {
            return true;
        }
        let now = self.clock.now();
        if let Some(last) = self.last.take() {
            self.budget.release(last, Outcome::Failure, now);
        }
        self.due = self.budget.try_withdraw(after, now).ok();
        self.due.is_some()
    }

    /// The call ended by itself.
    pub(crate) fn close(mut self, verdict: Verdict) {
        self.outcome = match verdict {
            Verdict::Success => Outcome::Success,
            // The last attempt failed, and no retry was asked for.
            Verdict::GaveUp(Cause::Exhausted | Cause::OutOfTime) if self.due.is_none() => Outcome::Failure,
            Verdict::GaveUp(_) => Outcome::Ignored,
        };
    }
}

impl<B: SharedBudget, C: Clock> Drop for Account<'_, B, C> {
    fn drop(&mut self) {
        if !B::COUNTS {
            return;
        }
        let now = self.clock.now();
        if let Some(due) = self.due.take() {
            self.budget.cancel(due, now);
        }
        let last = self.last.take();
        if self.open {
            self.budget.settle(last, self.outcome, now);
        } else if let Some(last) = last {
            self.budget.release(last, self.outcome, now);
        }
    }
}
