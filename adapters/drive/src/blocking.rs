//! The same pipeline for code that blocks: `std` threads, and firmware without an executor.

use core::time::Duration;

use fusebox::{Clock, Ended, Guard, Outcome, Plan, Policy, RetryPolicy, SharedBudget, SharedGate, Step};

use crate::account::Account;
use crate::progress::Progress;
use crate::run::admit;
use crate::within::Terms;
use crate::{Attempt, CallError, Classify, Errors, Layers, NoTurns, Pipeline};

/// A clock that can block its caller.
pub trait BlockingTimer: Clock {
    /// Blocks for about `duration`. Early returns are fine: the clock decides.
    fn wait(&self, duration: Duration);
}

impl<T: BlockingTimer + ?Sized> BlockingTimer for &T {
    fn wait(&self, duration: Duration) {
        (**self).wait(duration);
    }
}

impl<T: BlockingTimer, G: SharedGate, B: SharedBudget, C: SharedGate> Pipeline<T, G, NoTurns, B, RetryPolicy, C> {
    /// Calls `operation` until it succeeds or the policy gives up; every error may be tried again.
    ///
    /// Nothing can end an operation that blocks: it is told its deadline and must keep to it by itself (a socket
    /// timeout, a bus timeout). An answer that comes late counts as the answer it is.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    pub fn call_blocking<V, E>(&self, operation: impl FnMut(Attempt) -> Result<V, E>) -> Result<V, CallError<E>> {
        self.call_blocking_with(Errors, operation)
    }

    /// Calls `operation` until `classify` is content or the policy gives up. See
    /// [`call_blocking`](Self::call_blocking).
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    pub fn call_blocking_with<V, E>(
        &self,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> Result<V, E>,
    ) -> Result<V, CallError<E>> {
        self.run_blocking(Terms::NONE, classify, operation)
    }

    pub(crate) fn run_blocking<V, E>(
        &self,
        terms: Terms,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> Result<V, E>,
    ) -> Result<V, CallError<E>> {
        let Layers { timer, call_gate, gate, budget, policy, entropy, .. } = &self.layers;
        let called = timer.now();
        let mut account = Account::new(budget, timer, terms.counted);
        let mut progress = Progress::new(called);
        let mut plan = policy.plan(terms.call(called, entropy.draw()));
        let mut whole: Option<Guard<'_, _, T>> = None; // the permit of the call
        loop {
            let now = timer.now();
            let (number, ended) = match plan.next(now) {
                // The plan is asked again after each wait, so an early end or a clock that stepped back is no harm.
                Step::Wait { until } => {
                    timer.wait(until.map_or(Duration::MAX, |until| until.saturating_since(now)));
                    continue;
                }
                Step::Finish(verdict) => {
                    if let Some(whole) = whole.filter(|_| progress.has_begun()) {
                        whole.release(progress.outcome());
                    }
                    account.close(verdict);
                    return progress.finish(verdict, timer.now());
                }
                Step::Start { attempt, deadline } => match admit(&mut whole, call_gate, gate, timer) {
                    Ok(guard) => {
                        progress.begin();
                        progress.mark(&mut whole, Outcome::Failure);
                        let paid = account.start();
                        let counted = account.counts(attempt);
                        let answer = operation(Attempt { number: attempt, called, started: now, deadline, counted });
                        let ended = progress.ended(Some(answer), guard, &classify, timer.now());
                        account.ended(Some(paid));
                        (attempt, ended)
                    }
                    Err(rejected) => (attempt, Ended::Refused(rejected)),
                },
                // Never asked for: nothing can be dropped, and how an attempt ended is known before the next question.
                Step::Drop { attempt } => (attempt, Ended::TimedOut),
            };
            plan.ended_if_paid(number, ended, timer.now(), |after| account.pay(after));
        }
    }
}
