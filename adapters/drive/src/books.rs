//! What a call owes its gates and its budget, and what it has to show.

use core::mem;

use fusebox::budget::After;
use fusebox::{Cause, Clock, Ended, Instant, Outcome, Plan, Rejected, SharedBudget, SharedGate, Verdict};

use crate::parts::{CallPermitOf, Parts, WithdrawalOf};
use crate::progress::Progress;
use crate::ticket::Ticket;
use crate::{Attempt, Class};

/// The permit of the gates asked once per call; what the call pays in when its first attempt starts and pays for each
/// further one when it is due; and how its attempts ended. Dropped, it settles all that, whatever happened: what never
/// started is cancelled.
pub(crate) struct Books<'a, L: Parts> {
    layers: &'a L,
    pub(crate) progress: Progress,
    permit: Option<CallPermitOf<L>>,
    /// What the attempt was paid with that has not started yet.
    due: Option<WithdrawalOf<L>>,
    /// What the attempt was paid with that ended last.
    spent: Option<WithdrawalOf<L>>,
    account: Account,
    /// Whether code of an attempt runs: a panic then is a failure of the call.
    runs: bool,
    /// Whether the plan has entropy.
    fed: bool,
}

/// How a call stands with its budget.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    /// It has not paid in, or has been settled.
    Closed,
    /// It has paid in.
    Open,
    /// It is no news: it is not to be paid in again, nor settled.
    Counted,
}

impl<'a, L: Parts> Books<'a, L> {
    /// For a call that is `counted` already, or is not.
    #[inline]
    pub(crate) const fn new(layers: &'a L, called: Instant, counted: bool) -> Self {
        Self {
            layers,
            progress: Progress::new(called),
            permit: None,
            due: None,
            spent: None,
            account: if counted { Account::Counted } else { Account::Closed },
            runs: false,
            fed: false,
        }
    }

    #[inline]
    pub(crate) fn timer(&self) -> &'a L::Timer {
        self.layers.timer()
    }

    pub(crate) fn turns(&self) -> &'a L::Turns {
        &self.layers.layers().turns
    }

    /// Asks the gates of the call, if they have not been yet, then those of the attempt.
    #[inline]
    pub(crate) fn admit(&mut self, ticket: &mut Ticket<'a, L>, now: &impl Clock) -> Result<(), Rejected> {
        if self.permit.is_none() {
            self.permit = Some(self.layers.call_gate().try_acquire(now)?);
        }
        ticket.try_acquire(now)
    }

    /// Attempt `number` starts: pays for it, and says what its operation is told.
    #[inline]
    pub(crate) fn start(
        &mut self,
        ticket: &mut Ticket<'a, L>,
        number: u16,
        deadline: Option<Instant>,
        started: Instant,
    ) -> Attempt {
        self.progress.begin();
        self.runs = true;
        let paid = self.due.take();
        let counts = self.layers.budget().counts();
        if counts && self.account == Account::Closed && paid.is_none() {
            self.account = Account::Open;
            self.layers.budget().deposit(started);
        }
        ticket.paid_with(paid);
        let counted = counts || self.account == Account::Counted || number > 1;
        Attempt { number, called: self.progress.started, started, deadline, counted }
    }

    /// Draws entropy for the plan when an attempt has failed for the first time: a shared counter is not for every
    /// call to write.
    #[inline]
    pub(crate) fn feed(&mut self, plan: &mut impl Plan, ended: Ended) {
        let has_failed = matches!(ended, Ended::Retry { .. } | Ended::NotSent | Ended::TimedOut);
        if has_failed && !mem::replace(&mut self.fed, true) {
            plan.feed(self.layers.layers().entropy.draw());
        }
    }

    /// See [`Ticket::runs`].
    #[inline]
    pub(crate) const fn runs(&mut self, runs: bool) {
        self.runs = runs;
    }

    /// Pays for a further attempt; whether it could. One that was put off has been paid for.
    pub(crate) fn pay(&mut self, after: After) -> bool {
        let budget = self.layers.budget();
        if !budget.counts() || self.due.is_some() {
            return true;
        }
        self.spend(None);
        self.due = budget.try_withdraw(after, self.layers.timer().now()).ok();
        self.due.is_some()
    }

    /// What the attempt before the last was paid with is spent.
    #[inline]
    fn spend(&mut self, paid: Option<WithdrawalOf<L>>) {
        if let Some(spent) = mem::replace(&mut self.spent, paid) {
            self.layers.budget().release(spent, Outcome::Failure, self.layers.timer().now());
        }
    }

    /// An attempt has ended, with `None` because its time is over: tells its gates, and says what the plan is to be told.
    #[inline]
    pub(crate) fn ended(&mut self, class: Option<Class>, ticket: &mut Ticket<'a, L>, now: &impl Clock) -> Ended {
        let ended = self.progress.ended(class, now);
        let paid = ticket.release(self.progress.outcome, now);
        self.spend(paid);
        self.runs = false;
        ended
    }

    /// The call ended by itself.
    #[inline]
    pub(crate) fn close(&mut self, verdict: Verdict, now: &impl Clock) {
        self.give_back(self.progress.outcome, now);
        let outcome = match verdict {
            Verdict::Success => Outcome::Success,
            // The last attempt failed, and no retry was asked for.
            Verdict::GaveUp(Cause::Exhausted | Cause::OutOfTime(_)) if self.due.is_none() => Outcome::Failure,
            Verdict::GaveUp(_) => Outcome::Ignored,
        };
        self.settle(outcome);
    }

    #[inline]
    fn give_back(&mut self, outcome: Outcome, now: &impl Clock) {
        let Some(permit) = self.permit.take() else { return };
        if self.progress.has_begun() {
            self.layers.call_gate().release(permit, outcome, now);
        } else {
            self.layers.call_gate().cancel(permit, now);
        }
    }

    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        if self.owes() {
            self.pay_off(outcome);
        }
    }

    /// Whether there is anything between it and the budget.
    const fn owes(&self) -> bool {
        matches!(self.account, Account::Open) || self.due.is_some() || self.spent.is_some()
    }

    #[cold]
    #[inline(never)]
    fn pay_off(&mut self, outcome: Outcome) {
        let (budget, now) = (self.layers.budget(), self.layers.timer().now());
        if let Some(due) = self.due.take() {
            budget.cancel(due, now);
        }
        let last = self.spent.take();
        if self.account == Account::Open {
            self.account = Account::Closed;
            budget.settle(last, outcome, now);
        } else if let Some(last) = last {
            budget.release(last, outcome, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn dropped(&mut self) {
        let outcome = if self.runs { Outcome::Failure } else { Outcome::Ignored };
        self.give_back(outcome, self.layers.timer());
        self.settle(Outcome::Ignored);
    }
}

/// What was not closed was cancelled.
impl<L: Parts> Drop for Books<'_, L> {
    #[inline]
    fn drop(&mut self) {
        if self.permit.is_some() || self.owes() {
            self.dropped();
        }
    }
}
