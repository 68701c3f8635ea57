//! What one call owes its retry budget.

use fusebox::budget::After;
use fusebox::{Cause, Clock, Outcome, SharedBudget, Verdict};

/// Pays in when the first attempt starts, pays for each further one when it is due, and settles when it is dropped, whatever
/// happened: what was paid for and never started is cancelled.
pub(crate) struct Account<'a, B: SharedBudget, C: Clock> {
    budget: &'a B,
    clock: &'a C,
    /// Whether it is already counted: it is not to be paid in again, nor settled.
    counted: bool,
    /// Whether it has paid in.
    open: bool,
    /// What the attempt was paid with that has not started yet.
    due: Option<B::Withdrawal>,
    /// What the attempt was paid with that ended last.
    last: Option<B::Withdrawal>,
    outcome: Outcome,
}

impl<'a, B: SharedBudget, C: Clock> Account<'a, B, C> {
    /// For a call that is `counted` already, or is not.
    pub(crate) const fn new(budget: &'a B, clock: &'a C, counted: bool) -> Self {
        Self { budget, clock, counted, open: false, due: None, last: None, outcome: Outcome::Ignored }
    }

    /// An attempt starts: what it was paid with, which is nothing for the first.
    pub(crate) fn start(&mut self) -> Paid<'a, B, C> {
        let withdrawal = self.due.take();
        if self.budget.counts() && !self.counted && !self.open && withdrawal.is_none() {
            self.open = true;
            self.budget.deposit(self.clock.now());
        }
        Paid { budget: self.budget, clock: self.clock, withdrawal }
    }

    /// Whether attempt number `attempt`, which starts, is counted from now on.
    pub(crate) fn counts(&self, attempt: u16) -> bool {
        self.budget.counts() || self.counted || attempt > 1
    }

    /// Pays for a further attempt; whether it could. One that was put off has been paid for.
    pub(crate) fn pay(&mut self, after: After) -> bool {
        if !self.budget.counts() || self.due.is_some() {
            return true;
        }
        self.ended(None);
        self.due = self.budget.try_withdraw(after, self.clock.now()).ok();
        self.due.is_some()
    }

    /// An attempt has ended. What the one before was paid with is spent.
    pub(crate) fn ended(&mut self, paid: Option<Paid<'a, B, C>>) {
        let paid = paid.and_then(|mut paid| paid.withdrawal.take());
        if let Some(spent) = core::mem::replace(&mut self.last, paid) {
            self.budget.release(spent, Outcome::Failure, self.clock.now());
        }
    }

    /// The call ended by itself.
    pub(crate) fn close(mut self, verdict: Verdict) {
        self.outcome = match verdict {
            Verdict::Success => Outcome::Success,
            // The last attempt failed, and no retry was asked for.
            Verdict::GaveUp(Cause::Exhausted | Cause::OutOfTime(_)) if self.due.is_none() => Outcome::Failure,
            Verdict::GaveUp(_) => Outcome::Ignored,
        };
    }
}

impl<B: SharedBudget, C: Clock> Drop for Account<'_, B, C> {
    fn drop(&mut self) {
        if !self.budget.counts() {
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

/// What an attempt that runs was paid with; dropped, it says nothing about the callee.
pub(crate) struct Paid<'a, B: SharedBudget, C: Clock> {
    budget: &'a B,
    clock: &'a C,
    withdrawal: Option<B::Withdrawal>,
}

impl<B: SharedBudget, C: Clock> Drop for Paid<'_, B, C> {
    fn drop(&mut self) {
        if let Some(withdrawal) = self.withdrawal.take() {
            self.budget.release(withdrawal, Outcome::Ignored, self.clock.now());
        }
    }
}
