//! The same pipeline for code that blocks: `std` threads, and firmware without an executor.

use core::time::Duration;

use fusebox::{Clock, Ended, Moment, Plan, Policy, RetryPolicy, SharedBudget, SharedGate, Step};

use crate::books::Books;
use crate::ticket::Ticket;
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
        let Layers { timer, policy, .. } = &self.layers;
        let mut now = Moment::new(timer);
        let mut plan = policy.plan(terms.call(now.now()));
        let mut books = Books::new(&self.layers, now.now(), terms.counted);
        let (mut ticket, mut last) = (Ticket::none(&self.layers), None);
        loop {
            let (number, ended) = match plan.next(&now) {
                // The plan is asked again after each wait, so an early end or a clock that stepped back is no harm.
                Step::Wait { until } => {
                    timer.wait(until.map_or(Duration::MAX, |until| until.saturating_since(now.now())));
                    now = Moment::new(timer);
                    continue;
                }
                Step::Finish(verdict) => {
                    books.close(verdict, &now);
                    return books.progress.answer(verdict, last, &now);
                }
                Step::Start { attempt, deadline } => match books.admit(&mut ticket, &now) {
                    Ok(()) => {
                        let told = books.start(&mut ticket, attempt, deadline, now.now());
                        let answer = operation(told);
                        now = Moment::new(timer);
                        let ended = books.ended(Some(classify.classify(&answer)), &mut ticket, &now);
                        last = Some(answer);
                        (attempt, ended)
                    }
                    Err(rejected) => (attempt, Ended::Refused(rejected)),
                },
                // Never asked for: nothing can be dropped, and how an attempt ended is known before the next question.
                Step::Drop { attempt } => (attempt, Ended::TimedOut),
            };
            books.feed(&mut plan, ended);
            plan.ended_if_paid(number, ended, &now, |after| books.pay(after));
        }
    }
}
