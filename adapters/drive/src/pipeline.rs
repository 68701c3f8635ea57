//! The pipeline: gates and a retry policy around any operation.

use core::future::Future;
use core::pin::{Pin, pin};

use fusebox::{
    Cause, Clock, Ended, Entropy, Guard, Instant, NoBudget, Outcome, Plan, Rejected, RetryPolicy, SharedBudget,
    SharedGate, Step, Verdict,
};

use crate::account::Account;
use crate::alarm::Alarm;
use crate::turns::Freeing;
use crate::within::Within;
use crate::{CallError, Class, Classify, Errors, NoTurns, Timer, Turns};

/// What an operation is told about its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u16,
    /// When it will be dropped if it has not ended; pass the rest on to the callee.
    pub deadline: Option<Instant>,
    /// Whether it is no news to a retry budget: its call has paid in, or it is a retry, or within one. A pipeline inside
    /// the operation is told by [`Pipeline::within`].
    pub counted: bool,
}

/// Gates and a retry policy around any operation: outermost first the total deadline, retry, the gates (each attempt
/// asks them), the attempt timeout, the operation.
///
/// Made once per dependency, in a `static` or beside the client, and used through `&self` by any number of callers.
///
/// With a line ([`fair`](Pipeline::fair)) attempts ask the gates one after the other, first come, first served; combine
/// it with [`wait_for_gates`](fusebox::retry::RetryBuilder::wait_for_gates), else the first in line is refused at once.
/// The first in line waits for the gate's `retry_at`, and where a release may help (a full bulkhead) for whatever comes
/// back to this pipeline; so use the gates through one pipeline only.
///
/// With a [budget](fusebox::budget) ([`with_budget`](Pipeline::with_budget)) a call pays in when its first attempt starts,
/// and each retry is paid for before its delay; when it cannot be, the call ends with its last error and
/// [`Cause::BudgetExhausted`]. Give all pipelines to one callee the same budget.
#[derive(Debug)]
pub struct Pipeline<T, G, W = NoTurns, B = NoBudget> {
    pub(crate) timer: T,
    pub(crate) gate: G,
    turns: W,
    pub(crate) budget: B,
    pub(crate) retry: RetryPolicy,
    pub(crate) entropy: Entropy,
}

impl<T, G> Pipeline<T, G> {
    /// A pipeline in which a refusal is known at once. `entropy` feeds the jitter of retries.
    pub const fn new(timer: T, gate: G, retry: RetryPolicy, entropy: Entropy) -> Self {
        Self::budgeted(timer, gate, NoTurns, NoBudget, retry, entropy)
    }
}

impl<T, G, W> Pipeline<T, G, W> {
    /// A pipeline whose callers stand in line for the gates.
    pub const fn fair(timer: T, gate: G, turns: W, retry: RetryPolicy, entropy: Entropy) -> Self {
        Self::budgeted(timer, gate, turns, NoBudget, retry, entropy)
    }

    /// The same pipeline, in which `budget` pays for retries.
    pub fn with_budget<B>(self, budget: B) -> Pipeline<T, G, W, B> {
        Pipeline::budgeted(self.timer, self.gate, self.turns, budget, self.retry, self.entropy)
    }
}

impl<T, G, W, B> Pipeline<T, G, W, B> {
    /// A pipeline with everything: [`NoTurns`] and [`NoBudget`] for what is not wanted. In a `static`, the budget is
    /// another one.
    pub const fn budgeted(timer: T, gate: G, turns: W, budget: B, retry: RetryPolicy, entropy: Entropy) -> Self {
        Self { timer, gate, turns, budget, retry, entropy }
    }

    /// The gates: to read a snapshot, take an event, force a state.
    pub const fn gate(&self) -> &G {
        &self.gate
    }

    /// The budget.
    pub const fn budget(&self) -> &B {
        &self.budget
    }

    /// The timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }

    /// This pipeline, used in an attempt of an outer one with the same budget: so that a call pays in once, and every
    /// further call to the callee is paid for once, by the pipeline that makes it. What starts within `outer` is counted
    /// already: it does not pay in again, and a retry of the outer pipeline is not taken for a new call. Retries of its own
    /// are further calls to the callee, and paid for.
    pub const fn within(&self, outer: Attempt) -> Within<'_, T, G, W, B> {
        Within { pipeline: self, outer }
    }
}

impl<T: Timer, G: SharedGate, W: Turns, B: SharedBudget> Pipeline<T, G, W, B> {
    /// Calls `operation` until it succeeds or the policy gives up; every error may be tried again.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// As [`call_with`](Self::call_with).
    pub fn call<V, E, F>(&self, operation: impl FnMut(Attempt) -> F) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.run(None, Errors, operation)
    }

    /// Calls `operation` until `classify` is content or the policy gives up.
    ///
    /// An answer that is a value is never lost: if the last one was `Ok`, although classified as failed, it is returned
    /// as `Ok`.
    ///
    /// # Errors
    /// [`CallError`] with the operation's last error.
    ///
    /// # Cancel safety
    /// May be dropped at any await. While waiting (for a turn, a gate, a delay) nothing is held but the place in line,
    /// and that is left. During an attempt the operation is dropped and its permit goes back as
    /// [`Outcome::Ignored`]; if the operation panics, as [`Outcome::Failure`]. A retry that was paid for and has not
    /// started is given back to the budget.
    pub fn call_with<V, E, F>(
        &self,
        classify: impl Classify<V, E>,
        operation: impl FnMut(Attempt) -> F,
    ) -> impl Future<Output = Result<V, CallError<E>>>
    where
        F: Future<Output = Result<V, E>>,
    {
        self.run(None, classify, operation)
    }

    /// The one future behind all: a future in a future would hold everything twice.
    pub(crate) async fn run<V, E, F>(
        &self,
        outer: Option<Attempt>,
        classify: impl Classify<V, E>,
        mut operation: impl FnMut(Attempt) -> F,
    ) -> Result<V, CallError<E>>
    where
        F: Future<Output = Result<V, E>>,
    {
        let mut account = Account::new(&self.budget, &self.timer, outer);
        let mut progress = Progress::new(self.timer.now());
        let mut plan = self.retry.start(progress.started, self.entropy.draw());
        let mut alarm = pin!(Alarm::new(&self.timer));
        let mut turn = None;
        let gate = Freeing { gate: &self.gate, turns: &self.turns };
        loop {
            match plan.next(self.timer.now()) {
                Step::Wait { until: Some(until) } => alarm.as_mut().nap(until).await,
                // A retry waits for nothing but time, so there is always an `until`.
                Step::Wait { until: None } => {}
                Step::Finish(verdict) => {
                    account.close(verdict);
                    return progress.finish(verdict, self.timer.now());
                }
                Step::Start { attempt, .. } if W::WAITS && turn.is_none() => {
                    let (taken, ended) = self.line_up(plan.deadline(), alarm.as_mut()).await;
                    turn = taken;
                    plan.ended(attempt, ended, self.timer.now());
                }
                Step::Start { attempt, deadline } => {
                    let ended = match Guard::try_acquire(&gate, &self.timer) {
                        Ok(guard) => {
                            turn = None;
                            let context = Attempt { number: attempt, deadline, counted: account.start(attempt) };
                            let answer = attend(guard, deadline, alarm.as_mut(), || operation(context)).await;
                            progress.attempt(answer, &classify, self.timer.now())
                        }
                        Err(rejected) if self.waits_for_a_release(rejected) => {
                            let until = [rejected.retry_at, plan.deadline()].into_iter().flatten().min();
                            alarm.as_mut().race(until, pin!(self.turns.freed())).await;
                            Ended::Postponed // the turn is kept
                        }
                        Err(rejected) => Ended::Refused(rejected),
                    };
                    plan.ended_if_paid(attempt, ended, self.timer.now(), |after| account.pay(after));
                }
            }
        }
    }

    /// Whether the first in line stays for what others give back.
    const fn waits_for_a_release(&self, rejected: Rejected) -> bool {
        W::WAITS && self.retry.waits_for_gates() && rejected.reason.frees_on_release()
    }

    /// Waits for the turn until `deadline`, and says how that counts for the attempt.
    async fn line_up(&self, deadline: Option<Instant>, alarm: Pin<&mut Alarm<'_, T>>) -> (Option<W::Turn<'_>>, Ended) {
        match alarm.race(deadline, pin!(self.turns.turn())).await {
            Some(Ok(turn)) => (Some(turn), Ended::Postponed),
            Some(Err(rejected)) => (None, Ended::Refused(rejected)),
            // The plan sees by itself that the time is over.
            None => (None, Ended::Postponed),
        }
    }
}

/// An attempt's answer and the duty to tell its gate; `None` when its time ran out.
type Answered<'a, G, T, V, E> = Option<(Result<V, E>, Guard<'a, G, T>)>;

/// Runs one attempt with its permit.
async fn attend<'a, G: SharedGate, T: Timer, V, E, F: Future<Output = Result<V, E>>>(
    mut guard: Guard<'a, G, T>,
    deadline: Option<Instant>,
    alarm: Pin<&mut Alarm<'_, T>>,
    operation: impl FnOnce() -> F,
) -> Answered<'a, G, T, V, E> {
    guard.on_drop(Outcome::Failure); // a panic while it runs is a failure
    let operation = operation();
    let answer = {
        let mut operation = pin!(operation);
        let guarded = core::future::poll_fn(|cx| {
            guard.on_drop(Outcome::Failure);
            let polled = operation.as_mut().poll(cx);
            guard.on_drop(Outcome::Ignored);
            polled
        });
        alarm.race(deadline, pin!(guarded)).await
    };
    if let Some(answer) = answer {
        return Some((answer, guard));
    }
    guard.release(Outcome::Failure);
    None
}

/// What a call has to show so far.
pub(crate) struct Progress<V, E> {
    pub(crate) started: Instant,
    last: Option<Result<V, E>>,
    attempts: u16,
    timed_out: u16,
}

impl<V, E> Progress<V, E> {
    pub(crate) const fn new(started: Instant) -> Self {
        Self { started, last: None, attempts: 0, timed_out: 0 }
    }

    /// Takes in how an attempt went and tells its gate.
    pub(crate) fn attempt<G: SharedGate, C: Clock>(
        &mut self,
        answer: Answered<'_, G, C, V, E>,
        classify: &impl Classify<V, E>,
        now: Instant,
    ) -> Ended {
        self.attempts = self.attempts.saturating_add(1);
        let Some((answer, mut guard)) = answer else {
            self.timed_out = self.timed_out.saturating_add(1);
            return Ended::TimedOut;
        };
        guard.on_drop(Outcome::Failure); // the classifier may panic
        let class: Class = classify.classify(&answer);
        guard.release(class.outcome(now));
        self.last = Some(answer);
        class.ended(now)
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
