//! The same pipeline for code that blocks: `std` threads, and firmware without an executor.

use core::time::Duration;

use fusebox::{Clock, Ended, Guard, Plan, SharedBudget, SharedGate, Step};

use crate::account::Account;
use crate::pipeline::Progress;
use crate::{Attempt, CallError, Classify, Errors, NoTurns, Pipeline};

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

impl<T: BlockingTimer, G: SharedGate, B: SharedBudget> Pipeline<T, G, NoTurns, B> {
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
        self.run_blocking(None, classify, operation)
    }

    pub(crate) fn run_blocking<V, E>(
        &self,
        outer: Option<Attempt>,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> Result<V, E>,
    ) -> Result<V, CallError<E>> {
        let mut account = Account::new(&self.budget, &self.timer, outer);
        let mut progress = Progress::new(self.timer.now());
        let mut plan = self.retry.start(progress.started, self.entropy.draw());
        loop {
            match plan.next(self.timer.now()) {
                // The plan is asked again after each wait, so an early end or a clock that stepped back is no harm.
                Step::Wait { until: Some(until) } => self.timer.wait(until.saturating_since(self.timer.now())),
                // A retry waits for nothing but time, so there is always an `until`.
                Step::Wait { until: None } => {}
                Step::Finish(verdict) => {
                    account.close(verdict);
                    return progress.finish(verdict, self.timer.now());
                }
                Step::Start { attempt, deadline } => {
                    let ended = match Guard::try_acquire(&self.gate, &self.timer) {
                        Ok(mut guard) => {
                            guard.on_drop(fusebox::Outcome::Failure); // a panic is a failure
                            let context = Attempt { number: attempt, deadline, counted: account.start(attempt) };
                            let answer = operation(context);
                            progress.attempt(Some((answer, guard)), &classify, self.timer.now())
                        }
                        Err(rejected) => Ended::Refused(rejected),
                    };
                    plan.ended_if_paid(attempt, ended, self.timer.now(), |after| account.pay(after));
                }
            }
        }
    }
}
